//! Ring and doorbell under loom: every interleaving and every stale value that the memory model
//! allows, for two and three parties, also with a writer that stops for ever before any store.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p mainstay-comm --test it loom`.
//! A frame is one line that loom guards against races: one read before it is written, or
//! overwritten before it is read, fails the model. A sleep has no bound here, unlike in production:
//! a lost wake-up is a deadlock, which loom reports.

use std::cell::Cell;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use mainstay_comm::bell;
use mainstay_comm::ring::{Consumer, Producer};
use mainstay_comm::words::{Word32, Word64};

const LINE: u64 = 64;

/// Stores that a party has left before it stops for ever.
pub(super) struct Life(Cell<usize>);

impl Life {
    pub(super) fn endless() -> Self {
        Self(Cell::new(usize::MAX))
    }

    /// Whether the next store happens.
    fn spend(&self) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left > 0
    }

    fn is_over(&self) -> bool {
        self.0.get() == 0
    }
}

/// A word as one party sees it.
pub(super) struct W64<'a>(pub(super) &'a AtomicU64, pub(super) &'a Life);

impl Word64 for W64<'_> {
    fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    fn store(&self, value: u64, order: Ordering) {
        if self.1.spend() {
            self.0.store(value, order);
        }
    }
}

struct W32<'a>(&'a AtomicU32, &'a Life);

impl Word32 for W32<'_> {
    fn load(&self, order: Ordering) -> u32 {
        self.0.load(order)
    }

    fn store(&self, value: u32, order: Ordering) {
        if self.1.spend() {
            self.0.store(value, order);
        }
    }

    fn increment(&self, order: Ordering) {
        if self.1.spend() {
            self.0.fetch_add(1, order);
        }
    }

    fn fence() {
        fence(Ordering::SeqCst);
    }
}

/// A party's doorbell, with the kernel's part: sleep only while the count is what was seen.
#[derive(Default)]
pub(super) struct Bell {
    pub(super) waiting: AtomicU32,
    count: AtomicU32,
    kernel: Mutex<()>,
    sleepers: Condvar,
}

impl Bell {
    pub(super) fn sleep_unless(&self, life: &Life, changed: impl FnOnce() -> bool) {
        let (waiting, count) = (W32(&self.waiting, life), W32(&self.count, life));
        let seen = bell::prepare(&waiting, &count);
        if !changed() {
            let kernel = self.kernel.lock().unwrap();
            if self.count.load(Ordering::Relaxed) == seen {
                drop(self.sleepers.wait(kernel).unwrap());
            }
        }
        bell::cancel(&waiting);
    }

    fn wake(&self, life: &Life) {
        if bell::is_needed(&W32(&self.waiting, life)) {
            self.ring(life);
        }
    }

    pub(super) fn ring(&self, life: &Life) {
        bell::ring(&W32(&self.count, life));
        if !life.is_over() {
            drop(self.kernel.lock().unwrap());
            self.sleepers.notify_all();
        }
    }
}

/// A line of the ring. The cell holds nothing: loom only watches that its accesses do not race.
#[derive(Default)]
pub(super) struct Frame {
    payload: AtomicU64,
    guard: UnsafeCell<()>,
}

impl Frame {
    pub(super) fn write(&self, value: u64) {
        self.guard.with_mut(|_| self.payload.store(value, Ordering::Relaxed));
    }

    pub(super) fn read(&self) -> u64 {
        self.guard.with(|_| self.payload.load(Ordering::Relaxed))
    }
}

/// One ring with the bells of its two ends.
struct Pair {
    head: AtomicU64,
    tail: AtomicU64,
    frames: Vec<Frame>,
    reader: Bell,
    writer: Bell,
}

impl Pair {
    fn new(lines: usize) -> Self {
        Self {
            head: AtomicU64::new(0),
            tail: AtomicU64::new(0),
            frames: (0..lines).map(|_| Frame::default()).collect(),
            reader: Bell::default(),
            writer: Bell::default(),
        }
    }

    fn bytes(&self) -> usize {
        self.frames.len() * LINE as usize
    }

    fn frame(&self, position: u64) -> &Frame {
        &self.frames[(position / LINE) as usize % self.frames.len()]
    }

    /// Writes and publishes one frame whose payload is its position, if there is room.
    fn write(&self, end: &mut Producer, life: &Life) -> bool {
        if end.has_room(&W64(&self.tail, life), LINE) != Ok(true) {
            return false;
        }
        let at = end.position();
        if life.spend() {
            self.frame(at).write(at + 1);
            end.publish(&W64(&self.head, life), LINE);
        }
        true
    }

