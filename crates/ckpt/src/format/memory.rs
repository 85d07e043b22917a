//! Where images lie: anything that bytes can be copied into or out of, with their checksum.
//!
//! `host` reads shards through a file and arenas through a mapping; tests use slices. Invariant:
//! the checksum returned is that of the bytes handed over, computed in the same pass, so that no
//! bytes escape between the copy and the check.

use crate::kernel::{Residency, copy_crc};

/// Bytes that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes at {at} cannot be read: {why}")]
pub struct Unreadable {
    /// Offset of the bytes.
    pub at: u64,
    /// How many were asked for.
    pub bytes: u64,
    /// The reason, as the operating system gives it.
    pub why: String,
}

/// Something that images can be read from.
pub trait ReadAt {
    /// How many bytes there are.
    fn bytes(&self) -> u64;

    /// Fills `into` from offset `at` and returns its CRC-32C.
    ///
    /// # Errors
    /// [`Unreadable`] when any of the bytes cannot be had; `into` is then unspecified.
    fn read_at(&self, at: u64, into: &mut [u8], hint: Residency) -> Result<u32, Unreadable>;
}

/// Something that images can be written into.
pub trait WriteAt {
    /// How many bytes fit.
    fn room(&self) -> u64;

    /// Copies `from` to offset `at` and returns its CRC-32C.
    ///
    /// # Panics
    /// When it does not fit: writers ask for [`room`](WriteAt::room) first.
    fn write_at(&mut self, at: u64, from: &[u8], hint: Residency) -> u32;

    /// The CRC-32C of what lies there.
    ///
    /// # Panics
    /// When so many bytes do not.
    fn sum_at(&self, at: u64, bytes: usize) -> u32;
}

impl ReadAt for [u8] {
    fn bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, at: u64, into: &mut [u8], hint: Residency) -> Result<u32, Unreadable> {
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let end = start.saturating_add(into.len());
        let from = self.get(start..end).ok_or_else(|| beyond(at, into.len()))?;
        Ok(copy_crc(into, from, 0, hint))
    }
}

impl WriteAt for [u8] {
    fn room(&self) -> u64 {
        self.len() as u64
    }

    fn write_at(&mut self, at: u64, from: &[u8], hint: Residency) -> u32 {
        let start = usize::try_from(at).expect("writers stay within the room");
        copy_crc(&mut self[start..start + from.len()], from, 0, hint)
    }

    fn sum_at(&self, at: u64, bytes: usize) -> u32 {
        let start = usize::try_from(at).expect("writers stay within the room");
        mainstay_types::crc32c(&self[start..start + bytes])
    }
}

/// The error of a read past the end.
pub(crate) fn beyond(at: u64, bytes: usize) -> Unreadable {
    Unreadable { at, bytes: bytes as u64, why: "they lie beyond the end".to_owned() }
}
