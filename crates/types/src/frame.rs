//! The header of a frame: 64 bytes before each chunk of a message, in shared memory and on wires.
//!
//! Invariants: the layout is that of `docs/formats/frame.md`; a header whose checksum, magic or
//! lengths are wrong is an error, never a panic and never believed. Deliberately absent: epochs
//! are carried, not judged; whoever reads decides whether a frame is stale.

use crate::codec::{DecodeError, Reader};
use crate::limits::{CHUNK_BYTES, FRAME_HEADER_BYTES, MESSAGE_BYTES_MAX};
use crate::{Epoch, Incarnation, Rank};

/// The first four bytes of a header.
pub const MAGIC: u32 = u32::from_le_bytes(*b"MSF1");

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
        let mut b = [0; FRAME_HEADER_BYTES];
        let mut put = |at: usize, bytes: &[u8]| b[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC.to_le_bytes());
        put(4, &narrow(self.source.0).to_le_bytes());
        put(6, &narrow(self.destination.0).to_le_bytes());
        put(8, &self.context.to_le_bytes());
        put(12, &self.tag.to_le_bytes());
        put(16, &self.sequence.to_le_bytes());
        put(24, &self.epoch.0.to_le_bytes());
        put(28, &self.incarnation.0.to_le_bytes());
        put(32, &self.total.to_le_bytes());
        put(40, &self.offset.to_le_bytes());
        put(48, &self.length.to_le_bytes());
        put(52, &self.colour.to_le_bytes());
        put(56, &self.payload_crc.to_le_bytes());
        let crc = crate::crc32c(&b[..60]);
        b[60..].copy_from_slice(&crc.to_le_bytes());
        b
    }

    /// Reads and checks a header.
    ///
    /// # Errors
    /// A wrong checksum, magic, or lengths that contradict each other or the limits.
    pub fn decode(bytes: &[u8; FRAME_HEADER_BYTES]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let magic = r.u32("frame magic")?;
        let header = Self {
            source: Rank(r.u16("frame source")?.into()),
            destination: Rank(r.u16("frame destination")?.into()),
            context: r.u32("frame communicator")?,
            tag: r.u32("frame tag")?,
            sequence: r.u64("frame sequence")?,
            epoch: Epoch(r.u32("frame epoch")?),
            incarnation: Incarnation(r.u32("frame incarnation")?),
            total: r.u64("frame total")?,
            offset: r.u64("frame offset")?,
            length: r.u32("frame length")?,
            colour: r.u32("frame colour")?,
            payload_crc: r.u32("frame payload checksum")?,
        };
        let stored = r.u32("frame header checksum")?;
        let found = crate::crc32c(&bytes[..60]);
        if found != stored {
            return Err(DecodeError::Checksum {
                what: "frame header",
                found,
                stored,
            });
        }
        if magic != MAGIC {
            return Err(DecodeError::Unknown {
                what: "frame magic",
                value: magic.into(),
                at: 0,
            });
        }
        header.check()
    }

    fn check(self) -> Result<Self, DecodeError> {
        let too_long = |what, claimed, limit, at| DecodeError::TooLong {
            what,
            claimed,
            limit,
            at,
        };
        if self.total > MESSAGE_BYTES_MAX {
            return Err(too_long("frame total", self.total, MESSAGE_BYTES_MAX, 32));
        }
        let most = CHUNK_BYTES as u64;
        if u64::from(self.length) > most {
            return Err(too_long("frame length", self.length.into(), most, 48));
        }
        match self.offset.checked_add(self.length.into()) {
            Some(end) if end <= self.total => Ok(self),
            _ => Err(too_long("frame offset", self.offset, self.total, 40)),
        }
    }
}

fn narrow(rank: u32) -> u16 {
    u16::try_from(rank).expect("ranks are below RANKS_MAX")
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
            Header {
                total: u64::MAX,
                ..sample()
            },
            Header {
                offset: u64::MAX,
                ..sample()
            },
            Header {
                offset: 37,
                ..sample()
            },
            Header {
                length: u32::MAX,
                ..sample()
            },
        ] {
            assert!(matches!(
                Header::decode(&bad.encode()),
                Err(DecodeError::TooLong { .. })
            ));
        }
    }
}
