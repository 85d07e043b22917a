//! Injections as a rank carries them out on itself.
//!
//! Invariants: passages and receipts are counted in the rank's lane, which outlives it, so an
//! injection fires as often in the job as it was asked to, across incarnations; a receipt is
//! written before the fault strikes. Deliberately absent: injections by time; the supervisor sends
//! those as orders or signals.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::Ordering;

use mainstay_comm::layout::Words;
use mainstay_types::inject::{Action, Injection, Times, When};
use mainstay_types::{Point, Rank, Step};

use crate::shm::Segment;
use crate::sys;

/// Counts points and fires what is due.
#[derive(Debug)]
pub(crate) struct Injector {
    segment: Rc<Segment>,
    rank: Rank,
    words: Words,
    injections: Vec<(u32, Injection)>,
    /// Passages of each point by this incarnation.
    passed: RefCell<Vec<u64>>,
    /// The last order obeyed.
    obeyed: Cell<u64>,
}

impl Injector {
    pub(crate) fn new(segment: Rc<Segment>, rank: Rank, injections: Vec<(u32, Injection)>) -> Self {
        let passed = RefCell::new(vec![0; Point::ALL.len()]);
        // An order given to an earlier incarnation is not this one's.
        let obeyed = Cell::new(segment.order(rank).load(Ordering::Acquire));
        let words = segment.layout().words(rank);
        Self { segment, rank, words, injections, passed, obeyed }
    }

    /// The rank passes a point.
    #[inline]
    pub(crate) fn pass(&self, point: Point) {
        let word = self.segment.word(self.words.point(point));
        let in_job = word.load(Ordering::Relaxed) + 1;
        word.store(in_job, Ordering::Relaxed);
        if !self.injections.is_empty() {
            self.strike(point, in_job);
        }
    }

    #[cold]
    fn strike(&self, point: Point, in_job: u64) {
        let in_life = {
            let mut passed = self.passed.borrow_mut();
            passed[point.index()] += 1;
            passed[point.index()]
        };
        for (number, injection) in &self.injections {
            let When::Point(at, nth) = injection.when else {
                continue;
            };
            let due = at == point
                && match injection.times {
                    Times::Count(times) => in_job >= nth && self.fired(*number) < times.into(),
                    Times::Always => in_life == nth,
                };
            if due {
                self.fire(*number, injection.action);
            }
        }
    }

    /// The rank enters the checkpoint call of a step.
    pub(crate) fn step(&self, step: Step) {
        for (number, injection) in &self.injections {
            let due = injection.when == When::Step(step)
                && match injection.times {
                    Times::Count(times) => self.fired(*number) < times.into(),
                    Times::Always => true,
                };
            if due {
                self.fire(*number, injection.action);
            }
        }
    }

    /// Obeys an order of the supervisor, if there is a new one.
    #[inline]
    pub(crate) fn obey(&self) {
        let order = self.segment.order(self.rank).load(Ordering::Acquire);
        if order != self.obeyed.get() {
            self.carry_out(order);
        }
    }

    #[cold]
    fn carry_out(&self, order: u64) {
        self.obeyed.set(order);
        // The low half names the injection; the high half tells repeated orders apart.
        let number = (order & u64::from(u32::MAX)) as u32;
        let found = self.injections.iter().find(|(known, _)| Some(*known) == number.checked_sub(1));
        if let Some((number, injection)) = found
            && match injection.times {
                Times::Count(times) => self.fired(*number) < times.into(),
                Times::Always => true,
            }
        {
            self.fire(*number, injection.action);
        }
    }

    fn fired(&self, number: u32) -> u64 {
        self.segment.receipt(self.rank, number as usize).0.load(Ordering::Relaxed)
    }

    /// Leaves the receipt, then strikes.
    fn fire(&self, number: u32, action: Action) {
        let (count, stamp) = self.segment.receipt(self.rank, number as usize);
        stamp.store(sys::now_ns(), Ordering::Relaxed);
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Release);
        match action {
            Action::Kill | Action::KillNode(_) => sys::die_of(libc::SIGKILL),
            Action::Stop => sys::stop_self(),
            Action::Exit(code) => sys::exit(code),
            Action::Segv => sys::die_of(libc::SIGSEGV),
            Action::Panic => panic!("injected by --inject"),
        }
    }
}
