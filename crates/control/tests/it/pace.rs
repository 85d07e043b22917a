//! When a version is due: modes, margins, intervals and their reasons; and the target's words with
//! std's atomics, in one thread.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use mainstay_control::target::words::{Target, Word};
use mainstay_control::target::{Mode, Pace, Reason};
use mainstay_types::{Step, Version};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn steps(steps: &[u64]) -> Vec<Step> {
    steps.iter().copied().map(Step).collect()
}

/// A pace in an epoch that was opened at time 0.
fn open(mode: Mode) -> Pace {
    let mut pace = Pace::new(mode, None);
    pace.opened(Duration::ZERO);
    pace
}

#[test]
fn multiples_of_steps_above_all_ranks() {
    let mut pace = open(Mode::Steps(10));
    assert_eq!(pace.due(ms(0), &steps(&[0, 0])), Some(Step(10)));
    assert_eq!(pace.due(ms(9), &steps(&[3, 0])), None, "one at a time");
    pace.held();
    pace.committed(ms(1));
    assert_eq!(pace.due(ms(9), &steps(&[10, 19])), Some(Step(20)));
    pace.committed(ms(1));
    assert_eq!(pace.due(ms(9), &steps(&[20, 20])), Some(Step(30)));
    assert_eq!(pace.interval(), None);
    assert_eq!(pace.reason(), Reason::Steps(10));
}

#[test]
fn a_void_target_doubles_the_distance_and_a_held_one_shortens_it() {
    let mut pace = open(Mode::Steps(1));
    let mut targets = Vec::new();
    for step in [0, 2, 5, 11] {
        targets.push(pace.due(ms(0), &steps(&[step])).unwrap().0);
        pace.void();
    }
    assert_eq!(targets, [1, 4, 9, 19]);
    for _ in 0..40 {
        pace.due(ms(0), &steps(&[100])).unwrap();
        pace.held();
        pace.committed(ms(1));
    }
    let last = pace.due(ms(0), &steps(&[1000])).unwrap();
    pace.committed(ms(1));
    // The margin settles below the eight of which an eighth is one.
    assert!(last > Step(1000) && last <= Step(1007), "{last}");
    for _ in 0..100 {
        assert!(pace.due(ms(0), &steps(&[1000])).is_some());
        pace.void();
    }
    let far = pace.due(ms(0), &steps(&[2_000_000_000])).unwrap();
    assert_eq!(far, Step(2_000_000_000 + (1 << 20)), "the margin is bounded");
}

#[test]
fn targets_grow_within_an_epoch_whatever_the_steps_say() {
    let mut pace = open(Mode::Steps(5));
    let mut last = Step(0);
    for _ in 0..20 {
        let target = pace.due(ms(0), &steps(&[1])).unwrap();
        assert!(target > last);
        last = target;
        pace.dropped();
    }
    pace.raised();
    assert_eq!(pace.due(ms(0), &steps(&[1])), None, "not between a raise and its opening");
    pace.opened(ms(1));
    assert_eq!(pace.due(ms(1), &steps(&[1])), Some(Step(5)));
}

#[test]
fn a_rank_in_finish_voids_what_it_did_not_reach() {
    let mut pace = open(Mode::Steps(10));
    assert_eq!(pace.due(ms(0), &steps(&[1])), Some(Step(10)));
    assert!(!pace.finishing(Step(10)));
    assert!(pace.finishing(Step(9)));
    assert!(!pace.finishing(Step(9)), "void once");
    assert_eq!(pace.due(ms(0), &steps(&[9])), None);
    assert_eq!(pace.due_in(ms(0)), None);
}

#[test]
fn an_interval_is_kept_from_proposal_to_proposal() {
    let mut pace = open(Mode::Every(ms(500)));
    assert_eq!(pace.due(ms(499), &steps(&[7])), None);
    assert_eq!(pace.due_in(ms(499)), Some(ms(1)));
    assert_eq!(pace.due(ms(500), &steps(&[7, 9])), Some(Step(10)));
    assert_eq!(pace.due_in(ms(600)), None);
    pace.void();
    // Still due: at once, and farther.
    assert_eq!(pace.due(ms(501), &steps(&[10])), Some(Step(12)));
    pace.committed(ms(2));
    assert_eq!(pace.due_in(ms(601)), Some(ms(400)));
    assert_eq!(pace.reason(), Reason::Every(ms(500)));
}

