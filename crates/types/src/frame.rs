//! The header of a frame: 64 bytes before each chunk of a message, in shared memory and on wires.
//!
//! Invariants: the layout is that of `docs/formats/frame.md`; a header whose checksum, magic or
//! lengths are wrong is an error, never a panic and never believed. Deliberately absent: epochs
//! are carried, not judged; whoever reads decides whether a frame is stale.

use crate::codec::DecodeError;
use crate::limits::{CHUNK_BYTES, FRAME_HEADER_BYTES, MESSAGE_BYTES_MAX};
use crate::{Epoch, Incarnation, Rank};

/// The first four bytes of a header.
pub const MAGIC: u32 = u32::from_le_bytes(*b"MSF1");

/// Bytes of a header before its own checksum.
pub const SUMMED_BYTES: usize = FRAME_HEADER_BYTES - 4;

/// One chunk's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The rank that sent it.
    pub source: Rank,
    /// The rank it is for.
    pub destination: Rank,
    /// The communicator (context) of the message.
    pub context: u32,
    /// The message's tag.
    pub tag: u32,
    /// The message's number on its channel (source to destination), from 1.
    pub sequence: u64,
    /// The epoch in which it was sent.
    pub epoch: Epoch,
    /// The sender's incarnation.
    pub incarnation: Incarnation,
    /// Bytes of the whole message.
    pub total: u64,
    /// Offset of this chunk's payload in the message; 0 in a message's first chunk.
    pub offset: u64,
    /// Bytes of payload behind this header.
    pub length: u32,
    /// The sender's colour: low 32 bits of the last version it captured (Lai and Yang's cut).
    pub colour: u32,
    /// CRC-32C of the payload behind this header.
    pub payload_crc: u32,
}

impl Header {
    /// The header as bytes, with its own checksum.
    #[must_use]
    pub fn encode(&self) -> [u8; FRAME_HEADER_BYTES] {
        self.encode_with(|bytes| crate::crc32c(bytes))
    }

    /// As [`Header::encode`], with a function for the CRC-32C.
    #[inline]
    #[must_use]
    pub fn encode_with(
        &self,
        sum: impl Fn(&[u8; SUMMED_BYTES]) -> u32,
    ) -> [u8; FRAME_HEADER_BYTES] {
        // Whole words: what is stored in pieces cannot be summed at once by a processor.
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let ranks = narrow(self.source) | narrow(self.destination) << 16;
        let words = [
            pair(MAGIC, ranks),
            pair(self.context, self.tag),
            self.sequence,
            pair(self.epoch.0, self.incarnation.0),
            self.total,
            self.offset,
            pair(self.length, self.colour),
            pair(self.payload_crc, 0),
        ];
        let mut b = [0; FRAME_HEADER_BYTES];
        for (bytes, word) in b.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        let crc = sum(summed(&b));
        b[SUMMED_BYTES..].copy_from_slice(&crc.to_le_bytes());
        b
    }

    /// Reads and checks a header.
    ///
    /// # Errors
    /// A wrong checksum, magic, or lengths that contradict each other or the limits.
    pub fn decode(bytes: &[u8; FRAME_HEADER_BYTES]) -> Result<Self, DecodeError> {
        Self::decode_with(bytes, |bytes| crate::crc32c(bytes))
    }

    /// As [`Header::decode`], with a function for the CRC-32C.
    ///
    /// # Errors
    /// As [`Header::decode`].
    #[inline]
    pub fn decode_with(
        bytes: &[u8; FRAME_HEADER_BYTES],
        sum: impl Fn(&[u8; SUMMED_BYTES]) -> u32,
    ) -> Result<Self, DecodeError> {
        // Constant offsets into an array of known size: nothing here can fail or is checked twice.
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let u32_at = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        let magic = u32_at(0);
        let header = Self {
            source: Rank(u16_at(4).into()),
            destination: Rank(u16_at(6).into()),
            context: u32_at(8),
            tag: u32_at(12),
            sequence: u64_at(16),
            epoch: Epoch(u32_at(24)),
            incarnation: Incarnation(u32_at(28)),
            total: u64_at(32),
            offset: u64_at(40),
            length: u32_at(48),
            colour: u32_at(52),
            payload_crc: u32_at(56),
        };
        let stored = u32_at(60);
        let found = sum(summed(bytes));
        if found != stored {
            return Err(DecodeError::Checksum { what: "frame header", found, stored });
        }
        if magic != MAGIC {
            return Err(DecodeError::Unknown { what: "frame magic", value: magic.into(), at: 0 });
        }
        header.check()
    }

    #[inline]
    fn check(self) -> Result<Self, DecodeError> {
        let too_long = |what, claimed, limit, at| DecodeError::TooLong { what, claimed, limit, at };
        if self.total > MESSAGE_BYTES_MAX {
            return Err(too_long("frame total", self.total, MESSAGE_BYTES_MAX, 32));
        }
        let most = CHUNK_BYTES as u64;
        if u64::from(self.length) > most {
            return Err(too_long("frame length", self.length.into(), most, 48));
        }
        let end = self.offset.saturating_add(self.length.into());
        if end > self.total {
            return Err(too_long("frame end", end, self.total, 40));
        }
        Ok(self)
    }
}

/// What the checksum is of.
#[inline]
fn summed(bytes: &[u8; FRAME_HEADER_BYTES]) -> &[u8; SUMMED_BYTES] {
    bytes.first_chunk().expect("a part of the header")
}

/// A rank in 16 bits.
#[inline]
fn narrow(rank: Rank) -> u32 {
    u16::try_from(rank.0).expect("ranks are below RANKS_MAX").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Header {
        Header {
            source: Rank(1),
            destination: Rank(2),
            context: 3,
            tag: 4,
            sequence: 5,
            epoch: Epoch(6),
            incarnation: Incarnation(7),
            total: 100,
            offset: 36,
            length: 64,
            colour: 8,
            payload_crc: 9,
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = sample().encode();
        assert_eq!(Header::decode(&bytes), Ok(sample()));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn lengths_that_contradict_each_other_are_refused() {
        for bad in [
            Header { total: u64::MAX, ..sample() },
            Header { offset: u64::MAX, ..sample() },
            Header { offset: 37, ..sample() },
            Header { length: u32::MAX, ..sample() },
        ] {
            match Header::decode(&bad.encode()) {
                // What is refused is the number that the message shows.
                Err(DecodeError::TooLong { claimed, limit, .. }) => assert!(claimed > limit),
                other => panic!("{other:?}"),
            }
        }
    }
}
