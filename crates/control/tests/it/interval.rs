//! Properties of the chosen intervals for whatever is measured and declared, extremes included; and
//! campaigns of simulated failures that compare them with every fixed one.

mod job;
mod simulated;

use std::time::Duration;

use mainstay_control::target::formula::{daly, overhead, young};
use mainstay_control::target::{DiskMode, Measured, Mode, Pace, Reason, Terms, Why, advise};
use mainstay_types::Step;
use mainstay_types::event::Level;

use crate::random::Random;

const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// A time of any magnitude: nothing, a nanosecond, centuries, the longest there is.
fn any_time(random: &mut Random) -> Duration {
    match random.below(12) {
        0 => Duration::ZERO,
        1 => Duration::from_nanos(1),
        2 => Duration::MAX,
        3 => YEAR * 1_000_000,
        _ => Duration::from_nanos(random.next() >> random.below(64)),
    }
}

/// A pace of `auto` that has measured these.
fn measured(
    (mtbf, machine_mtbf): (Duration, Duration),
    (cost, took, cpu): (Duration, Duration, Duration),
) -> Pace {
    let terms = Terms { mtbf: Some(mtbf), machine_mtbf: Some(machine_mtbf), ..Terms::default() };
    let mut pace = Pace::new(terms);
    pace.opened(Duration::ZERO);
    pace.committed(Duration::ZERO, cost);
    pace.drained(took, cpu);
    pace
}

fn every(pace: &Pace, level: Level) -> Duration {
    pace.interval(level).every.expect("auto has one")
}

#[test]
fn no_interval_is_nothing_or_for_ever_and_bounds_hold_for_all_inputs() {
    let random = &mut Random(1);
    for _ in 0..20_000 {
        let [mtbf, machine, cost, took, cpu] = [(); 5].map(|()| any_time(random));
        let pace = measured((mtbf, machine), (cost, took, cpu));
        let told = format!("{mtbf:?} {machine:?} {cost:?} {took:?} {cpu:?}");
        let (memory, disk) = (every(&pace, Level::Memory), every(&pace, Level::Disk));
        assert!(memory >= Duration::from_millis(20), "{told}");
        assert!(memory <= YEAR && disk <= YEAR.max(took), "{told}");
        assert!(disk >= memory && disk >= took, "{told}: {memory:?} {disk:?}");
        // One percent affords it, unless it is the shortest of all.
        let afforded = cost.saturating_mul(100).max(Duration::from_millis(20));
        assert!(memory <= afforded, "{told}: {memory:?}");
        let both = cost.saturating_add(cpu).saturating_mul(100);
        let bound = both.max(Duration::from_secs(1)).max(took);
        assert!(disk <= bound, "{told}: {disk:?}");
        for level in [Level::Memory, Level::Disk] {
            let m = Measured { costs: vec![cost], restarts: vec![took], ..Measured::default() };
            let advice = advise(&pace, level, &m);
            let shares = [advice.expected, advice.best_expected];
            assert!(shares.iter().flatten().all(|s| s.is_finite() && *s >= 0.0), "{told}");
        }
    }
}

#[test]
fn intervals_grow_with_their_cost_and_with_the_time_between_failures() {
    let random = &mut Random(2);
    let near = |a: Duration, random: &mut Random| {
        let part = u32::try_from(random.below(1500)).expect("small");
        a.saturating_add((a / 1000).saturating_mul(part))
            .saturating_add(Duration::from_nanos(random.below(3)))
    };
    for _ in 0..20_000 {
        let small = [(); 5].map(|()| any_time(random));
        let mut large = small;
        // One input grows, by a little or by much.
        let which = random.below(5) as usize;
        large[which] = near(small[which], random).max(if random.below(2) == 0 {
            any_time(random)
        } else {
            Duration::ZERO
        });
        let pace = |[mtbf, machine, cost, took, cpu]: [Duration; 5]| {
            measured((mtbf, machine), (cost, took, cpu))
        };
        for level in [Level::Memory, Level::Disk] {
            let (a, b) = (every(&pace(small), level), every(&pace(large), level));
            // Doubles have sixteen digits.
            let grain = a / 1_000_000_000 + Duration::from_nanos(1);
            assert!(b.saturating_add(grain) >= a, "{level:?}: {small:?} {a:?}, {large:?} {b:?}");
        }
    }
}

