//! What a rank tells about itself in its lane: that it is in a call, what it waits for, counts.
//!
//! Invariants: only the rank itself writes its lane; whoever sees a wait's kind also sees what
//! belongs to it. Deliberately absent: what follows from it; the evidence engine judges.

use std::sync::atomic::{AtomicU64, Ordering};

use mainstay_comm::layout::{Status, Words};
use mainstay_types::{Rank, WaitKind};

use super::Segment;

impl Segment {
    /// Tells that `rank`, which is the caller, has entered a call.
    pub fn enter_call(&self, rank: Rank) {
        self.enter(self.layout().words(rank));
    }

    /// Tells that `rank`, which is the caller, has left its call.
    pub fn leave_call(&self, rank: Rank) {
        self.leave(self.layout().words(rank));
    }

    /// As [`Segment::enter_call`], for the rank whose words these are.
    #[inline]
    pub fn enter(&self, words: Words) {
        bump(self.word(words.status(Status::Calls)));
        self.word(words.status(Status::InCall)).store(1, Ordering::Relaxed);
    }

    /// As [`Segment::leave_call`], for the rank whose words these are.
    #[inline]
    pub fn leave(&self, words: Words) {
        self.word(words.status(Status::InCall)).store(0, Ordering::Relaxed);
    }

    /// Tells what `rank`, which is the caller, starts to wait for; no peer is any, no tag is any.
    pub fn begin_wait(&self, rank: Rank, kind: WaitKind, peer: Option<Rank>, tag: Option<u32>) {
        let put = |word, value| self.status(rank, word).store(value, Ordering::Relaxed);
        put(Status::WaitPeer, peer.map_or(0, |peer| u64::from(peer.0) + 1));
        put(Status::WaitTag, tag.map_or(u64::MAX, u64::from));
        bump(self.status(rank, Status::WaitSeq));
        // Who sees the kind also sees what belongs to it.
        self.status(rank, Status::WaitKind).store(kind.code(), Ordering::Release);
    }

    /// Tells that `rank`, which is the caller, no longer waits.
    pub fn end_wait(&self, rank: Rank) {
        self.status(rank, Status::WaitKind).store(0, Ordering::Release);
    }
}

/// Adds one to a word that only the caller writes.
#[inline]
pub(crate) fn bump(word: &AtomicU64) {
    let next = word.load(Ordering::Relaxed).wrapping_add(1);
    word.store(next, Ordering::Relaxed);
}
