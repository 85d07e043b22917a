//! The names of the words in a segment: what each means and who writes it.
//!
//! Invariant: a value is never reused for another meaning; new ones are added at the end.
//! Deliberately absent: who may read them when; `docs/protocols` tells.

use super::LINE_BYTES;

/// Words of the control page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// [`MAGIC`](super::MAGIC).
    Magic,
    /// Number of ranks.
    N,
    /// Capacity of a ring.
    RingBytes,
    /// The epoch in force.
    Epoch,
    /// The step at which a version is to be captured; 0 is none.
    Target,
    /// That version.
    TargetVersion,
    /// The slot for it.
    TargetSlot,
    /// The epoch whose results are all in: the job is finished. 0 is none.
    Finished,
    /// Not 0 once ranks shall leave.
    Shutdown,
}

impl Control {
    /// Every word, in order.
    pub const ALL: [Self; 9] = [
        Self::Magic,
        Self::N,
        Self::RingBytes,
        Self::Epoch,
        Self::Target,
        Self::TargetVersion,
        Self::TargetSlot,
        Self::Finished,
        Self::Shutdown,
    ];

    /// The target's words share a line, as they are read together; the epoch has its own.
    #[inline]
    pub(super) const fn at(self) -> usize {
        match self {
            Self::Magic => 0,
            Self::N => 8,
            Self::RingBytes => 16,
            Self::Epoch => LINE_BYTES,
            Self::Target => 2 * LINE_BYTES,
            Self::TargetVersion => 2 * LINE_BYTES + 8,
            Self::TargetSlot => 2 * LINE_BYTES + 16,
            Self::Finished => 3 * LINE_BYTES,
            Self::Shutdown => 3 * LINE_BYTES + 8,
        }
    }
}

/// Words of a lane, all written by its rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The step just begun.
    Step,
    /// Calls entered so far.
    Calls,
    /// 1 while inside a call.
    InCall,
    /// Changes whenever a wait begins or goes on after progress.
    WaitSeq,
    /// What is waited for: a [`WaitKind`](mainstay_types::WaitKind).
    WaitKind,
    /// The peer waited for, plus 1; 0 is none.
    WaitPeer,
    /// The tag waited for.
    WaitTag,
    /// The last version captured.
    CapVersion,
    /// 1 once it has made a call whose outcome depends on timing.
    Chooses,
    /// How many rings to it begin with a message that it has no memory for.
    Held,
}

impl Status {
    /// Every word, in order.
    pub const ALL: [Self; 10] = [
        Self::Step,
        Self::Calls,
        Self::InCall,
        Self::WaitSeq,
        Self::WaitKind,
        Self::WaitPeer,
        Self::WaitTag,
        Self::CapVersion,
        Self::Chooses,
        Self::Held,
    ];

    /// The step is polled by the supervisor and the version by peers: a line each.
    #[inline]
    pub(super) const fn at(self) -> usize {
        match self {
            Self::Step => 0,
            Self::Calls => LINE_BYTES,
            Self::InCall => LINE_BYTES + 8,
            Self::WaitSeq => LINE_BYTES + 16,
            Self::WaitKind => LINE_BYTES + 24,
            Self::WaitPeer => LINE_BYTES + 32,
            Self::WaitTag => LINE_BYTES + 40,
            Self::CapVersion => 2 * LINE_BYTES,
            Self::Chooses => 2 * LINE_BYTES + 8,
            Self::Held => LINE_BYTES + 48,
        }
    }
}

/// Counters of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Messages sent, suppressed ones included.
    Sent,
    /// Messages taken in whole.
    Delivered,
    /// Frames or payloads that were corrupt.
    Corrupt,
    /// Frames of an older epoch or incarnation, dropped.
    Stale,
    /// Messages taken in before, dropped.
    Duplicate,
    /// Messages not sent again, as the receiver has them.
    Suppressed,
    /// Messages that crossed a cut and were kept with its version.
    Late,
    /// Messages that found no memory at their receiver and waited in their ring.
    Held,
}

impl Counter {
    /// Every counter, in order.
    pub const ALL: [Self; 8] = [
        Self::Sent,
        Self::Delivered,
        Self::Corrupt,
        Self::Stale,
        Self::Duplicate,
        Self::Suppressed,
        Self::Late,
        Self::Held,
    ];
}
