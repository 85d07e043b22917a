//! A job in simulated time, which works, captures when the pace says so, and fails when its seed says
//! so: ranks fall back to the newest version in memory, a lost machine to the newest on disk.
//!
//! There are two slots: while a version is on its way to disk, one more can be captured. Deliberately
//! absent: steps that are missed, which cost nothing against these times.

use std::time::Duration;

use mainstay_control::target::{Pace, Terms};
use mainstay_types::Step;

use crate::random::Random;

/// What a machine is like, in seconds.
#[derive(Clone, Copy)]
pub(super) struct Machine {
    /// What a version costs in memory, and beside that on disk.
    pub(super) cost: (f64, f64),
    /// How long a version takes to become durable.
    pub(super) drain: f64,
    /// The mean times between failures of ranks and losses of the machine.
    pub(super) mtbf: (f64, f64),
    /// The shape of the times between them: 1 is memoryless, less is in bursts.
    pub(super) shape: Shape,
    /// Whether costs vary between a half and one and a half of their mean, and a tenth of them is tenfold.
    pub(super) noisy: bool,
}

#[derive(Clone, Copy)]
pub(super) enum Shape {
    Exponential,
    /// Weibull with the shape 0.7, as is found in logs of large machines.
    Bursts,
}

/// How long a failure of a rank and the loss of a machine take beside the work done again.
const RESTART: (f64, f64) = (1.0, 30.0);

/// One run under way.
struct Job<'a> {
    machine: &'a Machine,
    terms: Terms,
    pace: Pace,
    random: Random,
    now: f64,
    work: f64,
    memory: f64,
    disk: f64,
    /// Work in the version on its way to disk, and when it is there.
    draining: Option<(f64, f64)>,
    /// The version captured since that began, and whether it is to go to disk next.
    other: Option<(f64, bool)>,
    fails: (f64, f64),
}

fn time(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// The time that `work` takes with these terms.
pub(super) fn takes(machine: &Machine, terms: Terms, work: f64, seed: u64) -> f64 {
    let random = Random(seed);
    let pace = Pace::new(terms);
    let (now, memory, disk, draining) = (0.0, 0.0, 0.0, None);
    let fails = (0.0, 0.0);
    let mut job = Job {
        machine,
        terms,
        pace,
        random,
        now,
        work: 0.0,
        memory,
        disk,
        draining,
        other: None,
        fails,
    };
    job.fails = (job.draw(machine.mtbf.0), job.draw(machine.mtbf.1));
    job.pace.opened(Duration::ZERO);
    // Sums of doubles end a hair before or after.
    while job.work < work - 1e-6 {
        job.turn(work);
    }
    job.now
}

impl Job<'_> {
    fn uniform(&mut self) -> f64 {
        (self.random.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The time until the next failure of a kind.
    fn draw(&mut self, mtbf: f64) -> f64 {
        let exponential = -(1.0 - self.uniform()).ln();
        mtbf * match self.machine.shape {
            Shape::Exponential => exponential,
            // Divided by Γ(1 + 1/0.7), so that the mean is one.
            Shape::Bursts => exponential.powf(1.0 / 0.7) / 1.265_824,
        }
    }

    /// Works until something happens.
    fn turn(&mut self, goal: f64) {
        let slot_is_free = self.draining.is_none() || self.other.is_none();
        let wait = self.pace.due_in(time(self.now)).filter(|_| slot_is_free);
        let wait = wait.map_or(f64::INFINITY, |wait| wait.as_secs_f64());
        let next = self.now + wait.min(goal - self.work);
        let drained = self.draining.map_or(f64::INFINITY, |(_, at)| at);
        let until = next.min(drained).min(self.fails.0).min(self.fails.1);
        self.work += until - self.now;
        self.now = until;
        if until == self.fails.1 {
            self.machine_lost();
        } else if until == self.fails.0 {
            self.rank_fails();
        } else if until == drained {
            self.drained();
        } else if wait.is_finite() {
            self.capture();
        }
    }

    fn capture(&mut self) {
        // A clock of whole nanoseconds may be a hair before the time that is due.
        let now = time(self.now) + Duration::from_nanos(2);
        let Some(due) = self.pace.due(now, &[Step(0)]) else { return };
        let noise = match self.machine.noisy {
            true if self.random.below(10) == 0 => 10.0,
            true => 0.5 + self.uniform(),
            false => 1.0,
        };
        let cost = self.machine.cost.0 * noise;
        let written = if due.durable { self.machine.cost.1 } else { 0.0 };
        self.now += cost + written;
        let end = self.now;
        if end >= self.fails.0.min(self.fails.1) {
            // It dies in the capture, which is done for nothing.
            self.now = self.fails.0.min(self.fails.1);
            return;
        }
        self.pace.committed(time(end), time(cost));
        self.memory = self.work;
        if self.draining.is_some() {
            self.other = Some((self.work, due.durable));
        } else if due.durable {
            self.draining = Some((self.work, end + self.machine.drain));
        }
    }

    fn drained(&mut self) {
        if let Some((work, _)) = self.draining.take() {
            self.disk = work;
            self.pace.drained(time(self.machine.drain), time(self.machine.cost.1));
        }
        if let Some((work, true)) = self.other.take() {
            self.draining = Some((work, self.now + self.machine.drain));
        }
    }

    fn rank_fails(&mut self) {
        self.work = self.memory;
        self.pace.failed(time(self.now));
        self.now += RESTART.0;
        self.pace.opened(time(self.now));
        self.fails.0 = self.now + self.draw(self.machine.mtbf.0);
        self.fails.1 = self.fails.1.max(self.now);
    }

    /// Another launcher knows nothing of what this one has measured.
    fn machine_lost(&mut self) {
        (self.work, self.memory) = (self.disk, self.disk);
        (self.draining, self.other) = (None, None);
        self.now += RESTART.1;
        self.pace = Pace::new(self.terms);
        self.pace.opened(time(self.now));
        self.fails =
            (self.now + self.draw(self.machine.mtbf.0), self.now + self.draw(self.machine.mtbf.1));
    }
}
