//! Traces of jobs that end: decisions, bugs, deadlock, stops, unprotected programs, the finish.

use mainstay_control::recovery::{Input, Policy};
use mainstay_control::{Class, Ending, FenceReason, Verdict};
use mainstay_types::{Cause, Incarnation, Rank, Step};

use super::{NOTHING, Script};
use crate::world::by;

#[test]
fn abort_ends_with_the_first_failure() {
    let mut s = Script::open(3, Policy::Abort);
    let kills = ["fail 1.0 signal:9 @50", "kill 0.0 Collateral", "kill 2.0 Collateral"];
    assert_eq!(s.died(1, 0, by(9)), kills);
    assert_eq!(s.died(2, 0, by(11)), NOTHING);
    assert_eq!(s.fenced(0, 0, FenceReason::Collateral), ["end 137"]);
    assert!(s.why.contains("rank 1") && s.why.contains("abort"), "{}", s.why);
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
    assert_eq!(s.died(0, 0, by(9)), ["raise 2", "fail 0.0 signal:9 @50", "spawn 0.1"]);
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
    assert_eq!(s.hello(2, 0), ["raise 2", "tell 2 2", "fail 0.0 signal:9 @50", "spawn 0.1"]);
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
        s.give(Input::SpawnFailed { rank: Rank(rank), incarnation, code, why })
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
fn policies_have_names() {
    for policy in [Policy::Abort, Policy::Restart, Policy::Rollback] {
        assert_eq!(policy.name().parse(), Ok(policy));
    }
    assert!("retry".parse::<Policy>().unwrap_err().contains("rollback"));
}

#[test]
fn a_reason_outside_the_ranks_ends_the_job_at_any_time_before_the_finish() {
    let give_up = || Input::GiveUp { code: 65, why: "another input".to_owned() };
    let mut s = Script::open(1, Policy::Rollback);
    assert_eq!(s.give(give_up()), ["kill 0.0 Collateral"]);
    assert_eq!(s.give(give_up()), ["drop giving up"]);
    assert_eq!(s.fenced(0, 0, FenceReason::Collateral), ["end 65"]);
    assert_eq!(s.why, "another input");
    let mut s = Script::open(2, Policy::Rollback);
    s.died(1, 0, by(9));
    assert_eq!(s.give(give_up()), ["kill 0.0 Collateral", "kill 1.1 Collateral"]);
    let mut s = Script::open(1, Policy::Rollback);
    s.result(0, 1);
    assert_eq!(s.give(give_up()), ["drop giving up"]);
}

#[test]
fn nobody_is_suspected_while_the_job_stops() {
    let mut s = Script::open(1, Policy::Rollback);
    s.give(Input::Stop { signal: 15 });
    assert_eq!(s.suspect(0, FenceReason::Stopped), ["drop suspicion"]);
    assert_eq!(s.died(0, 0, by(15)), ["end 143"]);
}

#[test]
fn a_wrapper_may_go_on_when_the_job_wants_nothing_else_of_it() {
    let mut job = Script::open(2, Policy::Rollback);
    assert!(!job.engine.lets_wrappers_go_on());
    job.result(0, 1);
    assert_eq!(job.result(1, 1), ["finish 1"]);
    assert!(job.engine.lets_wrappers_go_on() && !job.engine.only_waits_for_the_dead());
    job.give(Input::Stop { signal: 2 });
    assert!(!job.engine.only_waits_for_the_dead(), "they were asked, not killed");
    job.give(Input::StopNow);
    assert!(job.engine.only_waits_for_the_dead());
}

#[test]
fn a_killed_rank_is_waited_for_as_long_as_it_is_to_be_started_again() {
    let mut job = Script::open(2, Policy::Rollback);
    job.give(Input::Suspect { rank: Rank(0), reason: FenceReason::Stopped });
    job.give(Input::Suspect { rank: Rank(1), reason: FenceReason::Stopped });
    assert!(!job.engine.only_waits_for_the_dead());
    job.give(Input::GiveUp { code: 70, why: String::new() });
    assert!(job.engine.only_waits_for_the_dead());
}
