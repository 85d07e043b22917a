//! The table of evidence, row by row.

use std::time::Duration;

use mainstay_control::FenceReason;
use mainstay_control::evidence::{Evidence, Health, Options, Sample, Wait, WaitKind, who_waits};
use mainstay_types::{Incarnation, Rank};

const BEAT: Duration = Duration::from_millis(500);

fn options() -> Options {
    Options {
        heartbeat: BEAT,
        ..Options::default()
    }
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
    }
}

fn stopped() -> Sample {
    Sample {
        state: 'T',
        ..idle(0)
    }
}

fn waiting(rank: u32, kind: WaitKind, peer: u32) -> Sample {
    let wait = Wait {
        kind,
        peer: Some(Rank(peer)),
        tag: Some(7),
        since_seq: 1,
    };
    Sample {
        in_call: true,
        wait: Some(wait),
        ..idle(rank)
    }
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
            Health::Dead { reason, why } => Some(((self.now - start).as_secs(), reason, why)),
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
    let ran = |tick| Sample {
        cpu_ns: tick,
        ..stopped()
    };
    assert_eq!(clock.dies(ran), None);
    let now_and_then = |tick| if tick % 8 == 0 { idle(0) } else { stopped() };
    assert_eq!(clock.dies(now_and_then), None);
}

#[test]
fn a_traced_rank_and_a_suspended_job_are_never_dead() {
    let mut clock = Clock::new(1, options());
    let traced = Sample {
        state: 't',
        ..idle(0)
    };
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
    let computing = |tick| Sample {
        state: 'R',
        cpu_ns: tick * 1000 + 8,
        ..idle(0)
    };
    assert_eq!(Clock::new(1, options()).dies(computing), None);
    let hang_after = Some(Duration::from_secs(20));
    let mut clock = Clock::new(
        1,
        Options {
            hang_after,
            ..options()
        },
    );
    let (after, reason, why) = clock.dies(computing).unwrap();
    assert_eq!((after, reason), (20, FenceReason::NoProgress));
    assert!(why.contains("--hang-after"), "{why}");
    // One call is progress.
    let calls = |tick| Sample {
        calls: tick / 30,
        ..computing(tick)
    };
    let mut clock = Clock::new(
        1,
        Options {
            hang_after,
            ..options()
        },
    );
    assert_eq!(clock.dies(calls), None);
}

#[test]
fn a_rank_in_a_wait_is_alive() {
    let hang_after = Some(Duration::from_secs(2));
    let mut clock = Clock::new(
        1,
        Options {
            hang_after,
            ..options()
        },
    );
    assert_eq!(clock.dies(|_| waiting(0, WaitKind::Supervisor, 0)), None);
    // What it does after the wait has its own window.
    let (after, ..) = clock.dies(|_| idle(0)).unwrap();
    assert_eq!(after, 2);
}

#[test]
fn a_rank_without_a_processor_is_starved_not_dead() {
    let hang_after = Some(Duration::from_secs(2));
    let rejoin_within = Duration::from_secs(3);
    let mut clock = Clock::new(
        1,
        Options {
            hang_after,
            rejoin_within,
            ..options()
        },
    );
    let starved = Sample {
        state: 'R',
        epoch_acked: false,
        ..idle(0)
    };
    assert_eq!(clock.tick(starved), Health::Healthy);
    assert_eq!(clock.tick(starved), Health::Starved);
    assert_eq!(clock.dies(|_| starved), None);
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
    assert_eq!(
        warnings(
            &mut clock,
            Sample {
                calls: 4,
                ..idle(0)
            }
        ),
        1
    );
    // Within a call, it is not outside.
    assert_eq!(
        warnings(
            &mut clock,
            Sample {
                calls: 5,
                in_call: true,
                ..idle(0)
            }
        ),
        0
    );
    let hang_after = Some(Duration::from_secs(12));
    let mut clock = Clock::new(
        1,
        Options {
            hang_after,
            ..options()
        },
    );
    let (after, reason, why) = clock
        .dies(|_| Sample {
            state: 'D',
            ..idle(0)
        })
        .unwrap();
    assert_eq!((after, reason), (12, FenceReason::NoProgress));
    assert!(why.contains("asleep"), "{why}");
}

#[test]
fn whoever_owes_an_acknowledgement_has_a_deadline() {
    let rejoin_within = Duration::from_secs(10);
    let options = Options {
        rejoin_within,
        ..options()
    };
    let owing = |sample: Sample| Sample {
        epoch_acked: false,
        ..sample
    };
    let computing = |tick| {
        owing(Sample {
            state: 'R',
            cpu_ns: tick * 1000 + 8,
            ..idle(0)
        })
    };
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
    let fresh = owing(Sample {
        joined: false,
        incarnation: Incarnation(1),
        ..idle(0)
    });
    let (.., why) = clock.dies(|_| fresh).unwrap();
    assert!(why.contains("not joined"), "{why}");
}

#[test]
fn a_program_that_nobody_joined_from_is_not_judged() {
    let hang_after = Some(Duration::from_secs(1));
    let mut clock = Clock::new(
        2,
        Options {
            hang_after,
            ..options()
        },
    );
    let foreign = |state| Sample {
        joined: false,
        state,
        ..idle(0)
    };
    assert_eq!(clock.dies(|_| foreign('S')), None);
    assert_eq!(clock.dies(|_| foreign('T')), None);
    // One of them joined: now a stopped one that has not is lost like any other.
    clock.tick(idle(1));
    let (_, reason, _) = clock.dies(|_| foreign('T')).unwrap();
    assert_eq!(reason, FenceReason::Stopped);
}

