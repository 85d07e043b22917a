//! Little-endian byte writer and bounded reader, under every format and message of Mainstay.
//!
//! Invariants: a reader never reads past its end, never allocates more than the input could fill,
//! and reports what it expected and where. Deliberately absent: self-description, varints.

/// Why bytes could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input ended before the named thing did.
    #[error("{what} is cut short at byte {at}")]
    Short {
        /// What was being read.
        what: &'static str,
        /// Offset at which the input ended.
        at: usize,
    },
    /// A value that the format does not know.
    #[error("{what} has the unknown value {value} at byte {at}")]
    Unknown {
        /// What was being read.
        what: &'static str,
        /// The value found.
        value: u64,
        /// Offset of the value.
        at: usize,
    },
    /// A length or count beyond its limit.
    #[error("{what} claims {claimed}, more than the {limit} allowed, at byte {at}")]
    TooLong {
        /// What was being read.
        what: &'static str,
        /// The length that the input claims.
        claimed: u64,
        /// The most that is allowed here.
        limit: u64,
        /// Offset of the length.
        at: usize,
    },
    /// A checksum that does not match.
    #[error("{what} has checksum {found:#010x} where {stored:#010x} is stored")]
    Checksum {
        /// What is covered.
        what: &'static str,
        /// The checksum computed.
        found: u32,
        /// The checksum stored.
        stored: u32,
    },
    /// Text that is not UTF-8.
    #[error("{what} is not UTF-8 at byte {at}")]
    NotText {
        /// What was being read.
        what: &'static str,
        /// Offset of the text.
        at: usize,
    },
    /// Bytes after the end of the value.
    #[error("{what} is followed by {left} bytes that do not belong to it")]
    Trailing {
        /// What was read.
        what: &'static str,
        /// How many bytes are left over.
        left: usize,
    },
}

