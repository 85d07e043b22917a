//! The doorbell: how a rank sleeps until any of its rings, or the epoch, has changed.
//!
//! Two words a rank: `waiting`, which it alone writes, and `count`, which every ringer
//! increments and on which it sleeps. It reads `count`, sets `waiting`, fences, **looks again at
//! everything it waits for**, and only then sleeps while `count` is what it read. A ringer
//! publishes, fences, and rings if `waiting` is set.
//!
//! Why no wake-up is lost: the two fences are ordered. If the ringer's comes first, the sleeper's
//! second look sees what was published. If the sleeper's comes first, the ringer sees `waiting`
//! and increments `count`; either the sleeper read `count` before, and the kernel refuses to sleep
//! or wakes it, or after, and then it sees what was published before the increment. A ringer that
//! dies between publication and ringing costs time: sleeps are bounded.
//! Deliberately absent: the sleep itself, which is the kernel's.

use crate::words::{Ordering, Word32};

/// Announces a sleep; the value of `count` at which to sleep. The caller looks again at what it
/// waits for before it does.
pub fn prepare<W: Word32>(waiting: &W, count: &W) -> u32 {
    // Acquire: what was published before a ringing already counted is seen by the second look.
    let seen = count.load(Ordering::Acquire);
    waiting.store(1, Ordering::Relaxed);
    W::fence();
    seen
}

/// Takes the announcement back, after the sleep or instead of it.
pub fn cancel<W: Word32>(waiting: &W) {
    waiting.store(0, Ordering::Relaxed);
}

/// Whether the bell has to be rung for what the caller published just before.
#[inline]
#[must_use]
pub fn is_needed<W: Word32>(waiting: &W) -> bool {
    W::fence();
    waiting.load(Ordering::Relaxed) != 0
}

/// Rings: the sleeper does not begin to sleep any more. The caller wakes it if it already does.
pub fn ring<W: Word32>(count: &W) {
    // Release: pairs with the load in `prepare`.
    count.increment(Ordering::Release);
}