/// The interval and reason of `auto` for a cost, a declared MTBF and a drain.
fn auto(cost: Duration, mtbf: Option<Duration>, drain: Option<Duration>) -> (Duration, Reason) {
    let mut pace = Pace::new(Mode::Auto, mtbf);
    pace.opened(ms(0));
    assert_eq!((pace.interval(), pace.reason()), (Some(ms(100)), Reason::First));
    assert!(pace.due(ms(100), &steps(&[0])).is_some());
    pace.committed(cost);
    if let Some(took) = drain {
        pace.drained(took);
    }
    (pace.interval().expect("auto has one"), pace.reason())
}

#[test]
fn auto_takes_young_within_one_percent_and_the_drain() {
    let second = Duration::from_secs(1);
    // The root of 2 · 20 ms · 10 s is 632 ms; 1 % affords one every 2 s.
    let (interval, reason) = auto(ms(20), Some(second * 10), None);
    assert_eq!(interval.as_millis(), 632);
    assert_eq!(reason, Reason::Young { cost: ms(20), mtbf: second * 10 });
    // A day between failures: Young says a minute, the budget affords more.
    let (interval, reason) = auto(ms(20), Some(second * 86_400), None);
    assert_eq!((interval, reason), (second * 2, Reason::Budget { cost: ms(20) }));
    // The drain wins over both.
    let (interval, reason) = auto(ms(20), Some(second * 10), Some(second * 9));
    assert_eq!((interval, reason), (second * 9, Reason::Drain { took: second * 9 }));
    let (interval, _) = auto(ms(20), Some(second * 10), Some(ms(5)));
    assert_eq!(interval.as_millis(), 632);
    // A cost of next to nothing is no reason for a storm.
    let (interval, reason) = auto(Duration::from_micros(3), None, None);
    assert_eq!((interval, reason), (ms(20), Reason::Shortest));
    assert_eq!(auto(second * 3600, None, None).0.as_secs(), 24_941);
}

#[test]
fn failures_observed_shorten_the_interval() {
    let mut pace = open(Mode::Auto);
    assert!(pace.due(ms(100), &steps(&[0])).is_some());
    pace.committed(ms(200));
    assert_eq!(pace.reason(), Reason::Budget { cost: ms(200) });
    for at in 1..=5 {
        pace.failed(ms(at * 1000));
    }
    let mtbf = ms(1000);
    assert_eq!(pace.reason(), Reason::Young { cost: ms(200), mtbf });
    assert_eq!(pace.interval().unwrap().as_millis(), 632);
    // One odd cost moves the estimate by a quarter.
    pace.committed(ms(600));
    assert_eq!(pace.reason(), Reason::Young { cost: ms(300), mtbf });
    pace.drained(ms(4000));
    pace.drained(ms(8000));
    assert_eq!(pace.interval(), Some(ms(5000)));
}

#[test]
fn reasons_are_sentences() {
    let (cost, mtbf, took) = (ms(20), ms(10_000), ms(900));
    let said: Vec<_> = [
        Reason::Steps(5),
        Reason::Every(ms(1500)),
        Reason::First,
        Reason::Young { cost, mtbf },
        Reason::Budget { cost },
        Reason::Drain { took },
        Reason::Shortest,
    ]
    .iter()
    .map(ToString::to_string)
    .collect();
    assert_eq!(
        said,
        [
            "every 5 steps, as asked",
            "every 1.50 s, as asked",
            "a first one, to measure what it costs",
            "Young's interval for a cost of 20 ms and a failure every 10.0 s",
            "1 % of the time, at 20 ms each",
            "the directory takes 900 ms for each",
            "as often as is of use",
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
