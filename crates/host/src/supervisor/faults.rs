//! Injections that the supervisor carries out, and the receipts of all.
//!
//! Injections by time, and at points that the supervisor passes, strike from outside by signal;
//! `exit` and `panic` are ordered, as a process can do them only itself. By time, an injection
//! that fires several times does so once each time its delay has passed again. Invariant: a
//! receipt is written before the fault strikes. Deliberately absent: injections by step and at
//! ranks' points; see `rank::inject`.

use std::sync::atomic::Ordering;
use std::time::Duration;

use mainstay_types::inject::{Action, Injection, Times, When};
use mainstay_types::{Node, Point, Rank};
use rustix::process::Signal;

use super::Supervisor;
use crate::shm::Segment;
use crate::{procfs, sys};

/// One injection and the rank it strikes.
#[derive(Debug)]
struct Armed {
    number: u32,
    injection: Injection,
    rank: Rank,
    /// How often the supervisor has fired it.
    fired: u32,
    /// When it is due, if by time and all ranks have entered the program.
    due: Option<Duration>,
}

#[derive(Debug)]
pub(crate) struct Faults {
    all: Vec<Injection>,
    armed: Vec<Armed>,
    started: bool,
    /// The newest stamp of each rank that a failure was explained by.
    explained: Vec<u64>,
    /// The newest stamp that the supervisor left for each rank.
    stamps: Vec<u64>,
    /// Passages of the supervisor's own points.
    passed: Vec<u64>,
    /// Orders given so far, to tell repeated ones apart.
    orders: u64,
    /// What the kernel had counted at the last two heartbeats, the older first.
    oom_kills_seen: [u64; 2],
}

impl Faults {
    pub(crate) fn new(injections: &[Injection], n: u32) -> Self {
        let mut armed = Vec::new();
        for (injection, number) in injections.iter().zip(0..) {
            let ours = match injection.when {
                When::Time(_) => true,
                When::Point(point, _) => point.is_supervisors(),
                When::Step(_) => false,
            };
            if ours && injection.node().is_some() {
                let (rank, fired, due) = (Rank(0), 0, None);
                armed.push(Armed { number, injection: *injection, rank, fired, due });
            } else if ours {
                armed.extend(Rank::all(n).filter(|rank| injection.strikes(*rank)).map(|rank| {
                    Armed { number, injection: *injection, rank, fired: 0, due: None }
                }));
            }
        }
        Self {
            all: injections.to_vec(),
            armed,
            started: false,
            explained: vec![0; n as usize],
            stamps: vec![0; n as usize],
            passed: vec![0; Point::ALL.len()],
            orders: 0,
            oom_kills_seen: [procfs::oom_kills().unwrap_or(0); 2],
        }
    }

    /// Takes note, at a heartbeat, of how many processes the kernel has ended for want of memory.
    pub(crate) fn remember_oom_kills(&mut self) {
        self.oom_kills_seen = [self.oom_kills_seen[1], procfs::oom_kills().unwrap_or(0)];
    }

    /// How many it has ended since the last heartbeat but one.
    pub(crate) fn oom_kills(&self) -> u64 {
        procfs::oom_kills().unwrap_or(0).saturating_sub(self.oom_kills_seen[0])
    }

    /// Whether an injection struck the rank since its last failure.
    pub(crate) fn has_new_stamp(&self, segment: &Segment, rank: Rank) -> bool {
        self.stamp(segment, rank) > self.explained[rank.index()]
    }

    /// The newest stamp of a rank, its own or ours; 0 is none.
    fn stamp(&self, segment: &Segment, rank: Rank) -> u64 {
        let lane = (0..self.all.len()).map(|number| {
            let (count, stamp) = segment.receipt(rank, number);
            if count.load(Ordering::Acquire) > 0 { stamp.load(Ordering::Acquire) } else { 0 }
        });
        lane.max().unwrap_or(0).max(self.stamps[rank.index()])
    }

    /// The injections that concern a rank, with their numbers.
    pub(crate) fn of(&self, rank: Rank) -> Vec<(u32, Injection)> {
        let numbered = (0..).zip(self.all.iter().copied());
        numbered.filter(|(_, injection)| injection.strikes(rank)).collect()
    }