#[test]
fn the_ended_are_the_kernels_business() {
    let mut clock = Clock::new(1, options());
    for state in ['Z', 'X', 'x'] {
        let ended = Sample {
            state,
            epoch_acked: false,
            ..idle(0)
        };
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
    let next = Sample {
        incarnation: Incarnation(1),
        ..stopped()
    };
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

/// Gives the looks in turn and says whether the last one found a deadlock.
fn deadlock(looks: &[([Sample; 2], bool)]) -> Option<String> {
    let mut evidence = Evidence::new(2, options());
    let mut found = None;
    for (look, now) in looks.iter().zip(1..) {
        assert_eq!(found, None, "found too early");
        found = evidence.tick(BEAT * now, &look.0, look.1).deadlock;
    }
    found.map(|waits| who_waits(&waits))
}

#[test]
fn all_waiting_with_nothing_in_flight_is_a_deadlock() {
    use WaitKind::{Bounded, Collective, Finish, Receive, Supervisor};
    let both = [waiting(0, Receive, 1), waiting(1, Receive, 0)];
    let said = "rank 0 waits to receive from rank 1 (tag 7), \
                rank 1 waits to receive from rank 0 (tag 7)";
    assert_eq!(
        deadlock(&[(both, true), (both, true)]).as_deref(),
        Some(said)
    );
    let mixed = [waiting(0, Finish, 1), waiting(1, Collective, 0)];
    assert!(deadlock(&[(mixed, true), (mixed, true)]).is_some());

    let change = |change: fn(&mut Sample)| {
        let mut look = both;
        change(&mut look[1]);
        look
    };
    let moved = change(|sample| sample.wait.as_mut().unwrap().since_seq = 2);
    let runnable = change(|sample| sample.state = 'R');
    let stopped = change(|sample| sample.state = 'T');
    let computing = change(|sample| sample.wait = None);
    let owing = change(|sample| sample.epoch_acked = false);
    let respawned = change(|sample| sample.incarnation = Incarnation(1));
    assert_eq!(deadlock(&[(both, true)]), None);
    assert_eq!(deadlock(&[(both, true), (both, false)]), None);
    assert_eq!(deadlock(&[(both, false), (both, true)]), None);
    for other in [moved, runnable, stopped, computing, owing, respawned] {
        assert_eq!(deadlock(&[(both, true), (other, true)]), None);
        assert_eq!(deadlock(&[(other, true), (both, true)]), None);
        // Two looks in a row must agree.
        assert_eq!(deadlock(&[(both, true), (other, true), (both, true)]), None);
    }
    for kind in [Supervisor, Bounded] {
        let look = [waiting(0, Receive, 1), waiting(1, kind, 0)];
        assert_eq!(deadlock(&[(look, true), (look, true)]), None);
    }
    let done = [waiting(0, Finish, 1), waiting(1, Finish, 0)];
    assert_eq!(deadlock(&[(done, true), (done, true)]), None);
}

#[test]
fn a_deadlock_needs_all_ranks_and_a_running_job() {
    let mut evidence = Evidence::new(2, options());
    let both = [waiting(0, WaitKind::Send, 1), waiting(1, WaitKind::Send, 0)];
    for beat in 1..5 {
        assert_eq!(evidence.tick(BEAT * beat, &both[..1], true).deadlock, None);
    }
    evidence.suspend();
    for beat in 5..9 {
        assert_eq!(evidence.tick(BEAT * beat, &both, true).deadlock, None);
    }
    evidence.resume();
    assert_eq!(evidence.tick(BEAT * 9, &both, true).deadlock, None);
    assert!(evidence.tick(BEAT * 10, &both, true).deadlock.is_some());
    assert_eq!(
        evidence.tick(BEAT * 11, &both, true).deadlock,
        None,
        "said once"
    );
}

#[test]
fn waits_have_codes_and_sentences() {
    let kinds: Vec<_> = (0..8).map(WaitKind::of_code).collect();
    assert_eq!((kinds[0], kinds[7]), (None, None));
    assert_eq!(kinds[2], Some(WaitKind::Receive));
    let sentences: Vec<_> = kinds[1..7]
        .iter()
        .map(|kind| {
            let (peer, tag) = (Some(Rank(4)), None);
            let wait = Wait {
                kind: kind.unwrap(),
                peer,
                tag,
                since_seq: 0,
            };
            wait.to_string()
        })
        .collect();
    let expected = [
        "to send to rank 4",
        "to receive from rank 4",
        "in a collective for rank 4",
        "in finish for rank 4",
        "for the supervisor for rank 4",
        "until its deadline for rank 4",
    ];
    assert_eq!(sentences, expected);
    let many: Vec<_> = (0..20)
        .map(|rank| {
            (
                Rank(rank),
                waiting(rank, WaitKind::Collective, 0).wait.unwrap(),
            )
        })
        .collect();
    assert!(who_waits(&many).ends_with("and 4 more"));
}