    /// Takes one frame and checks it; whether the writer's bell is due.
    fn read(&self, end: &mut Consumer, life: &Life) -> Option<bool> {
        let at = end.position();
        if end.available(&W64(&self.head, life)) == Ok(0) {
            return None;
        }
        let payload = self.frame(at).read();
        assert_eq!(payload, at + 1, "a torn frame");
        Some(end.release(&W64(&self.tail, life), LINE))
    }
}

pub(super) fn model(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

#[test]
fn a_writer_that_stops_before_any_store_leaves_whole_frames() {
    // Two stores a frame, one more for who lives on.
    for stores in 0..=6 {
        model(move || {
            let pair = Arc::new(Pair::new(2));
            let shared = Arc::clone(&pair);
            let writer = thread::spawn(move || {
                let life = Life(Cell::new(stores));
                let mut end = Producer::new(shared.bytes());
                for _ in 0..3 {
                    while !life.is_over() && !shared.write(&mut end, &life) {
                        thread::yield_now();
                    }
                }
            });
            let life = Life::endless();
            let mut end = Consumer::new(pair.bytes());
            let mut got = 0;
            // As many as its stores allow, and all of them once it is over.
            while got < stores as u64 / 2 {
                match pair.read(&mut end, &life) {
                    Some(_) => got += 1,
                    None => thread::yield_now(),
                }
            }
            writer.join().unwrap();
            assert_eq!(pair.read(&mut end, &life), None, "nothing half written");
        });
    }
}

#[test]
fn a_reader_never_sleeps_through_a_publication() {
    model(|| {
        let pair = Arc::new(Pair::new(4));
        let shared = Arc::clone(&pair);
        let writer = thread::spawn(move || {
            let life = Life::endless();
            let mut end = Producer::new(shared.bytes());
            for _ in 0..2 {
                assert!(shared.write(&mut end, &life));
                shared.reader.wake(&life);
            }
        });
        let life = Life::endless();
        let mut end = Consumer::new(pair.bytes());
        let mut got = 0;
        while got < 2 {
            if pair.read(&mut end, &life).is_some() {
                got += 1;
            } else {
                let head = W64(&pair.head, &life);
                let more = || end.available(&head) != Ok(0);
                pair.reader.sleep_unless(&life, more);
            }
        }
        writer.join().unwrap();
    });
}

#[test]
fn one_bell_serves_two_writers() {
    model(|| {
        let flags = Arc::new((AtomicU64::new(0), AtomicU64::new(0), Bell::default()));
        let writers = [0, 1].map(|which| {
            let flags = Arc::clone(&flags);
            thread::spawn(move || {
                let life = Life::endless();
                let flag = if which == 0 { &flags.0 } else { &flags.1 };
                W64(flag, &life).store(1, Ordering::Release);
                flags.2.wake(&life);
            })
        });
        let life = Life::endless();
        let both = || flags.0.load(Ordering::Acquire) + flags.1.load(Ordering::Acquire) == 2;
        while !both() {
            flags.2.sleep_unless(&life, both);
        }
        for writer in writers {
            writer.join().unwrap();
        }
    });
}

#[test]
fn a_writer_is_woken_for_room_although_the_reader_tells_only_quarters() {
    model(|| {
        // A full ring of eight lines; the reader tells of room at every second.
        let pair = Arc::new(Pair::new(8));
        let alive = Life::endless();
        let mut end = Producer::new(pair.bytes());
        for _ in 0..8 {
            assert!(pair.write(&mut end, &alive));
        }
        let shared = Arc::clone(&pair);
        let writer = thread::spawn(move || {
            let life = Life::endless();
            while !shared.write(&mut end, &life) {
                let tail = W64(&shared.tail, &life);
                let room = || end.has_room(&tail, LINE) != Ok(false);
                shared.writer.sleep_unless(&life, room);
            }
            shared.reader.wake(&life);
        });
        let mut end = Consumer::new(pair.bytes());
        let mut got = 0;
        while got < 9 {
            match pair.read(&mut end, &alive) {
                Some(due) => {
                    got += 1;
                    if due {
                        pair.writer.wake(&alive);
                    }
                }
                None => {
                    let head = W64(&pair.head, &alive);
                    let more = || end.available(&head) != Ok(0);
                    pair.reader.sleep_unless(&alive, more);
                }
            }
        }
        writer.join().unwrap();
    });
}
