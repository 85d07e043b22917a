//! The table of evidence, row by row.

mod deadlock;

use std::time::Duration;

use mainstay_control::FenceReason;
use mainstay_control::evidence::{Evidence, Health, Options, Sample, Wait};
use mainstay_types::{Incarnation, Rank, WaitKind};

const BEAT: Duration = Duration::from_millis(500);

fn options() -> Options {
    Options { heartbeat: BEAT, ..Options::default() }
}

/// A rank that is outside all calls and does nothing.
fn idle(rank: u32) -> Sample {
    Sample {
        rank: Rank(rank),
        incarnation: Incarnation(0),
        state: 'S',
        cpu_ns: 7,
        joined: true,
        in_call: false,
        wait: None,
        calls: 3,
        epoch_acked: true,
        held: false,
    }
}

fn stopped() -> Sample {
    Sample { state: 'T', ..idle(0) }
}

fn waiting(rank: u32, kind: WaitKind, peer: u32) -> Sample {
    let wait = Wait { kind, peer: Some(Rank(peer)), tag: Some(7), since_seq: 1 };
    Sample { in_call: true, wait: Some(wait), ..idle(rank) }
}

/// A table and a clock that ticks with the heartbeat.
struct Clock {
    evidence: Evidence,
    now: Duration,
}

impl Clock {
    fn new(n: u32, options: Options) -> Self {
        let (evidence, now) = (Evidence::new(n, options), Duration::ZERO);
        Self { evidence, now }
    }

    fn tick(&mut self, sample: Sample) -> Health {
        self.now += BEAT;
        let findings = self.evidence.tick(self.now, &[sample], true);
        assert!(!findings.unscheduled);
        findings.ranks[0].1.clone()
    }

    /// The seconds after which a rank is found dead, and why; within a minute.
    fn dies(
        &mut self,
        mut sample: impl FnMut(u64) -> Sample,
    ) -> Option<(u64, FenceReason, String)> {
        let start = self.now;
        (0..120).find_map(|tick| match self.tick(sample(tick)) {
            Health::Dead { reason, why, .. } => Some(((self.now - start).as_secs(), reason, why)),
            _ => None,
        })
    }
}

#[test]
fn a_stopped_rank_is_dead_after_lost_after() {
    let mut clock = Clock::new(1, options());
    let (after, reason, why) = clock.dies(|_| stopped()).unwrap();
    assert_eq!((after, reason), (5, FenceReason::Stopped));
    assert!(why.contains("stopped for 5"), "{why}");
}

#[test]
fn a_rank_that_is_stopped_again_and_again_runs_in_between() {
    let mut clock = Clock::new(1, options());
    let ran = |tick| Sample { cpu_ns: tick, ..stopped() };
    assert_eq!(clock.dies(ran), None);
    let now_and_then = |tick| if tick % 8 == 0 { idle(0) } else { stopped() };
    assert_eq!(clock.dies(now_and_then), None);
}

#[test]
fn a_traced_rank_and_a_suspended_job_are_never_dead() {
    let mut clock = Clock::new(1, options());
    let traced = Sample { state: 't', ..idle(0) };
    assert_eq!(clock.dies(|_| traced), None);
    assert_eq!(clock.tick(traced), Health::Suspended);
    clock.evidence.suspend();
    assert_eq!(clock.dies(|_| stopped()), None);
    clock.evidence.resume();
    // The windows start again: five more seconds, not none.
    let (after, ..) = clock.dies(|_| stopped()).unwrap();
    assert_eq!(after, 5);
}

#[test]
fn a_rank_that_computes_is_alive_unless_a_deadline_was_declared() {
    let computing = |tick| Sample { state: 'R', cpu_ns: tick * 1000 + 8, ..idle(0) };
    assert_eq!(Clock::new(1, options()).dies(computing), None);
    let hang_after = Some(Duration::from_secs(20));
    let mut clock = Clock::new(1, Options { hang_after, ..options() });
    let (after, reason, why) = clock.dies(computing).unwrap();
    assert_eq!((after, reason), (20, FenceReason::NoProgress));
    assert!(why.contains("--hang-after"), "{why}");
    // One call is progress.
    let calls = |tick| Sample { calls: tick / 30, ..computing(tick) };
    let mut clock = Clock::new(1, Options { hang_after, ..options() });
    assert_eq!(clock.dies(calls), None);
}

