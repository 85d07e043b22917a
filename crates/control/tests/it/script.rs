//! Exact traces of the recovery engine, written as one would draw the protocol.
//!
//! An effect is shown as a word or two: `spawn 1.2` is rank 1, incarnation 2; `tell 0 3` tells
//! rank 0 of epoch 3. Notes and reasons are left out where a test is not about them.

use mainstay_control::recovery::{Config, Effect, Input, Policy, Recovery};
use mainstay_control::{Class, Ending, FenceReason, Hints, Verdict, classify};
use mainstay_types::{Cause, Epoch, Incarnation, Rank, Step, Version};

use crate::world::by;

/// An engine and what it has said since it was last asked.
pub(crate) struct Script {
    pub(crate) engine: Recovery,
    why: String,
}

impl Script {
    pub(crate) fn new(n: u32, policy: Policy) -> Self {
        let config = Config {
            n,
            policy,
            max_restarts: 3,
        };
        Self {
            engine: Recovery::new(config, Epoch(1)),
            why: String::new(),
        }
    }

    /// A job of `n` ranks that are in the program.
    pub(crate) fn open(n: u32, policy: Policy) -> Self {
        let mut script = Self::new(n, policy);
        script.give(Input::Start);
        for rank in 0..n {
            script.hello(rank, 0);
        }
        script
    }

    /// Gives an input and shows the effects.
    pub(crate) fn give(&mut self, input: Input) -> Vec<String> {
        let mut effects = Vec::new();
        self.engine.step(input, &mut effects);
        effects
            .into_iter()
            .filter_map(|effect| self.show(effect))
            .collect()
    }

    fn show(&mut self, effect: Effect) -> Option<String> {
        Some(match effect {
            Effect::Spawn { rank, incarnation } => format!("spawn {rank}.{incarnation}"),
            Effect::Kill {
                rank,
                incarnation,
                reason,
            } => {
                format!("kill {rank}.{incarnation} {reason:?}")
            }
            Effect::Terminate { rank, incarnation } => format!("term {rank}.{incarnation}"),
            Effect::RaiseEpoch { epoch, reason } => {
                self.why = reason;
                format!("raise {epoch}")
            }
            Effect::TellRaised { rank, epoch } => format!("tell {rank} {epoch}"),
            Effect::Open { epoch } => format!("open {epoch}"),
            Effect::Recovered { epoch } => format!("recovered {epoch}"),
            Effect::Finish { epoch } => format!("finish {epoch}"),
            Effect::Failure {
                rank,
                incarnation,
                step,
                cause,
                ..
            } => {
                format!("fail {rank}.{incarnation} {cause} @{step}")
            }
            Effect::End { code, why } => {
                self.why = why;
                format!("end {code}")
            }
            Effect::Dropped { what, .. } => format!("drop {what}"),
            Effect::Note(text) => {
                self.why = text;
                return None;
            }
        })
    }

    pub(crate) fn hello(&mut self, rank: u32, incarnation: u32) -> Vec<String> {
        let (rank, incarnation) = (Rank(rank), Incarnation(incarnation));
        self.give(Input::Hello { rank, incarnation })
    }

    pub(crate) fn ack(&mut self, rank: u32, epoch: u32) -> Vec<String> {
        let (rank, epoch) = (Rank(rank), Epoch(epoch));
        self.give(Input::Ack { rank, epoch })
    }

    pub(crate) fn result(&mut self, rank: u32, epoch: u32) -> Vec<String> {
        let (rank, epoch) = (Rank(rank), Epoch(epoch));
        self.give(Input::Result { rank, epoch })
    }

    pub(crate) fn restored(&mut self, rank: u32, epoch: u32) -> Vec<String> {
        let (rank, epoch) = (Rank(rank), Epoch(epoch));
        self.give(Input::Restored { rank, epoch })
    }

    fn torn(&mut self, rank: u32, epoch: u32) -> Vec<String> {
        let (rank, epoch, version) = (Rank(rank), Epoch(epoch), Version(4));
        let why = "chunk 7 is rotten".to_owned();
        self.give(Input::RestoreFailed {
            rank,
            epoch,
            version,
            why,
        })
    }

