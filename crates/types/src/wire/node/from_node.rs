//! What a node says to its launcher.
//!
//! Deliberately absent: bytes of versions, which lie in descriptors.

use super::unknown;
use crate::codec::{DecodeError, Reader, Writer};
use crate::limits::TEXT_BYTES_MAX;
use crate::wire::{cut, slot};
use crate::{Node, Rank, Version};

/// What a node says to its launcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromNode {
    /// The descriptor is the arena that was asked for.
    Arena {
        /// Whose.
        rank: Rank,
        /// Which of its slots.
        slot: u8,
        /// Its bytes.
        bytes: u64,
    },
    /// There is none.
    NoArena {
        /// Whose.
        rank: Rank,
        /// Which of its slots.
        slot: u8,
        /// Why.
        why: String,
    },
    /// What it holds of the version for others is whole.
    Guarded {
        /// Which version.
        version: Version,
        /// Of which order.
        attempt: u32,
        /// Bytes that it holds.
        bytes: u64,
    },
    /// What the ranks had is back.
    Rebuilt {
        /// Which version.
        version: Version,
        /// Of which order.
        attempt: u32,
        /// Bytes that were rebuilt.
        bytes: u64,
    },
    /// An order came to nothing.
    Failed {
        /// Which version.
        version: Version,
        /// Of which order.
        attempt: u32,
        /// The node whose line failed, if that was it.
        peer: Option<Node>,
        /// Why.
        why: String,
    },
    /// The descriptors are what was to be handed over: the arena, late messages if there are any.
    Handed {
        /// Which request.
        number: u64,
        /// Bytes of the arena.
        bytes: u64,
        /// Bytes of late messages, if they lie beside it.
        late: Option<u64>,
    },
    /// It has not got it.
    Lacks {
        /// Which request.
        number: u64,
        /// What is missing.
        why: String,
    },
}

impl FromNode {
    /// The message as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Arena { rank, slot, bytes } => {
                w.u8(0).u32(rank.0).u8(*slot).u64(*bytes);
            }
            Self::NoArena { rank, slot, why } => {
                w.u8(1).u32(rank.0).u8(*slot).text(cut(why));
            }
            Self::Guarded { version, attempt, bytes } => {
                w.u8(2).u64(version.0).u32(*attempt).u64(*bytes);
            }
            Self::Rebuilt { version, attempt, bytes } => {
                w.u8(3).u64(version.0).u32(*attempt).u64(*bytes);
            }
            Self::Failed { version, attempt, peer, why } => {
                w.u8(4).u64(version.0).u32(*attempt);
                w.option(*peer, |w, peer| {
                    w.u32(peer.0);
                });
                w.text(cut(why));
            }
            Self::Handed { number, bytes, late } => {
                w.u8(5).u64(*number).u64(*bytes).option(*late, |w, late| {
                    w.u64(late);
                });
            }
            Self::Lacks { number, why } => {
                w.u8(6).u64(*number).text(cut(why));
            }
        }
        w.into_bytes()
    }

    /// Reads a message.
    ///
    /// # Errors
    /// Anything that [`FromNode::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let message = match r.u8("message kind")? {
            0 => Self::Arena {
                rank: Rank(r.u32("rank")?),
                slot: slot(&mut r)?,
                bytes: r.u64("arena bytes")?,
            },
            1 => Self::NoArena {
                rank: Rank(r.u32("rank")?),
                slot: slot(&mut r)?,
                why: r.text(TEXT_BYTES_MAX, "reason")?,
            },
            kind @ (2 | 3) => {
                let version = Version(r.u64("version")?);
                let (attempt, bytes) = (r.u32("attempt")?, r.u64("bytes")?);
                match kind {
                    2 => Self::Guarded { version, attempt, bytes },
                    _ => Self::Rebuilt { version, attempt, bytes },
                }
            }
            4 => Self::Failed {
                version: Version(r.u64("version")?),
                attempt: r.u32("attempt")?,
                peer: r.option("peer", |r| Ok(Node(r.u32("peer")?)))?,
                why: r.text(TEXT_BYTES_MAX, "reason")?,
            },
            5 => Self::Handed {
                number: r.u64("number")?,
                bytes: r.u64("arena bytes")?,
                late: r.option("late bytes", |r| r.u64("late bytes"))?,
            },
            6 => Self::Lacks { number: r.u64("number")?, why: r.text(TEXT_BYTES_MAX, "reason")? },
            other => return Err(unknown(other)),
        };
        r.end("message")?;
        Ok(message)
    }
}