    /// All ranks have entered the program: time counts from here.
    pub(crate) fn start(&mut self, now: Duration) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        for armed in &mut self.armed {
            if let When::Time(after) = armed.injection.when {
                armed.due = Some(now + after);
            }
        }
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.armed.iter().filter_map(|armed| armed.due).min()
    }

    /// The stamp before the fault that a rank's failure came from, if there is a new one.
    pub(crate) fn newest_stamp(&mut self, segment: &Segment, rank: Rank) -> Option<Duration> {
        let newest = self.stamp(segment, rank);
        let explained = &mut self.explained[rank.index()];
        (newest > std::mem::replace(explained, newest.max(*explained)))
            .then(|| Duration::from_nanos(newest))
    }

    /// The injections that never fired.
    pub(crate) fn not_injected(&self, segment: &Segment) -> Vec<String> {
        let n = segment.layout().n();
        let fired = |number: usize| {
            // An order is only obeyed when the rank has left its own receipt.
            let strikes =
                |a: &Armed| !matches!(a.injection.action, Action::Exit(_) | Action::Panic);
            let by_us =
                self.armed.iter().any(|a| a.number as usize == number && a.fired > 0 && strikes(a));
            by_us
                || Rank::all(n)
                    .any(|rank| segment.receipt(rank, number).0.load(Ordering::Acquire) > 0)
        };
        let all = self.all.iter().enumerate();
        all.filter(|(number, _)| !fired(*number)).map(|(_, i)| i.to_string()).collect()
    }

    /// How often each point was passed, by the supervisor and by all ranks.
    pub(crate) fn passages(&self, segment: &Segment) -> Vec<u64> {
        let n = segment.layout().n();
        let of_ranks = |point: Point| -> u64 {
            Rank::all(n).map(|rank| segment.point(rank, point).load(Ordering::Acquire)).sum()
        };
        Point::ALL.iter().map(|point| self.passed[point.index()] + of_ranks(*point)).collect()
    }

    /// Those that are due by time, of ranks that can be struck; the others stay due until they can.
    fn due_by_time(&mut self, now: Duration, alive: impl Fn(Rank) -> bool) -> Vec<usize> {
        let mut due = Vec::new();
        for (i, armed) in self.armed.iter_mut().enumerate() {
            let When::Time(after) = armed.injection.when else { continue };
            if armed.due.is_none_or(|due| now < due) {
                continue;
            }
            if !alive(armed.rank) {
                armed.due = Some(now + sys::TICK);
                continue;
            }
            due.push(i);
            armed.due = match armed.injection.times {
                Times::Count(times) if armed.fired + 1 >= times => None,
                Times::Count(_) | Times::Always => Some(now + after.max(sys::TICK)),
            };
        }
        due
    }

    /// Those that strike at this passage of a point of the supervisor's.
    fn due_at_point(&mut self, point: Point) -> Vec<usize> {
        self.passed[point.index()] += 1;
        let passed = self.passed[point.index()];
        let due = |armed: &Armed| match (armed.injection.when, armed.injection.times) {
            (When::Point(at, nth), Times::Count(times)) => {
                at == point && passed >= nth && armed.fired < times
            }
            (When::Point(at, nth), Times::Always) => at == point && passed >= nth,
            _ => false,
        };
        (0..self.armed.len()).filter(|i| due(&self.armed[*i])).collect()
    }
}

impl Supervisor<'_> {
    /// Fires what is due by time.
    pub(super) fn fire_due(&mut self, now: Duration) {
        let members = &self.members;
        let alive = |rank: Rank| members[rank.index()].is_alive();
        for i in self.faults.due_by_time(now, alive) {
            self.fire(i);
        }
    }

    /// The supervisor passes a point.
    pub(super) fn pass(&mut self, point: Point) {
        for i in self.faults.due_at_point(point) {
            self.fire(i);
        }
    }

    fn fire(&mut self, i: usize) {
        let armed = &mut self.faults.armed[i];
        let (rank, action) = (armed.rank, armed.injection.action);
        if let Action::KillNode(node) = action {
            armed.fired += 1;
            return self.kill_node(node);
        }
        let member = &self.members[rank.index()];
        let Some(process) = member.process.as_ref().filter(|_| member.is_alive()) else {
            return;
        };
        armed.fired += 1;
        match action {
            Action::Exit(_) | Action::Panic => {
                self.faults.orders += 1;
                let order = self.faults.orders << 32 | u64::from(armed.number + 1);
                self.segment.order(rank).store(order, Ordering::Release);
                self.segment.ring_bell(rank);
                return;
            }
            Action::Kill | Action::Stop | Action::Segv | Action::KillNode(_) => {}
        }
        self.faults.stamps[rank.index()] = sys::now_ns();
        process.signal(match action {
            Action::Stop => Signal::STOP,
            Action::Segv => Signal::SEGV,
            Action::Kill | Action::Exit(_) | Action::Panic | Action::KillNode(_) => Signal::KILL,
        });
    }

    /// Ends a node and its ranks at one stroke.
    fn kill_node(&mut self, node: Node) {
        let Some(nodes) = &self.versions.nodes else { return };
        for rank in nodes.ranks(node) {
            self.faults.stamps[rank.index()] = sys::now_ns();
            if let Some(process) = &self.members[rank.index()].process {
                process.signal(Signal::KILL);
            }
        }
        nodes.kill(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_types::inject::parse;

    #[test]
    fn time_counts_from_the_start_and_repeats_as_asked() {
        let injections =
            parse("kill:*@time=10ms:x2,kill:0@step=3,stop:1@point=published#2").unwrap();
        let mut faults = Faults::new(&injections, 2);
        let ms = Duration::from_millis;
        assert_eq!(faults.next(), None);
        faults.start(ms(100));
        faults.start(ms(500));
        assert_eq!(faults.next(), Some(ms(110)));
        assert!(faults.due_by_time(ms(109), |_| true).is_empty());
        assert_eq!(faults.due_by_time(ms(110), |_| true), [0, 1]);
        faults.armed[0].fired = 1;
        faults.armed[1].fired = 1;
        // A rank that is away is struck when it is back.
        assert_eq!(faults.due_by_time(ms(120), |rank| rank == Rank(0)), [0]);
        assert_eq!(faults.due_by_time(ms(121), |_| true), [1]);
        faults.start(ms(600));
        assert_eq!(faults.next(), None);
        assert!(faults.due_at_point(Point::Published).is_empty());
        assert_eq!(faults.due_at_point(Point::Published), [2]);
        assert_eq!(faults.of(Rank(1)).len(), 2);
    }
}
