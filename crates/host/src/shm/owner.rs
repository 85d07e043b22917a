//! The robust lock of a lane: how a supervisor learns at once that a rank's thread has ended.
//!
//! A pidfd is readable only after the kernel has taken the whole address space down, which takes
//! milliseconds for each hundred megabytes. A robust lock is released before that: when a thread
//! ends, the kernel marks the locks that it holds and wakes who waits for them. Each rank holds one,
//! in its lane, from joining to its end. Invariant: the mark is evidence that the thread which owns
//! the lane runs no more; that its process ends is known from elsewhere. Deliberately absent:
//! unlocking; only death releases it.

use std::io;
use std::mem::MaybeUninit;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use mainstay_comm::layout::LINE_BYTES;
use mainstay_types::Rank;

use super::{Segment, futex};

/// Set in the word by the kernel when the holder has ended.
pub const OWNER_DIED: u32 = libc::FUTEX_OWNER_DIED;

const _: () = assert!(size_of::<libc::pthread_mutex_t>() <= LINE_BYTES);

impl Segment {
    /// The word that the kernel marks.
    #[inline]
    #[must_use]
    pub fn owner(&self, rank: Rank) -> &AtomicU32 {
        self.memory.word32(self.layout().owner(rank))
    }

    /// Takes the lock of `rank`, which is the caller, for the life of this thread. Without glibc,
    /// whose lock begins with the word that the kernel marks, nothing is done.
    ///
    /// The segment stays mapped from then on: the thread's list of robust locks, which both the
    /// kernel and the C library follow, leads through it.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn claim(self: &Rc<Self>, rank: Rank) -> io::Result<()> {
        if !cfg!(target_env = "gnu") {
            return Ok(());
        }
        let lock = self.memory.place(self.layout().owner(rank)).cast::<libc::pthread_mutex_t>();
        let mut attributes = MaybeUninit::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: the attributes are a local that outlives all uses of it below.
        done(unsafe { libc::pthread_mutexattr_init(attributes) })?;
        // SAFETY: the attributes were initialised just now.
        let shared =
            unsafe { libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED) };
        done(shared)?;
        // SAFETY: as above.
        done(unsafe { libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST) })?;
        let _mapped_for_life = Rc::into_raw(Rc::clone(self));
        // SAFETY: the lock has a line of this rank's own lane, mapped writable for the life of the
        // process by the count just leaked; no earlier incarnation lives, and the supervisor only
        // reads and clears its word.
        done(unsafe { libc::pthread_mutex_init(lock, attributes) })?;
        // SAFETY: the lock was initialised just now and nobody else ever takes it.
        done(unsafe { libc::pthread_mutex_lock(lock) })?;
        let word = self.owner(rank);
        // The kernel wakes only who it is told of.
        word.fetch_or(libc::FUTEX_WAITERS, Ordering::SeqCst);
        futex::wake_all(word);
        Ok(())
    }
}

fn done(code: i32) -> io::Result<()> {
    match code {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}