#[test]
fn the_formulas_agree_where_both_hold_and_daly_s_is_the_better() {
    let second = Duration::from_secs(1);
    let ratio = daly(second / 1000, DAY).as_secs_f64() / young(second / 1000, DAY).as_secs_f64();
    assert!((ratio - 1.0).abs() < 1e-4, "{ratio}");
    // By hand: the root of 2 · 300 · 3600 is 1470; (1 + 0.0680 + 0.0046) of it.
    let (cost, mtbf) = (second * 300, second * 3600);
    assert_eq!(daly(cost, mtbf).as_secs(), 1576);
    for cost in [1, 10, 100, 1000, 3000, 7000] {
        let lost = |interval| overhead(interval, second * cost, mtbf, Duration::ZERO);
        let at_daly = lost(daly(second * cost, mtbf)).unwrap();
        let at_young = lost(young(second * cost, mtbf)).unwrap_or(f64::INFINITY);
        assert!(at_daly <= at_young * 1.0001, "{cost}: {at_daly} {at_young}");
        // No interval at all is much better.
        for percent in 20..500 {
            let other = lost(daly(second * cost, mtbf) * percent / 100);
            assert!(other.is_none_or(|other| 1.0 + at_daly <= (1.0 + other) * 1.01), "{cost}");
        }
    }
    assert_eq!(overhead(second, second, mtbf, second), None, "versions and nothing else");
    assert_eq!(overhead(DAY * 365, second, second, second), None, "it never gets on");
}

#[test]
fn more_failures_in_the_same_time_never_give_a_longer_mean() {
    for seconds in [0, 1, 3600, 10_000_000] {
        let now = Duration::from_secs(seconds);
        let mut pace = Pace::new(Terms::default());
        pace.opened(Duration::ZERO);
        let mut last = Duration::MAX;
        for _ in 0..1000 {
            pace.failed(now);
            let mean = pace.mtbf(Level::Memory).mean;
            assert!(mean <= last && !mean.is_zero(), "{seconds}: {mean:?}");
            last = mean;
        }
    }
}

#[test]
fn no_time_however_long_overflows_the_pace() {
    let random = &mut Random(3);
    for _ in 0..5000 {
        let mut some = || Some(any_time(random)).filter(|time| !time.is_zero());
        let [mtbf, machine_mtbf, ends] = [(); 3].map(|()| some());
        let mode = some().map_or(Mode::Auto, Mode::Every);
        let disk = some().map_or(DiskMode::Auto, DiskMode::Every);
        let mut pace = Pace::new(Terms { mode, disk, mtbf, machine_mtbf, ends, late: false });
        let mut now = Duration::ZERO;
        pace.opened(now);
        for _ in 0..20 {
            let now_or_later = any_time(random).min(YEAR * 1000);
            now = now.max(now_or_later);
            match random.below(7) {
                0 => pace.ask(),
                1 => pace.failed(now),
                2 => pace.drained(any_time(random), any_time(random)),
                3 => pace.opened(now),
                _ => {
                    let Some(due) = pace.due(now, &[Step(random.below(1000))]) else { continue };
                    assert!(due.durable || due.why == Why::Interval);
                    pace.committed(now, any_time(random));
                }
            }
            let _wait = pace.due_in(now);
            let [memory, disk] = [Level::Memory, Level::Disk].map(|level| pace.interval(level));
            assert!(memory.every.is_some_and(|every| !every.is_zero()));
            assert!(!disk.reason.to_string().is_empty());
        }
    }
}

#[test]
fn what_was_not_measured_is_not_guessed_at() {
    let pace = Pace::new(Terms::default());
    let advice = advise(&pace, Level::Disk, &Measured::default());
    assert_eq!((advice.cost, advice.best, advice.expected), (None, None, None));
    assert_eq!(advice.interval.reason, Reason::First);
    // Where steps decide, the time between versions is measured.
    let mut pace = Pace::new(Terms { mode: Mode::Steps(10), mtbf: Some(DAY), ..Terms::default() });
    pace.opened(Duration::ZERO);
    let second = Duration::from_secs(1);
    let measured = Measured {
        costs: vec![second * 9, second, second * 2],
        periods: vec![second * 100, second * 200],
        ..Measured::default()
    };
    let advice = advise(&pace, Level::Memory, &measured);
    assert_eq!(advice.cost, Some((second * 2, second * 9)));
    assert_eq!(advice.best, Some(daly(second * 2, DAY)));
    assert_eq!(advice.expected, overhead(second * 200, second * 2, DAY, Duration::ZERO));
    assert!(advice.expected > advice.best_expected);
}
