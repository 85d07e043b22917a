//! Traces of jobs that go on: each policy, deaths during recovery, stale messages, suspects.

use mainstay_control::Ending;
use mainstay_control::FenceReason;
use mainstay_control::recovery::{Input, Policy};
use mainstay_types::{Epoch, Incarnation, Rank, Step, Version};

use super::{NOTHING, Script};
use crate::world::by;

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
    assert_eq!(s.died(1, 0, by(9)), ["raise 2", "fail 1.0 signal:9 @50", "spawn 1.1"]);
    assert!(s.why.contains(", was ended by SIGKILL"), "{}", s.why);
    assert!(s.engine.is_awaited(Rank(0)) && s.engine.is_awaited(Rank(1)));
    assert_eq!(s.ack(0, 2), NOTHING);
    assert!(!s.engine.is_awaited(Rank(0)));
    assert_eq!(s.hello(1, 1), NOTHING);
    assert_eq!(s.ack(2, 2), ["open 2"]);
    assert_eq!((s.engine.respawns(), s.engine.restarts()), (1, 0));
    let incarnations = s.engine.incarnations();
    assert_eq!(incarnations, [Incarnation(0), Incarnation(1), Incarnation(0)]);
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
    assert_eq!(s.died(2, 0, by(9)), ["raise 3", "fail 2.0 signal:9 @50", "spawn 2.1"]);
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
    assert_eq!(s.died(0, 1, by(9)), ["raise 3", "tell 1 3", "fail 0.1 signal:9 @50", "spawn 0.2"]);
    // Rank 1 has not answered: it is not asked again, but when it answers.
    assert_eq!(s.died(0, 2, by(9)), ["raise 4", "fail 0.2 signal:9 @50", "spawn 0.3"]);
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
    assert!(s.why.contains("version 4") && s.why.contains("rotten"), "{}", s.why);
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
    assert_eq!(s.suspect(1, FenceReason::NoProgress), ["kill 1.1 NoProgress"]);
    assert_eq!(s.hello(1, 1), ["drop hello"]);
    let effects = s.fenced(1, 1, FenceReason::NoProgress);
    assert_eq!(effects, ["raise 3", "fail 1.1 no_progress @50", "spawn 1.2"]);
    assert_eq!(s.suspect(1, FenceReason::Collateral), ["drop suspicion"]);
    assert_eq!(s.suspect(9, FenceReason::Stopped), ["drop suspicion"]);
}

#[test]
fn the_choice_of_a_version_is_said_after_a_raise() {
    let mut s = Script::open(1, Policy::Rollback);
    let opened = |epoch, version| {
        let (epoch, step) = (Epoch(epoch), Step(40));
        Input::Opened { epoch, version, step }
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
