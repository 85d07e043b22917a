//! What two nodes, or a node and the launcher's drain, say to each other over a link.
//!
//! Deliberately absent: the bytes, which lie in the link's window.

use super::unknown;
use crate::codec::{DecodeError, Reader, Writer};
use crate::limits::TEXT_BYTES_MAX;
use crate::wire::{cut, slot};
use crate::{Rank, Version};

/// Which bytes one end of a link asks the other for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Those of all its ranks' parts of the version, one behind the other.
    Own,
    /// Those that it holds of the version for others.
    Held,
    /// Those in the arena of a rank.
    Image(Rank, u8),
    /// Late messages of a rank.
    Late(Rank),
}

/// What the ends of a link say to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Talk {
    /// Put bytes into my half of the window.
    Ask {
        /// The answer names it.
        number: u32,
        /// At which place of the half, counted in pieces.
        place: u8,
        /// Of which version.
        version: Version,
        /// Which bytes.
        what: What,
        /// From which of them.
        at: u64,
        /// How many.
        bytes: u32,
    },
    /// They are there.
    Data {
        /// Which was asked for.
        number: u32,
        /// Their CRC-32C.
        crc: u32,
    },
    /// They cannot be had.
    Lacks {
        /// Which were asked for.
        number: u32,
        /// Why not.
        why: String,
    },
}

impl Talk {
    /// The message as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Ask { number, place, version, what, at, bytes } => {
                let (kind, rank, slot) = match what {
                    What::Own => (0, 0, 0),
                    What::Held => (1, 0, 0),
                    What::Image(rank, slot) => (2, rank.0, *slot),
                    What::Late(rank) => (3, rank.0, 0),
                };
                w.u8(0).u32(*number).u8(*place).u64(version.0);
                w.u8(kind).u32(rank).u8(slot).u64(*at).u32(*bytes);
            }
            Self::Data { number, crc } => {
                w.u8(1).u32(*number).u32(*crc);
            }
            Self::Lacks { number, why } => {
                w.u8(2).u32(*number).text(cut(why));
            }
        }
        w.into_bytes()
    }

    /// Reads a message.
    ///
    /// # Errors
    /// Anything that [`Talk::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let message = match r.u8("message kind")? {
            0 => {
                let (number, place) = (r.u32("number")?, r.u8("place")?);
                let version = Version(r.u64("version")?);
                let at = r.at();
                let kind = r.u8("what")?;
                let what = match (kind, Rank(r.u32("rank")?), slot(&mut r)?) {
                    (0, Rank(0), 0) => What::Own,
                    (1, Rank(0), 0) => What::Held,
                    (2, rank, slot) => What::Image(rank, slot),
                    (3, rank, 0) => What::Late(rank),
                    _ => {
                        let value = u64::from(kind);
                        return Err(DecodeError::Unknown { what: "what", value, at });
                    }
                };
                Self::Ask {
                    number,
                    place,
                    version,
                    what,
                    at: r.u64("offset")?,
                    bytes: r.u32("bytes")?,
                }
            }
            1 => Self::Data { number: r.u32("number")?, crc: r.u32("checksum")? },
            2 => Self::Lacks { number: r.u32("number")?, why: r.text(TEXT_BYTES_MAX, "reason")? },
            other => return Err(unknown(other)),
        };
        r.end("message")?;
        Ok(message)
    }
}
