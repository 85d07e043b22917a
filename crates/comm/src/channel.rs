//! The counters of a rank's channels: what number a message gets, whether a frame is accepted.
//!
//! A channel is an ordered pair of ranks; its messages, of all contexts and tags, are numbered
//! from 1. Invariants: a message is counted as delivered once, when its last byte was taken in;
//! of each channel the delivered numbers are `1..=delivered` without a gap; after a restore a
//! message that its receiver already has is not sent again. Deliberately absent: bytes, matching,
//! what crosses a cut (see [`crate::cut`]).

use mainstay_types::frame::Header;
use mainstay_types::wire::Early;
use mainstay_types::{Epoch, Incarnation, Rank};

use crate::message::Resume;

/// Most messages that a restored channel may have seen: as many again are left to number.
const COUNTER_MAX: u64 = 1 << 63;

/// What to do with a frame whose header is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It begins a message.
    First,
    /// It goes on with the message that has begun.
    Next,
    /// It is of an older epoch or incarnation: drop and count it.
    Stale,
    /// It is of a message already delivered: drop and count it.
    Duplicate,
    /// It contradicts the channel.
    Corrupt(&'static str),
}

/// What to do with a message that the program sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// Send it under this number.
    Send {
        /// Its number.
        sequence: u64,
    },
    /// Its receiver has it: do not send it.
    Suppress {
        /// Its number.
        sequence: u64,
        /// The hash it must have, where the receiver noted it.
        hash: Option<u32>,
    },
}

/// Why a rank's channels cannot start from what it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumeError {
    /// A table has not one entry for each rank.
    Size {
        /// Which table.
        what: &'static str,
        /// How many entries it has.
        found: usize,
    },
    /// A counter says more messages than any program sends, so that it could not count on.
    Counter {
        /// Which table.
        what: &'static str,
        /// The count.
        found: u64,
    },
    /// A late message does not follow what was delivered before it.
    Late {
        /// Its source.
        source: Rank,
        /// Its number.
        sequence: u64,
    },
    /// A saved message names no rank of this job.
    Source(Rank),
}

impl std::fmt::Display for ResumeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Size { what, found } => write!(f, "the table of {what} has {found} entries"),
            Self::Counter { what, found } => {
                write!(f, "the table of {what} counts {found}, more than any program sends")
            }
            Self::Late { source, sequence } => {
                write!(f, "late message {sequence} of rank {source} leaves a gap")
            }
            Self::Source(rank) => write!(f, "a saved message is from rank {rank}"),
        }
    }
}

impl std::error::Error for ResumeError {}

/// A message of which some chunks are taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Partial {
    sequence: u64,
    total: u64,
    got: u64,
}

/// The channels of one rank.
#[derive(Clone, Debug)]
pub struct Channels {
    me: Rank,
    epoch: Epoch,
    incarnations: Vec<Incarnation>,
    sent: Vec<u64>,
    delivered: Vec<u64>,
    partial: Vec<Option<Partial>>,
    suppress: Vec<u64>,
    early: Vec<Early>,
}

impl Channels {
    /// The channels of `me` in a fresh job.
    #[must_use]
    pub fn new(me: Rank, epoch: Epoch, incarnations: Vec<Incarnation>) -> Self {
        let n = incarnations.len();
        Self {
            me,
            epoch,
            incarnations,
            sent: vec![0; n],
            delivered: vec![0; n],
            partial: vec![None; n],
            suppress: vec![0; n],
            early: Vec::new(),
        }
    }

    /// The channels of `me` after a restore.
    ///
    /// # Errors
    /// [`ResumeError`] when what was saved contradicts itself or the number of ranks.
    pub fn resume(
        me: Rank,
        epoch: Epoch,
        incarnations: Vec<Incarnation>,
        from: &Resume,
    ) -> Result<Self, ResumeError> {
        let mut channels = Self::new(me, epoch, incarnations);
        let n = channels.sent.len();
        let table = |what, values: &[u64]| match values.len() == n {
            true => Ok(values.to_vec()),
            false => Err(ResumeError::Size { what, found: values.len() }),
        };
        let counters = |what, values: &[u64]| {
            let values = table(what, values)?;
            match values.iter().copied().find(|count| *count > COUNTER_MAX) {
                None => Ok(values),
                Some(found) => Err(ResumeError::Counter { what, found }),
            }
        };
        channels.sent = counters("sent messages", &from.cut.sent)?;
        channels.delivered = counters("delivered messages", &from.cut.delivered)?;
        channels.suppress = table("suppressed messages", &from.suppress)?;
        channels.early.clone_from(&from.early);
        for message in from.cut.unexpected.iter().chain(&from.late.messages) {
            if message.source.index() >= n {
                return Err(ResumeError::Source(message.source));
            }
        }
        for message in &from.late.messages {
            let (source, sequence) = (message.source, message.sequence);
            let delivered = &mut channels.delivered[source.index()];
            if delivered.checked_add(1) != Some(sequence) {
                return Err(ResumeError::Late { source, sequence });
            }
            *delivered = sequence;
        }
        Ok(channels)
    }

