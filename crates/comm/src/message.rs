//! Messages as values: what a cut keeps of them and what a restored rank is given.
//!
//! Invariant: of one source, messages are listed in the order of their sequence numbers.
//! Deliberately absent: bytes on disk; `ckpt` encodes.

use mainstay_types::wire::Early;
use mainstay_types::{Late, Version, crc32c_append};

pub use mainstay_types::Message;

/// What a rank saves of its channels at a capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CutState {
    /// Messages sent, by destination.
    pub sent: Vec<u64>,
    /// Messages taken in, by source.
    pub delivered: Vec<u64>,
    /// Messages taken in that no receive has asked for yet.
    pub unexpected: Vec<Message>,
}

/// What a rank's channels start from after a restore.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// The version restored.
    pub version: Version,
    /// What this rank saved.
    pub cut: CutState,
    /// Its late messages, and what it had chosen.
    pub late: Late,
    /// Messages that each destination has already taken in, by destination.
    pub suppress: Vec<u64>,
    /// Hashes of those among them that were sent after the version.
    pub early: Vec<Early>,
}

/// The hash of a message: CRC-32C over its context, tag, length and payload.
#[must_use]
pub fn hash(context: u32, tag: u32, payload: &[u8]) -> u32 {
    let mut head = [0; 16];
    head[..4].copy_from_slice(&context.to_le_bytes());
    head[4..8].copy_from_slice(&tag.to_le_bytes());
    head[8..].copy_from_slice(&(payload.len() as u64).to_le_bytes());
    crc32c_append(mainstay_types::crc32c(&head), payload)
}