#[test]
fn a_rank_in_a_wait_is_alive() {
    let hang_after = Some(Duration::from_secs(2));
    let mut clock = Clock::new(1, Options { hang_after, ..options() });
    assert_eq!(clock.dies(|_| waiting(0, WaitKind::Supervisor, 0)), None);
    // What it does after the wait has its own window.
    let (after, ..) = clock.dies(|_| idle(0)).unwrap();
    assert_eq!(after, 2);
}

#[test]
fn a_rank_without_a_processor_is_starved_not_dead() {
    let hang_after = Some(Duration::from_secs(2));
    let rejoin_within = Duration::from_secs(3);
    let mut clock = Clock::new(1, Options { hang_after, rejoin_within, ..options() });
    let starved = Sample { state: 'R', epoch_acked: false, ..idle(0) };
    assert_eq!(clock.tick(starved), Health::Healthy);
    assert_eq!(clock.tick(starved), Health::Starved);
    assert_eq!(clock.dies(|_| starved), None);
}

#[test]
fn a_rank_whose_output_nobody_takes_is_not_blamed_for_it() {
    let hang_after = Some(Duration::from_secs(2));
    let rejoin_within = Duration::from_secs(3);
    let mut clock = Clock::new(1, Options { hang_after, rejoin_within, ..options() });
    let held = Sample { held: true, epoch_acked: false, ..idle(0) };
    for _ in 0..60 {
        assert_eq!(clock.tick(held), Health::Healthy, "no verdict and no warning");
    }
    // Once it is taken, the windows run as ever.
    let (after, ..) = clock.dies(|_| Sample { held: false, ..held }).unwrap();
    assert_eq!(after, 2);
    // A stop is no fault of the output.
    assert_eq!(clock.dies(|_| Sample { held: true, ..stopped() }).unwrap().0, 5);
}

#[test]
fn a_sleeper_outside_calls_is_warned_of_once() {
    let mut clock = Clock::new(1, options());
    let warnings = |clock: &mut Clock, sample: Sample| {
        let warns = |_: &i32| matches!(clock.tick(sample), Health::Warn(_));
        (0..60).filter(warns).count()
    };
    assert_eq!(warnings(&mut clock, idle(0)), 1);
    // A call, and it sleeps again: another warning.
    assert_eq!(warnings(&mut clock, Sample { calls: 4, ..idle(0) }), 1);
    // Within a call, it is not outside.
    assert_eq!(warnings(&mut clock, Sample { calls: 5, in_call: true, ..idle(0) }), 0);
    let hang_after = Some(Duration::from_secs(12));
    let mut clock = Clock::new(1, Options { hang_after, ..options() });
    let (after, reason, why) = clock.dies(|_| Sample { state: 'D', ..idle(0) }).unwrap();
    assert_eq!((after, reason), (12, FenceReason::NoProgress));
    assert!(why.contains("asleep"), "{why}");
}

#[test]
fn whoever_owes_an_acknowledgement_has_a_deadline() {
    let rejoin_within = Duration::from_secs(10);
    let options = Options { rejoin_within, ..options() };
    let owing = |sample: Sample| Sample { epoch_acked: false, ..sample };
    let computing = |tick| owing(Sample { state: 'R', cpu_ns: tick * 1000 + 8, ..idle(0) });
    let mut clock = Clock::new(1, options);
    let (after, reason, why) = clock.dies(computing).unwrap();
    assert_eq!((after, reason), (10, FenceReason::NoProgress));
    assert!(why.contains("no call"), "{why}");
    // In a wait that never ends, and before the hello of a rank started again.
    let parked = owing(waiting(0, WaitKind::Receive, 1));
    let (.., why) = Clock::new(1, options).dies(|_| parked).unwrap();
    assert!(why.contains("not come back"), "{why}");
    let mut clock = Clock::new(1, options);
    clock.tick(idle(0));
    let fresh = owing(Sample { joined: false, incarnation: Incarnation(1), ..idle(0) });
    let (.., why) = clock.dies(|_| fresh).unwrap();
    assert!(why.contains("not joined"), "{why}");
}

#[test]
fn a_program_that_nobody_joined_from_is_not_judged() {
    let hang_after = Some(Duration::from_secs(1));
    let mut clock = Clock::new(2, Options { hang_after, ..options() });
    let foreign = |state| Sample { joined: false, state, ..idle(0) };
    assert_eq!(clock.dies(|_| foreign('S')), None);
    assert_eq!(clock.dies(|_| foreign('T')), None);
    // One of them joined: now a stopped one that has not is lost like any other.
    clock.tick(idle(1));
    let (_, reason, _) = clock.dies(|_| foreign('T')).unwrap();
    assert_eq!(reason, FenceReason::Stopped);
}

