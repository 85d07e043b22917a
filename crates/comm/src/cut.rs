//! The consistent cut: which messages cross the line between the captures of two ranks.
//!
//! Every frame carries its sender's colour, the last version it captured (Lai and Yang's
//! algorithm, for channels that are first in, first out). A message taken in with an older colour
//! than our own is *late*: sent before its sender's capture, taken in after ours, in neither
//! state; it is kept with the version. One with a newer colour is *early*: in our state, though
//! its sender will send it again after a restore; its number is remembered so that this can be
//! suppressed, and its hash so that a difference is noticed.
//! Invariant: the late log of a version is handed out once, after every channel's sender has told
//! how much it had sent and that much was taken in. Deliberately absent: the counters themselves.
//!
//! # Source
//! Lai and Yang, "On distributed snapshots", Information Processing Letters 25 (1987).

use mainstay_types::wire::{EARLY_MAX, Early};
use mainstay_types::{Rank, Version};

use crate::message::Message;

/// A message's colour against our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// Sent before its sender captured what we have captured.
    Late,
    /// Sent between the same two captures.
    Same,
    /// Sent after its sender captured what we have yet to capture.
    Early,
}

/// A version captured here whose channels may still bring late messages.
#[derive(Clone, Debug)]
struct Open {
    closed: Vec<bool>,
    log: Vec<Message>,
}

/// The cut as one rank sees it.
#[derive(Clone, Debug)]
pub struct Cut {
    n: usize,
    version: Version,
    open: Option<Open>,
    early: Vec<(u32, Early)>,
}

impl Cut {
    /// A rank of `n` whose last capture is `version`; 0 is none.
    #[must_use]
    pub fn new(n: u32, version: Version) -> Self {
        Self { n: n as usize, version, open: None, early: Vec::new() }
    }

    /// Our colour: what frames carry.
    #[inline]
    #[must_use]
    pub fn colour(&self) -> u32 {
        colour(self.version)
    }

    /// A message's age, by its colour.
    #[inline]
    #[must_use]
    pub fn age(&self, colour: u32) -> Age {
        // The distance decides, so that the low 32 bits of versions may wrap.
        match colour.wrapping_sub(self.colour()).cast_signed() {
            0 => Age::Same,
            1.. => Age::Early,
            _ => Age::Late,
        }
    }

    /// Remembers an early message; beyond [`EARLY_MAX`] of them, none: they are then suppressed
    /// all the same, by their number, and only not compared.
    pub fn note_early(&mut self, colour: u32, early: Early) {
        if self.early.len() < EARLY_MAX {
            self.early.push((colour, early));
        }
    }

    /// Whether a late message from `source` belongs to a version and has to be kept.
    #[must_use]
    pub fn wants_late(&self, source: Rank) -> bool {
        self.open.as_ref().is_some_and(|open| !open.closed[source.index()])
    }

    /// Keeps a late message.
    pub fn keep_late(&mut self, message: Message) {
        if let Some(open) = &mut self.open {
            open.log.push(message);
        }
    }

    /// Captures `version`: changes our colour and opens its channels. Returns the early messages
    /// that are part of it. A log still open belongs to a version that can never commit.
    ///
    /// # Panics
    /// When `version` is not newer than the last.
    pub fn capture(&mut self, version: Version) -> Vec<Early> {
        assert!(version > self.version, "versions grow");
        self.version = version;
        self.open = Some(Open { closed: vec![false; self.n], log: Vec::new() });
        let newer = |early: u32| early.wrapping_sub(colour(version)).cast_signed();
        let part = |(early, _): &&(u32, Early)| newer(*early) >= 0;
        let list = self.early.iter().filter(part).map(|(_, e)| *e).collect();
        self.early.retain(|(early, _)| newer(*early) > 0);
        list
    }

    /// Whether a late log is open.
    #[inline]
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// A look at `source`: the version it captured last, what it had sent us by then, and what we
    /// have taken in from it.
    pub fn observe(&mut self, source: Rank, captured: Version, sent: u64, delivered: u64) {
        if let Some(open) = &mut self.open
            && captured >= self.version
            && delivered >= sent
        {
            open.closed[source.index()] = true;
        }
    }

    /// Drops the open log, if any: its version is void.
    pub fn abandon(&mut self) {
        self.open = None;
    }

    /// Our last capture.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The late messages once all channels are closed, by source; once for each version.
    pub fn take_closed(&mut self) -> Option<(Version, Vec<Message>)> {
        let closed = |open: &mut Open| open.closed.iter().all(|closed| *closed);
        let mut open = self.open.take_if(closed)?;
        open.log.sort_by_key(|m| (m.source, m.sequence));
        Some((self.version, open.log))
    }
}

/// The low 32 bits of a version.
fn colour(version: Version) -> u32 {
    (version.0 & u64::from(u32::MAX)) as u32
}
