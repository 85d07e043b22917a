//! What a rank's choices came to: the determinants of calls whose outcome depends on timing.
//!
//! Deliberately absent: when they are kept and followed, which `comm` has, and their bytes in a
//! version, which `ckpt` has.

use crate::{Message, Rank};

/// What a choice came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A message of this source and tag.
    Message {
        /// Its source.
        source: Rank,
        /// Its tag.
        tag: u32,
    },
    /// The request at this place of those that were given.
    Request(u32),
}

/// An outcome and the number of its call, from 0 at the capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Determinant {
    /// The number of the call.
    pub call: u64,
    /// What it came to.
    pub outcome: Outcome,
}

/// The choices that belong to a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Determinants {
    /// How many calls were made; those without an entry came to nothing.
    pub calls: u64,
    /// The others.
    pub entries: Vec<Determinant>,
}

/// What a rank hands in for a version after its capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Late {
    /// Messages sent before their senders' captures and taken in after its own.
    pub messages: Vec<Message>,
    /// What it chose until all ranks had captured.
    pub determinants: Determinants,
}

impl Late {
    /// Whether there is nothing to hand in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.determinants.calls == 0
    }
}
