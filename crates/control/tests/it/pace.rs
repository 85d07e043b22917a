//! When a version is due: modes, margins, intervals and their reasons; and the target's words with
//! std's atomics, in one thread.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use mainstay_control::target::words::{Target, Word};
use mainstay_control::target::{Basis, DiskMode, Mode, Mtbf, Pace, Reason, Terms, Why};
use mainstay_types::event::Level;
use mainstay_types::{Step, Version};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn steps(steps: &[u64]) -> Vec<Step> {
    steps.iter().copied().map(Step).collect()
}

/// A pace in an epoch that was opened at time 0.
fn open(mode: Mode) -> Pace {
    with(Terms { mode, ..Terms::default() })
}

/// The same on these terms.
fn with(terms: Terms) -> Pace {
    let mut pace = Pace::new(terms);
    pace.opened(Duration::ZERO);
    pace
}

/// The step of the target that is due.
fn due(pace: &mut Pace, now: Duration, at: &[u64]) -> Option<Step> {
    pace.due(now, &steps(at)).map(|due| due.step)
}

fn memory(pace: &Pace) -> (Option<Duration>, Reason) {
    let interval = pace.interval(Level::Memory);
    (interval.every, interval.reason)
}

fn disk(pace: &Pace) -> (Option<Duration>, Reason) {
    let interval = pace.interval(Level::Disk);
    (interval.every, interval.reason)
}

#[test]
fn a_job_that_stood_still_is_due_as_much_later() {
    let every = |disk| Terms { mode: Mode::Every(ms(100)), disk, ..Terms::default() };
    let mut pace = with(every(DiskMode::Every(ms(1000))));
    assert!(pace.due(ms(100), &steps(&[1])).unwrap().durable);
    pace.suspended(ms(5000));
    pace.committed(ms(5101), ms(1));
    assert_eq!(pace.due_in(ms(5101)), Some(ms(99)), "100 ms of the job behind the last one");
    pace.suspended(ms(700));
    assert_eq!(pace.due_in(ms(5801)), Some(ms(99)));
    assert!(!pace.due(ms(5900), &steps(&[2])).unwrap().durable, "200 ms of 1000");
    pace.held();
    pace.committed(ms(5901), ms(1));
    let later = pace.due(ms(6800), &steps(&[3])).unwrap();
    assert!(later.durable, "1000 ms of the job behind the last one on disk");
    // The end comes when it comes.
    let ends = Terms { ends: Some(ms(10_000)), ..every(DiskMode::Each) };
    let mut pace = with(ends);
    pace.suspended(ms(9_000));
    assert_eq!(pace.due(ms(9_100), &steps(&[1])).unwrap().why, Why::Limit);
}

#[test]
fn multiples_of_steps_above_all_ranks() {
    let mut pace = open(Mode::Steps(10));
    assert_eq!(due(&mut pace, ms(0), &[0, 0]), Some(Step(10)));
    assert_eq!(due(&mut pace, ms(9), &[3, 0]), None, "one at a time");
    pace.held();
    pace.committed(ms(0), ms(1));
    assert_eq!(due(&mut pace, ms(9), &[10, 19]), Some(Step(20)));
    pace.committed(ms(0), ms(1));
    assert_eq!(due(&mut pace, ms(9), &[20, 20]), Some(Step(30)));
    assert_eq!(memory(&pace), (None, Reason::Steps(10)));
}

#[test]
fn a_void_target_doubles_the_distance_and_a_held_one_shortens_it() {
    let mut pace = open(Mode::Steps(1));
    let mut targets = Vec::new();
    for step in [0, 2, 5, 11] {
        targets.push(due(&mut pace, ms(0), &[step]).unwrap().0);
        pace.void();
    }
    assert_eq!(targets, [1, 4, 9, 19]);
    for _ in 0..40 {
        due(&mut pace, ms(0), &[100]).unwrap();
        pace.held();
        pace.committed(ms(0), ms(1));
    }
    let last = due(&mut pace, ms(0), &[1000]).unwrap();
    pace.committed(ms(0), ms(1));
    // The margin settles below the eight of which an eighth is one.
    assert!(last > Step(1000) && last <= Step(1007), "{last}");
    for _ in 0..100 {
        assert!(due(&mut pace, ms(0), &[1000]).is_some());
        pace.void();
    }
    let far = due(&mut pace, ms(0), &[2_000_000_000]).unwrap();
    assert_eq!(far, Step(2_000_000_000 + (1 << 20)), "the margin is bounded");
}

