//! The words in shared memory by which every rank captures at the same step, without a barrier.
//!
//! A rank stores its step, then reads the target. The supervisor stores a target, then reads the
//! steps. Each has a full fence between its store and its loads, so of a rank that reaches the
//! target and a supervisor that looks at it, at least one sees the other: if every step was still
//! below the target, every rank will see the target when it gets there. Else the target is void
//! and withdrawn, and whatever was captured at it is never committed.
//!
//! Invariants: version and slot are stored while no target stands; a rank believes them only if
//! the target is the same before and after; within an epoch no target is stored twice.
//! Deliberately absent: epochs; the supervisor withdraws the target right after it has raised one,
//! and a capture that was under way names its epoch and is dropped.
//! `docs/protocols/target.md` has the proof, loom explores it (`tests/it/target_loom.rs`).

use std::sync::atomic::{AtomicU64, Ordering, fence};

use mainstay_types::{Step, Version};

/// A 64-bit word shared between processes.
pub trait Word {
    /// Loads it, with acquire ordering at least.
    fn load(&self) -> u64;
    /// Stores into it, with release ordering at least.
    fn store(&self, value: u64);
    /// A sequentially consistent fence.
    fn fence();
}

impl Word for AtomicU64 {
    fn load(&self) -> u64 {
        Self::load(self, Ordering::Acquire)
    }

    fn store(&self, value: u64) {
        Self::store(self, value, Ordering::Release);
    }

    fn fence() {
        fence(Ordering::SeqCst);
    }
}

impl<W: Word> Word for &W {
    fn load(&self) -> u64 {
        (**self).load()
    }

    fn store(&self, value: u64) {
        (**self).store(value);
    }

    fn fence() {
        W::fence();
    }
}

/// What every rank captures at, in words that the supervisor writes and the ranks read.
#[derive(Clone, Copy, Debug)]
pub struct Target<W> {
    /// The step; 0 is none.
    pub step: W,
    /// The version to be captured there.
    pub version: W,
    /// The slot of the arenas that takes it.
    pub slot: W,
}

impl<W: Word> Target<W> {
    /// Supervisor: takes the target away. A rank may still capture at it, for nothing.
    pub fn withdraw(&self) {
        self.step.store(0);
    }

    /// Supervisor: proposes a target, which is above all steps that it knows of and above all
    /// earlier targets of the epoch. [`Target::holds`] must be asked next.
    ///
    /// # Panics
    /// When the target is step 0, which no rank reaches.
    pub fn publish(&self, version: Version, slot: u8, at: Step) {
        assert!(at > Step(0), "step 0 is the start, not a target");
        self.withdraw();
        self.version.store(version.0);
        self.slot.store(u64::from(slot));
        self.step.store(at.0);
    }

    /// Supervisor, after [`Target::publish`]: whether every rank will capture at the target. If
    /// not, it must be withdrawn and its version is void.
    #[must_use]
    pub fn holds(at: Step, steps: impl IntoIterator<Item = W>) -> bool {
        W::fence();
        steps.into_iter().all(|step| step.load() < at.0)
    }

    /// Rank: enters the completion of step `now` in its word and says whether it captures here.
    #[must_use]
    pub fn at_step(&self, own: &W, now: Step) -> Option<(Version, u8)> {
        own.store(now.0);
        W::fence();
        if self.step.load() != now.0 {
            return None;
        }
        let (version, slot) = (self.version.load(), self.slot.load());
        let slot = u8::try_from(slot).ok()?;
        (self.step.load() == now.0).then_some((Version(version), slot))
    }
}
