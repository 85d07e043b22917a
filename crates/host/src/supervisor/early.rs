//! Early evidence: a thread that sleeps on the robust locks of all ranks at once.
//!
//! Invariant: it only reports that the thread which owns a lane has ended; the supervisor looks why.
//! Deliberately absent: certainty. On kernels without `futex_waitv`, and for ranks beyond the number
//! that it takes, nothing is reported and the pidfd tells a little later.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use mainstay_types::Rank;
use rustix::event::{EventfdFlags, eventfd};
use rustix::thread::futex::{Timespec, Wait, WaitFlags, WaitPtr, WaitvFlags, waitv};

use crate::shm::{OWNER_DIED, Segment, futex};

/// Words that the kernel waits for at once (`FUTEX_WAITV_MAX`), without the one that wakes us.
const RANKS_MAX: usize = 127;
/// No sleep lasts longer, so that a wake-up that is lost costs time and nothing else.
const BOUND: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

#[derive(Debug)]
struct Shared {
    segment: Arc<Segment>,
    /// Whose lock is watched.
    armed: Vec<AtomicBool>,
    /// Changes when the thread is to look again.
    kick: AtomicU32,
    stop: AtomicBool,
}

/// The supervisor's end.
#[derive(Debug)]
pub(crate) struct Early {
    shared: Arc<Shared>,
    reports: Receiver<Rank>,
    ready: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Early {
    pub(crate) fn start(segment: Arc<Segment>) -> io::Result<Self> {
        let ranks = (segment.layout().n() as usize).min(RANKS_MAX);
        let armed = (0..ranks).map(|_| AtomicBool::new(false)).collect();
        let (kick, stop) = (AtomicU32::new(0), AtomicBool::new(false));
        let shared = Arc::new(Shared { segment, armed, kick, stop });
        let ready = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (done, reports) = channel();
        let (theirs, bell) = (Arc::clone(&shared), Arc::clone(&ready));
        let thread = std::thread::Builder::new()
            .name("mainstay-early".to_owned())
            .spawn(move || theirs.watch(&done, &bell))?;
        Ok(Self { shared, reports, ready, thread: Some(thread) })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }

    /// Watches a rank whose next incarnation is about to be started.
    pub(crate) fn arm(&self, rank: Rank) {
        self.shared.segment.owner(rank).store(0, Ordering::SeqCst);
        if let Some(armed) = self.shared.armed.get(rank.index()) {
            armed.store(true, Ordering::SeqCst);
            self.kick();
        }
    }

    /// The ranks whose threads have ended since the last call.
    pub(crate) fn reports(&self) -> Vec<Rank> {
        let mut count = [0; 8];
        let _none_yet = rustix::io::read(&self.ready, &mut count);
        self.reports.try_iter().collect()
    }

    fn kick(&self) {
        self.shared.kick.fetch_add(1, Ordering::SeqCst);
        futex::wake_all(&self.shared.kick);
    }
}

impl Drop for Early {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.kick();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed; nothing of it is needed here.
            let _panicked = thread.join();
        }
    }
}

impl Shared {
    #[expect(clippy::host_endian_bytes, reason = "the kernel reads the counter as this host does")]
    fn watch(&self, done: &Sender<Rank>, bell: &OwnedFd) {
        loop {
            let kick = self.kick.load(Ordering::SeqCst);
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let mut waits = vec![wait(&self.kick, kick)];
            for (rank, armed) in (0..).map(Rank).zip(&self.armed) {
                if !armed.load(Ordering::SeqCst) {
                    continue;
                }
                let word = self.segment.owner(rank);
                let seen = word.load(Ordering::SeqCst);
                if seen & OWNER_DIED == 0 {
                    waits.push(wait(word, seen));
                } else {
                    armed.store(false, Ordering::SeqCst);
                    // A supervisor that is gone needs no reports.
                    let _gone = done.send(rank);
                    let _full = rustix::io::write(bell, &1_u64.to_ne_bytes());
                }
            }
            let clock = rustix::time::ClockId::Monotonic;
            let until = rustix::time::clock_gettime(clock);
            let until = Timespec { tv_sec: until.tv_sec + BOUND.tv_sec, ..until };
            let woken = waitv(&waits, WaitvFlags::empty(), Some(&until), clock);
            if matches!(woken, Err(rustix::io::Errno::NOSYS | rustix::io::Errno::INVAL)) {
                return;
            }
        }
    }
}

fn wait(word: &AtomicU32, seen: u32) -> Wait {
    let mut wait = Wait::new();
    wait.val = seen.into();
    wait.uaddr = WaitPtr::new(word.as_ptr().cast());
    wait.flags = WaitFlags::SIZE_U32;
    wait
}