    fn suspect(&mut self, rank: u32, reason: FenceReason) -> Vec<String> {
        let rank = Rank(rank);
        self.give(Input::Suspect { rank, reason })
    }

    fn verdict(&mut self, rank: u32, incarnation: u32, verdict: Verdict) -> Vec<String> {
        let (rank, incarnation, step) = (Rank(rank), Incarnation(incarnation), Step(50));
        self.give(Input::Died {
            rank,
            incarnation,
            verdict,
            step,
        })
    }

    pub(crate) fn died(&mut self, rank: u32, incarnation: u32, ending: Ending) -> Vec<String> {
        self.verdict(rank, incarnation, classify(ending, &Hints::default()))
    }

    fn fenced(&mut self, rank: u32, incarnation: u32, reason: FenceReason) -> Vec<String> {
        let hints = Hints {
            fenced: Some(reason),
            ..Hints::default()
        };
        self.verdict(rank, incarnation, classify(by(9), &hints))
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_job_without_faults() {
    let mut s = Script::new(2, Policy::Rollback);
    assert_eq!(s.give(Input::Start), ["spawn 0.0", "spawn 1.0"]);
    assert_eq!(s.hello(1, 0), NOTHING);
    assert_eq!(s.hello(0, 0), ["open 1"]);
    assert_eq!(s.restored(0, 1), NOTHING);
    assert!(!s.engine.is_restored());
    assert_eq!(s.restored(1, 1), NOTHING);
    assert!(s.engine.is_restored());
    assert_eq!(s.result(0, 1), NOTHING);
    assert_eq!(s.result(1, 1), ["finish 1"]);
    assert_eq!(s.died(1, 0, Ending::Exit(0)), NOTHING);
    assert_eq!(s.died(0, 0, Ending::Exit(0)), ["end 0"]);
    assert_eq!(s.hello(0, 0), ["drop input after the end"]);
}

#[test]
fn rollback_starts_the_dead_and_keeps_the_others() {
    let mut s = Script::open(3, Policy::Rollback);
    assert_eq!(
        s.died(1, 0, by(9)),
        ["raise 2", "fail 1.0 signal:9 @50", "spawn 1.1"]
    );
    assert!(s.why.contains("rank 1 was ended by SIGKILL"), "{}", s.why);
    assert!(s.engine.is_awaited(Rank(0)) && s.engine.is_awaited(Rank(1)));
    assert_eq!(s.ack(0, 2), NOTHING);
    assert!(!s.engine.is_awaited(Rank(0)));
    assert_eq!(s.hello(1, 1), NOTHING);
    assert_eq!(s.ack(2, 2), ["open 2"]);
    assert_eq!((s.engine.respawns(), s.engine.restarts()), (1, 0));
    let incarnations = s.engine.incarnations();
    assert_eq!(
        incarnations,
        [Incarnation(0), Incarnation(1), Incarnation(0)]
    );
    for rank in 0..2 {
        assert_eq!(s.restored(rank, 2), NOTHING);
    }
    assert_eq!(s.restored(2, 2), ["recovered 2"]);
}

#[test]
fn restart_fences_all_before_it_starts_any() {
    let mut s = Script::open(3, Policy::Restart);
    let kills = ["kill 0.0 Collateral", "kill 2.0 Collateral"];
    let expected = ["raise 2", kills[0], kills[1], "fail 1.0 signal:9 @50"];
    assert_eq!(s.died(1, 0, by(9)), expected);
    // What they say before they are reaped is void.
    assert_eq!(s.ack(0, 2), ["drop acknowledgement"]);
    assert_eq!(s.fenced(0, 0, FenceReason::Collateral), NOTHING);
    let spawns = ["spawn 0.1", "spawn 1.1", "spawn 2.1"];
    assert_eq!(s.fenced(2, 0, FenceReason::Collateral), spawns);
    for rank in 0..2 {
        assert_eq!(s.hello(rank, 1), NOTHING);
    }
    assert_eq!(s.hello(2, 1), ["open 2"]);
    assert_eq!((s.engine.respawns(), s.engine.restarts()), (3, 1));
}

#[test]
fn a_rank_faster_than_our_kill_answers_for_itself() {
    let mut s = Script::open(3, Policy::Restart);
    s.died(1, 0, by(9));
    assert_eq!(s.died(0, 0, by(11)), ["raise 3", "fail 0.0 signal:11 @50"]);
    let spawns = ["spawn 0.1", "spawn 1.1", "spawn 2.1"];
    assert_eq!(s.fenced(2, 0, FenceReason::Collateral), spawns);
}

#[test]
fn restart_leaves_those_alone_that_have_not_entered_yet() {
    let mut s = Script::open(2, Policy::Restart);
    s.died(1, 0, by(9));
    s.fenced(0, 0, FenceReason::Collateral);
    assert_eq!(s.hello(0, 1), NOTHING);
    let again = ["raise 3", "tell 0 3", "fail 1.1 signal:9 @50", "spawn 1.2"];
    assert_eq!(s.died(1, 1, by(9)), again);
    assert_eq!(s.ack(0, 3), NOTHING);
    assert_eq!(s.hello(1, 2), ["open 3"]);
    assert_eq!(s.engine.restarts(), 1);
}

#[test]
fn two_deaths_raise_twice_and_cost_one_restart() {
    let mut s = Script::open(3, Policy::Rollback);
    s.died(0, 0, by(9));
    assert_eq!(
        s.died(2, 0, by(9)),
        ["raise 3", "fail 2.0 signal:9 @50", "spawn 2.1"]
    );
    // The survivor had read epoch 2 on its way out: it must be asked again.
    assert_eq!(s.ack(1, 2), ["tell 1 3"]);
    assert_eq!(s.hello(0, 1), NOTHING);
    assert_eq!(s.hello(2, 1), NOTHING);
    assert_eq!(s.ack(1, 3), ["open 3"]);
    // Three restarts are allowed; three more follow the first.
    for incarnation in 1..3 {
        s.died(0, incarnation, by(9));
        s.ack(1, s.engine.epoch().0);
        s.ack(2, s.engine.epoch().0);
        assert_eq!(s.hello(0, incarnation + 1).len(), 1);
    }
    assert_eq!(s.died(0, 3, by(9))[0], "fail 0.3 signal:9 @50");
    assert_eq!(s.fenced(1, 0, FenceReason::Collateral), NOTHING);
    assert_eq!(s.fenced(2, 1, FenceReason::Collateral), ["end 137"]);
    assert!(s.why.contains("--max-restarts"), "{}", s.why);
}

#[test]
fn all_ranks_die() {
    let mut s = Script::open(3, Policy::Rollback);
    for (rank, epoch) in [(0, 2), (2, 3), (1, 4)] {
        let raise = format!("raise {epoch}");
        let effects = s.died(rank, 0, by(9));
        assert_eq!((effects[0].as_str(), effects.len()), (raise.as_str(), 3));
    }
    assert_eq!(s.hello(0, 1), NOTHING);
    assert_eq!(s.hello(1, 1), NOTHING);
    assert_eq!(s.hello(2, 1), ["open 4"]);
}

#[test]
fn a_death_during_recovery_asks_the_waiting_again_once() {
    let mut s = Script::open(3, Policy::Rollback);
    s.died(0, 0, by(9));
    s.ack(1, 2);
    // Before its hello.
    assert_eq!(
        s.died(0, 1, by(9)),
        ["raise 3", "tell 1 3", "fail 0.1 signal:9 @50", "spawn 0.2"]
    );
    // Rank 1 has not answered: it is not asked again, but when it answers.
    assert_eq!(
        s.died(0, 2, by(9)),
        ["raise 4", "fail 0.2 signal:9 @50", "spawn 0.3"]
    );
    assert_eq!(s.ack(1, 3), ["tell 1 4"]);
    assert_eq!(s.ack(2, 4), NOTHING);
    assert_eq!(s.hello(0, 3), NOTHING);
    assert_eq!(s.ack(1, 4), ["open 4"]);
}

#[test]
fn what_is_stale_is_dropped() {
    let mut s = Script::open(2, Policy::Rollback);
    s.restored(0, 1);
    s.result(0, 1);
    s.died(1, 0, by(9));
    assert_eq!(s.hello(1, 0), ["drop hello"]);
    assert_eq!(s.hello(7, 0), ["drop hello"]);
    assert_eq!(s.died(1, 0, by(9)), ["drop death"]);
    assert_eq!(s.ack(0, 1), ["drop acknowledgement"]);
    assert_eq!(s.ack(0, 9), ["drop acknowledgement"]);
    assert_eq!(s.ack(1, 2), ["drop acknowledgement"]);
    assert_eq!(s.result(0, 1), ["drop result"]);
    s.ack(0, 2);
    assert_eq!(s.ack(0, 2), ["drop acknowledgement"]);
    assert_eq!(s.hello(1, 1), ["open 2"]);
    assert_eq!(s.hello(1, 1), ["drop hello"]);
    assert_eq!(s.ack(0, 2), ["drop acknowledgement"]);
    assert_eq!(s.result(0, 1), ["drop result"]);
    // A result of epoch 1 was forgotten when epoch 2 was raised.
    assert_eq!(s.result(1, 2), NOTHING);
    assert_eq!(s.result(1, 2), ["drop result"]);
    assert_eq!(s.result(0, 2), ["finish 2"]);
}

#[test]
fn torn_copies_raise_once_an_epoch() {
    let mut s = Script::open(3, Policy::Rollback);
    assert_eq!(s.torn(0, 1), ["raise 2"]);
    assert!(
        s.why.contains("version 4") && s.why.contains("rotten"),
        "{}",
        s.why
    );
    assert_eq!(s.torn(2, 1), ["drop failed restore"]);
    assert_eq!(s.torn(1, 1), ["drop failed restore"]);
    s.ack(0, 2);
    s.ack(1, 2);
    assert_eq!(s.ack(2, 2), ["open 2"]);
}

#[test]
fn a_suspect_is_killed_before_it_is_declared() {
    let mut s = Script::open(2, Policy::Rollback);
    assert_eq!(s.suspect(1, FenceReason::Stopped), ["kill 1.0 Stopped"]);
    assert_eq!(s.suspect(1, FenceReason::NoProgress), ["drop suspicion"]);
    assert_eq!(s.result(1, 1), ["drop result"]);
    let effects = s.fenced(1, 0, FenceReason::Stopped);
    assert_eq!(effects, ["raise 2", "fail 1.0 stopped @50", "spawn 1.1"]);
    // One that never says hello.
    assert_eq!(
        s.suspect(1, FenceReason::NoProgress),
        ["kill 1.1 NoProgress"]
    );
    assert_eq!(s.hello(1, 1), ["drop hello"]);
    let effects = s.fenced(1, 1, FenceReason::NoProgress);
    assert_eq!(
        effects,
        ["raise 3", "fail 1.1 no_progress @50", "spawn 1.2"]
    );
    assert_eq!(s.suspect(1, FenceReason::Collateral), ["drop suspicion"]);
    assert_eq!(s.suspect(9, FenceReason::Stopped), ["drop suspicion"]);
}

#[test]
fn abort_ends_with_the_first_failure() {
    let mut s = Script::open(3, Policy::Abort);
    let kills = [
        "fail 1.0 signal:9 @50",
        "kill 0.0 Collateral",
        "kill 2.0 Collateral",
    ];
    assert_eq!(s.died(1, 0, by(9)), kills);
    assert_eq!(s.died(2, 0, by(11)), NOTHING);
    assert_eq!(s.fenced(0, 0, FenceReason::Collateral), ["end 137"]);
    assert!(
        s.why.contains("rank 1") && s.why.contains("abort"),
        "{}",
        s.why
    );
}

#[test]
fn decisions_are_the_programs() {
    for (ending, code) in [(Ending::Exit(3), 3), (Ending::Exit(0), 70)] {
        let mut s = Script::open(2, Policy::Rollback);
        assert_eq!(s.died(0, 0, ending).len(), 2);
        let end = s.fenced(1, 0, FenceReason::Collateral);
        assert_eq!(end, [format!("end {code}")]);
    }
    let mut s = Script::open(1, Policy::Rollback);
    let oom = Verdict {
        cause: Cause::Oom,
        class: Class::Decision { code: 137 },
        code: 137,
        detail: "was killed for want of memory".to_owned(),
    };
    assert_eq!(s.verdict(0, 0, oom), ["fail 0.0 oom @50", "end 137"]);
}

#[test]
fn the_same_bug_again_is_a_bug() {
    let mut s = Script::open(1, Policy::Rollback);
    s.died(0, 0, by(11));
    assert_eq!(s.hello(0, 1), ["open 2"]);
    assert_eq!(s.died(0, 1, by(11)), ["fail 0.1 signal:11 @50", "end 139"]);
    assert!(s.why.contains("bug"), "{}", s.why);
}

#[test]
fn progress_renews_the_budget() {
    let mut s = Script::open(1, Policy::Rollback);
    for incarnation in 0..20 {
        s.engine.progress(Step(u64::from(incarnation) + 1));
        assert_eq!(s.died(0, incarnation, by(9)).len(), 3);
        assert_eq!(s.hello(0, incarnation + 1).len(), 1);
    }
}

#[test]
fn a_death_between_result_and_finish_forgets_the_results() {
    let mut s = Script::open(2, Policy::Rollback);
    s.result(0, 1);
    assert_eq!(
        s.died(0, 0, by(9)),
        ["raise 2", "fail 0.0 signal:9 @50", "spawn 0.1"]
    );
    assert_eq!(s.result(1, 1), ["drop result"]);
    s.ack(1, 2);
    assert_eq!(s.hello(0, 1), ["open 2"]);
    s.result(1, 2);
    assert_eq!(s.result(0, 2), ["finish 2"]);
}

#[test]
fn after_the_finish_nothing_fails_the_job() {
    let mut s = Script::open(3, Policy::Rollback);
    for rank in 0..3 {
        s.result(rank, 1);
    }
    assert_eq!(s.died(0, 0, by(9)), NOTHING);
    assert!(s.why.contains("no matter"), "{}", s.why);
    assert_eq!(s.suspect(1, FenceReason::Stopped), ["kill 1.0 Stopped"]);
    assert_eq!(s.fenced(1, 0, FenceReason::Stopped), NOTHING);
    assert_eq!(s.give(Input::Deadlock("x".to_owned())), ["drop deadlock"]);
    assert_eq!(s.give(Input::Stop { signal: 15 }), ["term 2.0"]);
    assert_eq!(s.died(2, 0, by(15)), ["end 0"]);
}

#[test]
fn a_deadlock_ends_the_job_and_says_who_waits() {
    let mut s = Script::open(2, Policy::Rollback);
    let who = "rank 0 waits to receive from rank 1, rank 1 waits to receive from rank 0";
    let kills = ["kill 0.0 Collateral", "kill 1.0 Collateral"];
    assert_eq!(s.give(Input::Deadlock(who.to_owned())), kills);
    s.fenced(0, 0, FenceReason::Collateral);
    assert_eq!(s.fenced(1, 0, FenceReason::Collateral), ["end 70"]);
    assert_eq!(s.why, format!("deadlock: {who}"));
}

#[test]
fn stopped_once_asks_and_twice_kills() {
    let mut s = Script::open(2, Policy::Rollback);
    // In the middle of a recovery, one of them before its hello.
    s.died(1, 0, by(9));
    assert_eq!(s.give(Input::Stop { signal: 2 }), ["term 0.0", "term 1.1"]);
    assert_eq!(s.hello(1, 1), ["drop hello"]);
    assert_eq!(s.ack(0, 2), ["drop acknowledgement"]);
    assert_eq!(s.died(1, 1, by(15)), NOTHING);
    assert_eq!(s.give(Input::Stop { signal: 2 }), ["kill 0.0 Collateral"]);
    assert_eq!(s.give(Input::StopNow), NOTHING);
    assert_eq!(s.fenced(0, 0, FenceReason::Collateral), ["end 130"]);

    let mut s = Script::open(1, Policy::Rollback);
    assert_eq!(s.give(Input::StopNow), ["drop end of patience"]);
    assert_eq!(s.give(Input::Stop { signal: 15 }), ["term 0.0"]);
    assert_eq!(s.give(Input::StopNow), ["kill 0.0 Collateral"]);
    assert_eq!(s.fenced(0, 0, FenceReason::Collateral), ["end 143"]);
}

#[test]
fn a_stop_while_ranks_are_fenced_waits_for_them() {
    let mut s = Script::open(2, Policy::Restart);
    s.died(1, 0, by(9));
    assert_eq!(s.give(Input::Stop { signal: 2 }), NOTHING);
    assert_eq!(s.fenced(0, 0, FenceReason::Collateral), ["end 130"]);
    let mut s = Script::new(2, Policy::Rollback);
    assert_eq!(s.give(Input::Stop { signal: 2 }), ["end 130"]);
}

#[test]
fn an_unprotected_program_has_its_own_exit_status() {
    for (endings, code) in [
        ([Ending::Exit(0), Ending::Exit(0)], 0),
        ([Ending::Exit(0), Ending::Exit(4)], 4),
        ([by(15), Ending::Exit(4)], 143),
    ] {
        let mut s = Script::new(2, Policy::Rollback);
        s.give(Input::Start);
        assert_eq!(s.died(0, 0, endings[0]), NOTHING);
        assert_eq!(s.died(1, 0, endings[1]), [format!("end {code}")]);
    }
}

#[test]
fn those_that_left_before_the_first_hello_are_judged_then() {
    let start = |ending| {
        let mut s = Script::new(3, Policy::Rollback);
        s.give(Input::Start);
        assert_eq!(s.died(0, 0, ending), NOTHING);
        s
    };
    // A fault: started again, and the first to join is asked again.
    let mut s = start(by(9));
    assert_eq!(
        s.hello(2, 0),
        ["raise 2", "tell 2 2", "fail 0.0 signal:9 @50", "spawn 0.1"]
    );
    s.hello(1, 0);
    s.hello(0, 1);
    assert_eq!(s.ack(2, 2), ["open 2"]);
    // Another program among ours, or one that failed by itself.
    for (ending, code) in [(Ending::Exit(0), 70), (Ending::Exit(5), 5)] {
        let mut s = start(ending);
        let kills = ["kill 1.0 Collateral", "kill 2.0 Collateral"];
        assert_eq!(s.hello(2, 0)[1..], kills);
        s.fenced(1, 0, FenceReason::Collateral);
        let end = s.fenced(2, 0, FenceReason::Collateral);
        assert_eq!(end, [format!("end {code}")]);
        assert!(s.why.contains("rank 0"), "{}", s.why);
    }
}

#[test]
fn a_rank_that_cannot_be_started_ends_the_job() {
    let mut s = Script::new(2, Policy::Rollback);
    s.give(Input::Start);
    let mut failed = |rank, incarnation| {
        let (code, why) = (127, "not found".to_owned());
        s.give(Input::SpawnFailed {
            rank: Rank(rank),
            incarnation,
            code,
            why,
        })
    };
    assert_eq!(failed(0, Incarnation(3)), ["drop failed start"]);
    assert_eq!(failed(0, Incarnation(0)), ["kill 1.0 Collateral"]);
    assert_eq!(failed(1, Incarnation(0)), ["end 127"]);
    assert!(s.why.contains("not found"));
}

#[test]
fn a_resume_without_a_version_is_an_error_of_data() {
    let mut s = Script::open(1, Policy::Rollback);
    let why = "every version in /ckpt is torn".to_owned();
    assert_eq!(s.give(Input::NoVersion { why }), ["kill 0.0 Collateral"]);
    assert_eq!(s.fenced(0, 0, FenceReason::Collateral), ["end 65"]);
}

#[test]
fn the_choice_of_a_version_is_said_after_a_raise() {
    let mut s = Script::open(1, Policy::Rollback);
    let opened = |epoch, version| {
        let (epoch, step) = (Epoch(epoch), Step(40));
        Input::Opened {
            epoch,
            version,
            step,
        }
    };
    assert_eq!(s.give(opened(1, None)), NOTHING);
    assert_eq!(s.why, "");
    s.died(0, 0, by(9));
    s.hello(0, 1);
    assert_eq!(s.give(opened(1, None)), ["drop choice of a version"]);
    s.give(opened(2, Some(Version(7))));
    assert!(s.why.contains("version 7 of step 40"), "{}", s.why);
    s.give(opened(2, None));
    assert!(s.why.contains("start of the job"), "{}", s.why);
}

#[test]
fn policies_have_names() {
    for policy in [Policy::Abort, Policy::Restart, Policy::Rollback] {
        assert_eq!(policy.name().parse(), Ok(policy));
    }
    assert!("retry".parse::<Policy>().unwrap_err().contains("rollback"));
}