#[test]
fn targets_grow_within_an_epoch_whatever_the_steps_say() {
    let mut pace = open(Mode::Steps(5));
    let mut last = Step(0);
    for _ in 0..20 {
        let target = due(&mut pace, ms(0), &[1]).unwrap();
        assert!(target > last);
        last = target;
        pace.dropped();
    }
    pace.raised();
    assert_eq!(due(&mut pace, ms(0), &[1]), None, "not between a raise and its opening");
    pace.opened(ms(1));
    assert_eq!(due(&mut pace, ms(1), &[1]), Some(Step(5)));
}

#[test]
fn a_rank_in_finish_voids_what_it_did_not_reach() {
    let mut pace = open(Mode::Steps(10));
    assert_eq!(due(&mut pace, ms(0), &[1]), Some(Step(10)));
    assert!(!pace.finishing(Step(10)));
    assert!(pace.finishing(Step(9)));
    assert!(!pace.finishing(Step(9)), "void once");
    assert_eq!(due(&mut pace, ms(0), &[9]), None);
    assert_eq!(pace.due_in(ms(0)), None);
}

#[test]
fn an_interval_is_kept_from_proposal_to_proposal() {
    let mut pace = open(Mode::Every(ms(500)));
    assert_eq!(due(&mut pace, ms(499), &[7]), None);
    assert_eq!(pace.due_in(ms(499)), Some(ms(1)));
    assert_eq!(due(&mut pace, ms(500), &[7, 9]), Some(Step(10)));
    assert_eq!(pace.due_in(ms(600)), None);
    pace.void();
    // Still due: at once, and farther.
    assert_eq!(due(&mut pace, ms(501), &[10]), Some(Step(12)));
    pace.committed(ms(501), ms(2));
    assert_eq!(pace.due_in(ms(601)), Some(ms(400)));
    assert_eq!(memory(&pace), (Some(ms(500)), Reason::Every(ms(500))));
}

/// The pace of `auto` after a version with this cost, drained if `drain` says how long that took
/// and for how much processor time.
fn auto(terms: Terms, cost: Duration, drain: Option<(Duration, Duration)>) -> Pace {
    let mut pace = with(terms);
    assert_eq!(memory(&pace), (Some(ms(100)), Reason::First));
    let first = pace.due(ms(100), &steps(&[0])).expect("the first is due");
    assert!(first.durable, "the first version measures both levels");
    pace.committed(ms(100), cost);
    if let Some((took, cpu)) = drain {
        pace.drained(took, cpu);
    }
    pace
}

