//! Targets that are proposed late, as the version before is given away for them.

use std::time::Duration;

use mainstay_control::target::{Mode, Pace, Terms};
use mainstay_types::Step;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn steps(steps: &[u64]) -> Vec<Step> {
    steps.iter().copied().map(Step).collect()
}

/// A pace in an epoch that was opened at time 0.
fn pace(terms: Terms) -> Pace {
    let mut pace = Pace::new(terms);
    pace.opened(Duration::ZERO);
    pace
}

/// The step of the target that is due.
fn due(pace: &mut Pace, now: Duration, at: &[u64]) -> Option<Step> {
    pace.due(now, &steps(at)).map(|due| due.step)
}

#[test]
fn a_late_target_is_proposed_when_the_ranks_are_near_its_multiple() {
    let mode = Mode::Steps(100);
    let mut early = pace(Terms { mode, ..Terms::default() });
    assert_eq!(due(&mut early, ms(1), &[3, 5]), Some(Step(100)), "as soon as it can be");
    let mut late = pace(Terms { mode, late: true, ..Terms::default() });
    let look = |pace: &mut Pace, now: u64, at: &[u64]| {
        pace.look(ms(now), &steps(at));
        pace.due_in(ms(now))
    };
    assert_eq!(look(&mut late, 0, &[0, 0]), Some(ms(1)));
    assert_eq!(due(&mut late, ms(0), &[0, 0]), None);
    // A step takes 1 ms: half of the way, less what is kept free, is waited for.
    assert_eq!(look(&mut late, 10, &[10, 9]), Some(ms(42)));
    assert_eq!(look(&mut late, 52, &[52, 52]), Some(ms(21)));
    assert_eq!(look(&mut late, 95, &[95, 94]), Some(ms(0)));
    assert_eq!(due(&mut late, ms(95), &[95, 94]), Some(Step(100)));
    late.held();
    late.committed(ms(100), ms(1));
    assert_eq!(look(&mut late, 100, &[100, 100]), Some(ms(47)), "and the next one");
    // Who asks does not wait.
    late.ask();
    assert_eq!(look(&mut late, 120, &[119, 119]), Some(ms(0)));
    assert_eq!(due(&mut late, ms(120), &[119, 119]), Some(Step(120)));
}