/// Appends little-endian values to a buffer.
#[derive(Default, Debug)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes.push(value);
        self
    }

    /// A 16-bit value.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// A 32-bit value.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// A 64-bit value.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Bytes without a length.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// A count as `u32`.
    ///
    /// # Panics
    /// When the count does not fit, which the limits of every caller exclude.
    pub fn count(&mut self, count: usize) -> &mut Self {
        self.u32(u32::try_from(count).expect("counts are bounded below 2^32"))
    }

    /// Bytes behind their length as `u32`.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.count(bytes.len()).raw(bytes)
    }

    /// Text as UTF-8 behind its length.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// `u64` values behind their count.
    pub fn u64s(&mut self, values: &[u64]) -> &mut Self {
        self.count(values.len());
        for value in values {
            self.u64(*value);
        }
        self
    }

    /// A presence byte, then the value if there is one.
    pub fn option<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) -> &mut Self {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            put(self, value);
        }
        self
    }

    /// What was written so far.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// What was written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads little-endian values from a slice, within its bounds.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Offset of the next byte.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Short`] when fewer are left.
    pub fn raw(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        if len > self.left() {
            return Err(DecodeError::Short { what, at: self.bytes.len() });
        }
        let part = &self.bytes[self.at..self.at + len];
        self.at += len;
        Ok(part)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.raw(N, what)?);
        Ok(array)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`DecodeError::Short`] at the end of the input.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        Ok(self.array::<1>(what)?[0])
    }

    /// A 16-bit value.
    ///
    /// # Errors
    /// [`DecodeError::Short`] at the end of the input.
    pub fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    /// A 32-bit value.
    ///
    /// # Errors
    /// [`DecodeError::Short`] at the end of the input.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    /// A 64-bit value.
    ///
    /// # Errors
    /// [`DecodeError::Short`] at the end of the input.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A 64-bit value as an index into memory.
    ///
    /// # Errors
    /// [`DecodeError::Short`], or [`DecodeError::TooLong`] when it does not fit a `usize`.
    pub fn size(&mut self, what: &'static str) -> Result<usize, DecodeError> {
        let at = self.at;
        let claimed = self.u64(what)?;
        usize::try_from(claimed).map_err(|_| DecodeError::TooLong {
            what,
            claimed,
            limit: usize::MAX as u64,
            at,
        })
    }

    /// A count of elements that take at least `element_bytes` each and are at most `limit`.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`] beyond the limit, [`DecodeError::Short`] when the input left could
    /// not hold so many.
    pub fn count(
        &mut self,
        element_bytes: usize,
        limit: usize,
        what: &'static str,
    ) -> Result<usize, DecodeError> {
        let at = self.at;
        let claimed = self.u32(what)? as usize;
        if claimed > limit {
            let (claimed, limit) = (claimed as u64, limit as u64);
            return Err(DecodeError::TooLong { what, claimed, limit, at });
        }
        if claimed.saturating_mul(element_bytes) > self.left() {
            return Err(DecodeError::Short { what, at: self.bytes.len() });
        }
        Ok(claimed)
    }

    /// Bytes behind their length, at most `limit`.
    ///
    /// # Errors
    /// As [`Reader::count`].
    pub fn bytes(&mut self, limit: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let len = self.count(1, limit, what)?;
        self.raw(len, what)
    }

    /// Text behind its length, at most `limit` bytes.
    ///
    /// # Errors
    /// As [`Reader::count`]; [`DecodeError::NotText`] when it is not UTF-8.
    pub fn text(&mut self, limit: usize, what: &'static str) -> Result<String, DecodeError> {
        let at = self.at;
        let bytes = self.bytes(limit, what)?;
        let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::NotText { what, at })?;
        Ok(text.to_owned())
    }

    /// `u64` values behind their count, at most `limit` of them.
    ///
    /// # Errors
    /// As [`Reader::count`].
    pub fn u64s(&mut self, limit: usize, what: &'static str) -> Result<Vec<u64>, DecodeError> {
        let count = self.count(8, limit, what)?;
        (0..count).map(|_| self.u64(what)).collect()
    }

    /// A presence byte, then the value if there is one.
    ///
    /// # Errors
    /// [`DecodeError::Unknown`] for a presence other than 0 or 1, and whatever `get` returns.
    pub fn option<T>(
        &mut self,
        what: &'static str,
        get: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        let at = self.at;
        match self.u8(what)? {
            0 => Ok(None),
            1 => get(self).map(Some),
            value => Err(DecodeError::Unknown { what, value: u64::from(value), at }),
        }
    }

    /// Requires that nothing is left.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`] otherwise.
    pub fn end(self, what: &'static str) -> Result<(), DecodeError> {
        match self.left() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing { what, left }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut w = Writer::new();
        w.u8(1).u16(2).u32(3).u64(4).text("fünf").u64s(&[6, 7]).option(Some(8), |w, v| {
            w.u64(v);
        });
        let bytes = w.into_bytes();
        let mut r = Reader::new(&bytes);
        assert_eq!((r.u8("a").unwrap(), r.u16("b").unwrap()), (1, 2));
        assert_eq!((r.u32("c").unwrap(), r.u64("d").unwrap()), (3, 4));
        assert_eq!(r.text(9, "e").unwrap(), "fünf");
        assert_eq!(r.u64s(2, "f").unwrap(), [6, 7]);
        assert_eq!(r.option("g", |r| r.u64("g")).unwrap(), Some(8));
        r.end("all").unwrap();
    }

    #[test]
    fn lengths_are_bounded_before_they_are_believed() {
        let bytes = u32::MAX.to_le_bytes();
        assert!(matches!(
            Reader::new(&bytes).bytes(10, "x"),
            Err(DecodeError::TooLong { claimed: 0xFFFF_FFFF, limit: 10, .. })
        ));
        assert!(matches!(
            Reader::new(&bytes).u64s(usize::MAX, "x"),
            Err(DecodeError::Short { .. })
        ));
        assert_eq!(
            Reader::new(&[7, 7]).end("x"),
            Err(DecodeError::Trailing { what: "x", left: 2 })
        );
    }
}