#[test]
fn a_rank_that_never_joins_is_warned_of_and_has_a_deadline() {
    // What its lane says is of an earlier incarnation.
    let absent = |tick| Sample { joined: false, calls: tick, ..waiting(1, WaitKind::Receive, 0) };
    let mut clock = Clock::new(2, options());
    clock.tick(idle(0));
    let warned = |tick| match clock.tick(absent(tick)) {
        Health::Warn(text) => Some(text),
        _ => None,
    };
    let texts: Vec<_> = (0..60).filter_map(warned).collect();
    let said =
        "has slept for 5.00 s and not joined the job; it may do so for ever, as --hang-after";
    assert!(texts.len() == 1 && texts[0].starts_with(said), "{texts:?}");

    let after_limit = |hang_after| {
        let hang_after = Some(Duration::from_secs(hang_after));
        let mut clock = Clock::new(2, Options { hang_after, ..options() });
        clock.tick(idle(0));
        clock.tick(absent(0));
        clock.dies(absent).unwrap()
    };
    let (after, reason, why) = after_limit(20);
    assert_eq!((after, reason), (20, FenceReason::NoProgress));
    assert!(why.contains("has not joined the job within 20.0 s (--hang-after)"), "{why}");
}

#[test]
fn a_rank_that_joins_late_starts_with_clean_windows() {
    let hang_after = Some(Duration::from_secs(6));
    let mut clock = Clock::new(2, Options { hang_after, ..options() });
    clock.tick(idle(0));
    for _ in 0..10 {
        let absent = Sample { joined: false, ..idle(1) };
        assert!(!matches!(clock.tick(absent), Health::Dead { .. }));
    }
    assert_eq!(clock.tick(idle(1)), Health::Healthy);
    let (after, ..) = clock.dies(|_| idle(1)).unwrap();
    assert_eq!(after, 6);
}

#[test]
fn a_death_is_news_once_an_incarnation() {
    let hang_after = Some(Duration::from_secs(1));
    let mut clock = Clock::new(1, Options { hang_after, ..options() });
    let mut news = |incarnation| {
        let dead = |clock: &mut Clock| match clock
            .tick(Sample { incarnation: Incarnation(incarnation), ..idle(0) })
        {
            Health::Dead { again, .. } => Some(again),
            _ => None,
        };
        (0..6).filter_map(|_| dead(&mut clock)).collect::<Vec<_>>()
    };
    assert_eq!(news(0), [false, true, true, true]);
    assert_eq!(news(1), [false, true, true, true]);
}

#[test]
fn the_ended_are_the_kernels_business() {
    let mut clock = Clock::new(1, options());
    for state in ['Z', 'X', 'x'] {
        let ended = Sample { state, epoch_acked: false, ..idle(0) };
        assert_eq!(clock.dies(|_| ended), None);
        assert_eq!(clock.tick(ended), Health::Healthy);
    }
}

#[test]
fn a_new_incarnation_starts_with_clean_windows() {
    let mut clock = Clock::new(1, options());
    for _ in 0..8 {
        assert_eq!(clock.tick(stopped()), Health::Suspended);
    }
    let next = Sample { incarnation: Incarnation(1), ..stopped() };
    let (after, ..) = clock.dies(|_| next).unwrap();
    assert_eq!(after, 5);
}

#[test]
fn a_late_supervisor_restarts_all_windows() {
    let mut clock = Clock::new(1, options());
    for _ in 0..10 {
        assert_eq!(clock.tick(stopped()), Health::Suspended);
    }
    clock.now += Duration::from_secs(60);
    let late = clock.evidence.tick(clock.now, &[stopped()], true);
    assert!(late.unscheduled);
    assert_eq!(late.ranks, [(Rank(0), Health::Suspended)]);
    let (after, ..) = clock.dies(|_| stopped()).unwrap();
    assert_eq!(after, 5);
}

#[test]
fn ranks_outside_the_job_are_ignored() {
    let mut evidence = Evidence::new(1, options());
    assert_eq!(evidence.tick(BEAT, &[idle(3)], true).ranks, []);
}