    /// Number of ranks.
    #[must_use]
    pub fn n(&self) -> u32 {
        u32::try_from(self.incarnations.len()).unwrap_or(u32::MAX)
    }

    /// The epoch they belong to.
    #[inline]
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// This rank's own incarnation.
    #[inline]
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnations[self.me.index()]
    }

    /// Messages sent so far, by destination.
    #[must_use]
    pub fn sent(&self) -> &[u64] {
        &self.sent
    }

    /// Messages taken in so far, by source.
    #[must_use]
    pub fn delivered(&self) -> &[u64] {
        &self.delivered
    }

    /// Numbers the next message to `destination`.
    #[inline]
    pub fn next_send(&mut self, destination: Rank) -> Outgoing {
        let sequence = self.sent[destination.index()] + 1;
        self.sent[destination.index()] = sequence;
        if sequence > self.suppress[destination.index()] {
            return Outgoing::Send { sequence };
        }
        let noted = |early: &&Early| early.peer == destination && early.sequence == sequence;
        let hash = self.early.iter().find(noted).map(|early| early.hash);
        Outgoing::Suppress { sequence, hash }
    }

    /// Takes back the last number given out for `destination`: nothing of the message was sent.
    ///
    /// # Panics
    /// When none was given out.
    pub fn withdraw(&mut self, destination: Rank) {
        let sent = &mut self.sent[destination.index()];
        assert!(*sent > 0, "a message was numbered before");
        *sent -= 1;
    }

    /// Judges a frame that lies first in the ring from `source`. Changes nothing: the frame is
    /// taken in by [`Channels::accept`] once its payload has proved whole.
    #[inline]
    #[must_use]
    pub fn judge(&self, source: Rank, header: &Header) -> Verdict {
        if header.source != source || header.destination != self.me {
            return Verdict::Corrupt("a frame of another channel");
        }
        let incarnation = self.incarnations[source.index()];
        if header.epoch < self.epoch || header.incarnation < incarnation {
            return Verdict::Stale;
        }
        if header.epoch > self.epoch || header.incarnation > incarnation {
            return Verdict::Corrupt("a frame of an epoch or incarnation yet to come");
        }
        if header.length == 0 && header.total != 0 {
            return Verdict::Corrupt("a frame without payload inside a message");
        }
        let next = self.delivered[source.index()] + 1;
        if let Some(partial) = &self.partial[source.index()] {
            let fits = header.sequence == partial.sequence
                && header.total == partial.total
                && header.offset == partial.got;
            return match fits {
                true => Verdict::Next,
                false => Verdict::Corrupt("a frame that does not follow the one before"),
            };
        }
        match header.sequence.cmp(&next) {
            std::cmp::Ordering::Less => Verdict::Duplicate,
            std::cmp::Ordering::Greater => Verdict::Corrupt("a message is missing"),
            std::cmp::Ordering::Equal if header.offset == 0 => Verdict::First,
            std::cmp::Ordering::Equal => Verdict::Corrupt("the start of a message is missing"),
        }
    }

    /// Takes in a frame judged [`Verdict::First`] or [`Verdict::Next`]; true when it completes
    /// its message, which is delivered by that.
    #[inline]
    pub fn accept(&mut self, source: Rank, header: &Header) -> bool {
        let got = header.offset + u64::from(header.length);
        let whole = got == header.total;
        self.partial[source.index()] =
            (!whole).then_some(Partial { sequence: header.sequence, total: header.total, got });
        if whole {
            self.delivered[source.index()] = header.sequence;
        }
        whole
    }
}
