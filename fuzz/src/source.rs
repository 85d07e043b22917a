//! Values out of a target's bytes, for targets that build something rather than decode it.
//!
//! Invariant: at the end of the bytes all values are zero, so that every input means something.
//! Deliberately absent: distributions; libFuzzer finds the values that matter.

/// Bytes not yet used.
pub(crate) struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    /// All of `data`.
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next bytes, at most `most`.
    pub(crate) fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.bytes(N);
        array[..taken.len()].copy_from_slice(taken);
        array
    }

    /// The next byte.
    pub(crate) fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    /// The next 16 bits.
    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    /// The next 64 bits.
    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// Text of at most `most` bytes, behind a byte with its length.
    pub(crate) fn text(&mut self, most: u8) -> String {
        let len = self.u8().min(most);
        String::from_utf8_lossy(self.bytes(len.into())).into_owned()
    }
}
