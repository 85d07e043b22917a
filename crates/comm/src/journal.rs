//! What a rank's choices came to: the determinants of calls whose outcome depends on timing.
//!
//! A receive from any source, a probe and a test may come out otherwise when they are made again.
//! A rank that sends early messages of a version (see [`crate::cut`]) must send the same again
//! after a restore, so what it chose between its capture and those sends has to come out the same.
//! From a capture until all ranks have captured the version, choices are therefore numbered and
//! kept, and no longer: what is received after that may itself depend on choices that nobody kept.
//! They are handed in with the late messages and are part of the version. After a restore
//! the first choices follow them, and those that come later are free again: whatever depends on
//! them was sent to ranks that had captured already, or not sent yet.
//! A rank may capture the next version while it still follows the last: what is left to follow is
//! then part of that one as well, as its peers still have the messages that depend on it.
//! Invariants: a number names one call; of calls that are repeated until they succeed only the
//! successes take room. Deliberately absent: waiting for what has to come.
//!
//! # Source
//! Strom and Yemini, "Optimistic recovery in distributed systems", ACM TOCS 3 (1985), for
//! determinants; that a cut needs those of its early messages alone follows from Lai and Yang's
//! colours.

use std::collections::VecDeque;

use mainstay_types::{Determinant, Determinants, Outcome};

/// How a choice is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// As it comes. Under this number it is to be noted.
    Free(u64),
    /// To this outcome, which has to be waited for.
    To(Outcome),
    /// To nothing by the time to which the version's choices were kept: a call that may come back
    /// empty does so, another is free, and its outcome is to be noted under this number.
    Nothing(u64),
}

/// The choices of one rank.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    calls: u64,
    /// What is kept for the version captured last, until it is handed in.
    kept: Option<Vec<Determinant>>,
    /// The calls made until all had captured it.
    sealed: Option<u64>,
    /// What the next calls have to come to, by number.
    replay: VecDeque<Determinant>,
    replay_calls: u64,
}

impl Journal {
    /// A rank that goes on from a version follows what it had chosen.
    #[must_use]
    pub fn resume(from: Determinants) -> Self {
        let mut entries = from.entries;
        entries.sort_by_key(|entry| entry.call);
        Self { replay: entries.into(), replay_calls: from.calls, ..Self::default() }
    }

    /// Whether there is something to follow.
    #[must_use]
    pub fn follows(&self) -> bool {
        self.calls < self.replay_calls
    }

    /// A choice begins.
    pub fn choose(&mut self) -> Choice {
        let call = self.calls;
        self.calls += 1;
        if call >= self.replay_calls {
            return Choice::Free(call);
        }
        match self.replay.pop_front_if(|entry| entry.call <= call) {
            Some(entry) if entry.call == call => {
                self.note(call, entry.outcome);
                Choice::To(entry.outcome)
            }
            _ => Choice::Nothing(call),
        }
    }

    /// Whether choices are kept for a version.
    #[inline]
    #[must_use]
    pub fn keeps(&self) -> bool {
        self.kept.is_some() && self.sealed.is_none()
    }

    /// All ranks have captured the version. What is chosen from here on is in nobody's state, and
    /// may be of a message that its sender need not send again.
    pub fn seal(&mut self) {
        self.sealed.get_or_insert(self.calls);
    }

    /// A choice came to this.
    pub fn note(&mut self, call: u64, outcome: Outcome) {
        if self.sealed.is_none()
            && let Some(kept) = &mut self.kept
        {
            kept.push(Determinant { call, outcome });
        }
    }

    /// A version is captured: numbers begin anew, and outcomes are kept for it.
    pub fn capture(&mut self) {
        let made = std::mem::take(&mut self.calls);
        self.replay_calls = self.replay_calls.saturating_sub(made);
        for entry in &mut self.replay {
            entry.call = entry.call.saturating_sub(made);
        }
        (self.kept, self.sealed) = (Some(Vec::new()), None);
    }

    /// The version's channels are closed: what belongs to it.
    pub fn close(&mut self) -> Determinants {
        let mut entries = self.kept.take().unwrap_or_default();
        entries.extend(&self.replay);
        let calls = self.sealed.take().unwrap_or(self.calls);
        Determinants { calls: calls.max(self.replay_calls), entries }
    }

    /// The version is void: nothing is kept for it any more.
    pub fn abandon(&mut self) {
        self.kept = None;
    }
}
