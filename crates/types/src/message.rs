//! A message between ranks as a value: what a cut keeps of it and a restored rank is given.
//!
//! Deliberately absent: its bytes in a ring, which `frame` has, and in a version, which `ckpt` has.

use crate::Rank;

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who sent it.
    pub source: Rank,
    /// Its communicator.
    pub context: u32,
    /// Its tag.
    pub tag: u32,
    /// Its number on the channel, from 1.
    pub sequence: u64,
    /// Its bytes.
    pub payload: Vec<u8>,
}