fn declared(mean: Duration) -> Mtbf {
    Mtbf { mean, basis: Basis::Declared }
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn each_level_takes_daly_within_one_percent_and_the_drain() {
    let terms = |ranks: Duration, machine: Duration| Terms {
        mtbf: Some(ranks),
        machine_mtbf: Some(machine),
        ..Terms::default()
    };
    // The root of 2 · 20 ms · 10 s is 632 ms, and Daly adds 7 ms; 1 % affords one every 2 s.
    let pace = auto(terms(SECOND * 10, DAY), ms(20), Some((ms(900), ms(200))));
    let (every, reason) = memory(&pace);
    assert_eq!(every.unwrap().as_millis(), 639);
    assert_eq!(reason, Reason::Daly { cost: ms(20), mtbf: declared(SECOND * 10) });
    // The machine is lost once a day: Daly says three minutes, the budget affords more.
    assert_eq!(disk(&pace), (Some(SECOND * 20), Reason::Budget { cost: ms(200) }));
    let pace = auto(terms(DAY, SECOND * 100), ms(20), Some((ms(900), ms(200))));
    assert_eq!(memory(&pace), (Some(SECOND * 2), Reason::Budget { cost: ms(20) }));
    let (every, reason) = disk(&pace);
    assert_eq!((every.unwrap().as_millis(), reason.name()), (6391, "daly"));
    // The drain wins over both.
    let pace = auto(terms(DAY, SECOND * 100), ms(20), Some((SECOND * 9, ms(200))));
    assert_eq!(disk(&pace), (Some(SECOND * 9), Reason::Drain { took: SECOND * 9 }));
    // A cost of next to nothing is no reason for a storm.
    let pace = auto(Terms::default(), Duration::from_micros(3), Some((ms(5), ms(1))));
    assert_eq!(memory(&pace), (Some(ms(20)), Reason::Shortest));
    assert_eq!(disk(&pace), (Some(SECOND), Reason::Shortest));
}

#[test]
fn where_the_machine_is_lost_more_often_than_ranks_each_version_pays_for_both() {
    let (mtbf, machine_mtbf) = (Some(DAY * 100), Some(SECOND * 20));
    let terms = Terms { mtbf, machine_mtbf, ..Terms::default() };
    let pace = auto(terms, ms(500), Some((ms(300), ms(100))));
    let (every, reason) = memory(&pace);
    assert_eq!(disk(&pace), (every, reason));
    // The root of 2 · 600 ms · 20 s is 4.9 s; memory alone would take 50 s, and disk alone 2.0 s.
    assert_eq!((every.unwrap().as_millis(), reason.name()), (5107, "daly"));
}

#[test]
fn failures_observed_outweigh_what_was_assumed() {
    let mut pace = auto(Terms::default(), ms(200), None);
    assert_eq!(pace.mtbf(Level::Memory).basis, Basis::Assumed);
    assert_eq!(memory(&pace).1, Reason::Budget { cost: ms(200) });
    pace.failed(ms(1000));
    let mtbf = pace.mtbf(Level::Memory);
    assert_eq!((mtbf.mean.as_secs(), mtbf.basis), (87, Basis::Observed(1)), "one may be chance");
    for at in 2..=100 {
        pace.failed(ms(at * 1000));
    }
    let mtbf = pace.mtbf(Level::Memory);
    assert_eq!((mtbf.mean.as_millis(), mtbf.basis), (1863, Basis::Observed(100)));
    assert_eq!(memory(&pace).1, Reason::Daly { cost: ms(200), mtbf });
    // What the user declares stays.
    let mut pace = with(Terms { mtbf: Some(DAY), ..Terms::default() });
    pace.failed(ms(1));
    assert_eq!(pace.mtbf(Level::Memory), declared(DAY));
}

#[test]
fn an_interval_follows_neither_an_odd_measurement_nor_a_little_noise() {
    let mut pace = auto(Terms::default(), ms(10), None);
    let mut every = Vec::new();
    for (i, cost) in (0..).zip([10, 900, 11, 9, 11, 12, 10, 900, 11, 40, 41, 40]) {
        let now = SECOND * (100 * (i + 1));
        pace.due(now, &steps(&[0])).unwrap();
        pace.committed(now, ms(cost));
        every.push(memory(&pace).0.unwrap().as_millis());
    }
    let (noisy, risen) = every.split_at(9);
    assert!(noisy.iter().all(|ms| *ms == 1000), "{every:?}");
    assert_eq!(risen.last(), Some(&4000), "a cost that stays counts");
}

#[test]
fn disk_has_its_own_time_unless_memory_has_a_version_about_then() {
    let every = |memory, disk| Terms {
        mode: Mode::Every(memory),
        disk: DiskMode::Every(disk),
        ..Terms::default()
    };
    let durable = |terms: Terms| {
        let mut pace = with(terms);
        let mut told = Vec::new();
        let mut now = Duration::ZERO;
        while told.len() < 7 {
            now += pace.due_in(now).unwrap();
            let due = pace.due(now, &steps(&[0])).unwrap();
            pace.committed(now, ms(1));
            told.push((now.as_millis(), due.durable));
        }
        told
    };
    let (t, f) = (true, false);
    let told = durable(every(ms(100), ms(290)));
    assert_eq!(told, [(100, t), (200, f), (300, f), (400, t), (500, f), (600, f), (700, t)]);
    let told = durable(every(ms(1000), ms(300)));
    assert_eq!(
        told[..5],
        [(1000, t), (1300, t), (1600, t), (1900, t), (2200, t)],
        "more often than memory asks for"
    );
    // What a failure undoes is not at risk: the version restored is on disk.
    let mut pace = with(every(ms(100), ms(300)));
    assert!(pace.due(ms(100), &steps(&[0])).unwrap().durable);
    pace.committed(ms(101), ms(1));
    pace.opened(ms(1000));
    assert_eq!(pace.due_in(ms(1000)), Some(ms(100)));
    assert!(!pace.due(ms(1100), &steps(&[0])).unwrap().durable);
    pace.committed(ms(1101), ms(1));
    // Now 100 ms of work are.
    pace.opened(ms(2000));
    assert!(!pace.due(ms(2100), &steps(&[0])).unwrap().durable);
    pace.committed(ms(2101), ms(1));
    assert!(pace.due(ms(2200), &steps(&[0])).unwrap().durable);
    let each = Terms { mode: Mode::Every(ms(100)), disk: DiskMode::Each, ..Terms::default() };
    assert!(durable(each).iter().all(|(_, durable)| *durable));
}

#[test]
fn who_asks_gets_a_durable_version_however_often_the_target_is_missed() {
    let disk = DiskMode::Every(DAY);
    let mut pace = with(Terms { mode: Mode::Steps(100), disk, ..Terms::default() });
    pace.due(ms(0), &steps(&[0])).unwrap();
    pace.committed(ms(1), ms(1));
    assert!(!pace.due(ms(2), &steps(&[100])).unwrap().durable);
    pace.ask();
    pace.committed(ms(3), ms(1));
    for missed in 0..3 {
        let due = pace.due(ms(4), &steps(&[203 + missed])).unwrap();
        assert_eq!((due.durable, due.why), (true, Why::Asked));
        assert!(due.step < Step(300), "it does not wait for a multiple: {due:?}");
        pace.void();
    }
    // Nor is it forgotten in a failure.
    pace.due(ms(5), &steps(&[210])).unwrap();
    pace.raised();
    pace.opened(ms(6));
    assert_eq!(pace.due(ms(7), &steps(&[200])).unwrap().why, Why::Asked);
    pace.committed(ms(8), ms(1));
    let next = pace.due(ms(9), &steps(&[201])).unwrap();
    assert_eq!((next.step, next.why, next.durable), (Step(300), Why::Interval, false));
}

#[test]
fn the_last_version_is_due_in_time_for_the_slowest_drain() {
    let mode = Mode::Every(DAY);
    let terms = Terms { mode, disk: DiskMode::Each, ends: Some(SECOND * 1000), ..Terms::default() };
    let mut pace = with(terms);
    assert_eq!(pace.lead(), Some(SECOND * 30), "nothing is measured");
    pace.ask();
    assert_eq!(pace.due(ms(0), &steps(&[0])).unwrap().why, Why::Asked);
    pace.committed(SECOND * 2, ms(1));
    pace.drained(SECOND * 60, ms(1));
    pace.drained(SECOND * 5, ms(1));
    assert_eq!(pace.lead(), Some(SECOND * 125));
    assert_eq!(pace.due_in(SECOND * 3), Some(SECOND * 872));
    assert_eq!(pace.due(SECOND * 874, &steps(&[5])), None);
    let due = pace.due(SECOND * 875, &steps(&[5])).unwrap();
    assert_eq!((due.durable, due.why), (true, Why::Limit));
    pace.committed(SECOND * 876, ms(1));
    assert_eq!(pace.due_in(SECOND * 900), Some(DAY - SECOND * 25), "one is enough");
    // A drain that takes longer than there is time still gets half of it.
    let mut pace = with(Terms { ends: Some(SECOND * 10), ..terms });
    pace.drained(DAY, ms(1));
    assert_eq!(pace.due_in(ms(0)), Some(SECOND * 5));
}

#[test]
fn reasons_are_sentences_with_names() {
    let (cost, mtbf, took) = (ms(20), declared(ms(10_000)), ms(900));
    let observed = Mtbf { mean: ms(10_000), basis: Basis::Observed(3) };
    let said: Vec<_> = [
        Reason::Steps(5),
        Reason::Every(ms(1500)),
        Reason::Each,
        Reason::First,
        Reason::Daly { cost, mtbf },
        Reason::Daly { cost, mtbf: observed },
        Reason::Budget { cost },
        Reason::Drain { took },
        Reason::Shortest,
    ]
    .iter()
    .map(|reason| format!("{}: {reason}", reason.name()))
    .collect();
    assert_eq!(
        said,
        [
            "declared: every 5 steps, as asked",
            "declared: every 1.50 s, as asked",
            "each: each version",
            "first: a first one, to measure what it costs",
            "daly: Daly for a cost of 20 ms and a failure every 10.0 s (declared)",
            "daly: Daly for a cost of 20 ms and a failure every 10.0 s (observed: 3)",
            "budget: 1 % of the time, at 20 ms each",
            "drain: the directory takes 900 ms for each",
            "shortest: as often as is of use",
        ]
    );
}

#[test]
fn words_in_one_thread() {
    let word = || AtomicU64::new(0);
    let (step, version, slot, own) = (word(), word(), word(), word());
    let target = Target { step: &step, version: &version, slot: &slot };
    assert_eq!(target.at_step(&&own, Step(1)), None);
    target.publish(Version(9), 1, Step(3));
    assert!(Target::holds(Step(3), [&own]));
    assert_eq!(target.at_step(&&own, Step(2)), None);
    assert_eq!(target.at_step(&&own, Step(3)), Some((Version(9), 1)));
    assert!(!Target::holds(Step(3), [&own]), "it is no longer below");
    target.withdraw();
    assert_eq!(target.at_step(&&own, Step(3)), None);
    // A slot that cannot be one is no capture.
    target.publish(Version(9), 1, Step(4));
    Word::store(&slot, 1 << 40);
    assert_eq!(target.at_step(&&own, Step(4)), None);
}
