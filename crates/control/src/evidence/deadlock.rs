//! All ranks wait for each other: the evidence for a deadlock, and its sentence.
//!
//! Two looks must agree: every rank asleep in the same wait as before, both times with nothing in
//! any ring. Between them every rank was in that one wait, so at some moment all were at once, and
//! none of them had anything left to be woken by. A rank that was rung and not yet scheduled is
//! runnable, not asleep, and so spoils the evidence.
//!
//! Invariant: a wait that the supervisor or a deadline ends is never part of a deadlock.
//! Deliberately absent: time; two looks are two heartbeats.

use std::fmt;

use mainstay_types::{Incarnation, Rank, WaitKind};

use super::Sample;

/// One wait of one rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// What for.
    pub kind: WaitKind,
    /// Whom for, if it is one rank.
    pub peer: Option<Rank>,
    /// The message's tag, if it has one; in a collective it tells which one it is.
    pub tag: Option<u32>,
    /// The number of the wait: another one has another number, the same one keeps it however
    /// often its park times out.
    pub since_seq: u64,
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            WaitKind::Send => "to send",
            WaitKind::Receive => "to receive",
            WaitKind::Collective => collective(self.tag),
            WaitKind::Finish => "in finish",
            WaitKind::Supervisor => "for the supervisor",
            WaitKind::Bounded => "until its deadline",
            WaitKind::Requests => "for one of several requests",
            WaitKind::Agree => "for all ranks to agree",
        })?;
        match (self.kind, self.peer) {
            (WaitKind::Receive, None) => f.write_str(" from any rank")?,
            (_, None) => {}
            (WaitKind::Send, Some(peer)) => write!(f, " to rank {peer}")?,
            (WaitKind::Receive, Some(peer)) => write!(f, " from rank {peer}")?,
            (_, Some(peer)) => write!(f, " for rank {peer}")?,
        }
        match self.tag.filter(|_| self.kind != WaitKind::Collective) {
            Some(tag) => write!(f, " (tag {tag})"),
            None => Ok(()),
        }
    }
}

/// The collective whose messages have this tag; see `docs/formats/trace.md`.
fn collective(tag: Option<u32>) -> &'static str {
    match tag {
        Some(1 | 16) => "in a barrier",
        Some(2 | 17) => "in a broadcast",
        Some(3 | 4 | 18) => "in a reduction",
        Some(5 | 6 | 19) => "in a gather",
        Some(7) => "in a scatter",
        Some(8 | 20) => "in an alltoall",
        Some(9) => "in a scan",
        _ => "in a collective",
    }
}

/// Most ranks that a sentence names.
const NAMED_MAX: usize = 16;

/// Who waits for whom, for people.
#[must_use]
pub fn who_waits(waits: &[(Rank, Wait)]) -> String {
    let mut parts: Vec<_> = waits
        .iter()
        .take(NAMED_MAX)
        .map(|(rank, wait)| format!("rank {rank} waits {wait}"))
        .collect();
    if let Some(more) = waits.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        parts.push(format!("and {more} more"));
    }
    parts.join(", ")
}

/// The waits of the last look, if all ranks were in one and nothing was in flight.
#[derive(Clone, Debug, Default)]
pub(super) struct Standstill {
    last: Option<Vec<(Rank, Incarnation, Wait)>>,
}

impl Standstill {
    /// Enters a look at all ranks; `complete` says that none is missing and the rings are empty.
    pub(super) fn look(&mut self, samples: &[Sample], complete: bool) -> Option<Vec<(Rank, Wait)>> {
        let now = if complete { all_wait(samples) } else { None };
        let last = std::mem::replace(&mut self.last, now.clone());
        let (now, last) = (now?, last?);
        if now != last {
            return None;
        }
        // Said once: two more looks say it again.
        self.last = None;
        Some(now.into_iter().map(|(rank, _, wait)| (rank, wait)).collect())
    }
}

/// The waits of all ranks, if all are asleep in one that only another rank can end.
fn all_wait(samples: &[Sample]) -> Option<Vec<(Rank, Incarnation, Wait)>> {
    let waits: Vec<_> = samples
        .iter()
        .map(|sample| {
            let wait = sample
                .wait
                .filter(|wait| !matches!(wait.kind, WaitKind::Supervisor | WaitKind::Bounded))?;
            let asleep = sample.state == 'S' && sample.joined && sample.epoch_acked;
            asleep.then_some((sample.rank, sample.incarnation, wait))
        })
        .collect::<Option<_>>()?;
    // When all are in finish, it is the supervisor's turn.
    let all_done = waits.iter().all(|(_, _, wait)| wait.kind == WaitKind::Finish);
    (!all_done).then_some(waits)
}
