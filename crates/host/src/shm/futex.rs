//! Waiting in the kernel until a shared word changes.
//!
//! Invariant: every wait has a bound, so a wake-up that never comes costs time and nothing else.
//! Deliberately absent: the conditions; who waits checks them before and after.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex::{self, Flags, Timespec};

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Someone woke the word, or the word had changed already, or a signal came.
    Changed,
    /// The time was over.
    TimedOut,
}

/// Sleeps while `word` is `seen`, at most `bound`.
pub fn wait(word: &AtomicU32, seen: u32, bound: Duration) -> Woken {
    let timeout = Timespec {
        tv_sec: bound.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: bound.subsec_nanos().into(),
    };
    // Shared, not private: the word lies in memory of several processes.
    match futex::wait(word, Flags::empty(), seen, Some(&timeout)) {
        Err(Errno::TIMEDOUT) => Woken::TimedOut,
        _ => Woken::Changed,
    }
}

/// Wakes all who sleep on `word`.
pub fn wake_all(word: &AtomicU32) {
    // A futex wake fails only for addresses that are not mapped.
    let woken = futex::wake(word, Flags::empty(), i32::MAX as u32);
    debug_assert!(woken.is_ok(), "the word is mapped");
}
