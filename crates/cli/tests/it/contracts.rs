//! Programs that break their contract: a clear message, the right code, nothing left.

use crate::harness::{program, run};

#[test]
fn a_bug_that_panics_each_time_stops_the_job() {
    let probe = program("probe");
    let ended = run(&["-n", "3", &probe, "panic-at", "20", "1"]).code(101);
    assert_eq!(ended.stderr.matches("FAILED").count(), 2);
    ended.says("panic on purpose").says("a bug of the program, not a fault");
    let words = ["-n", "3", "--ckpt-every", "5steps", &probe, "panic-at", "40", "1"];
    run(&words).code(101).says("is kept; debug this build from there with: mainstay run");
}

#[test]
fn a_program_that_exits_decides_for_the_job() {
    let probe = program("probe");
    run(&["-n", "3", &probe, "exit-at", "20", "1", "7"])
        .code(7)
        .says("rank 1 FAILED after step 19: exit:7");
}

#[test]
fn a_program_without_finish_is_told_so() {
    let probe = program("probe");
    run(&["-n", "3", &probe, "early"]).code(70).says("finished_early").says("job.finish");
}

#[test]
fn an_interruption_that_is_swallowed_or_met_in_drop_is_entered_again() {
    let probe = program("probe");
    for mode in ["swallow", "drop-comm"] {
        let options = ["-n", "3", "--ckpt-every", "5steps", "--twin", "--inject", "kill:1@step=30"];
        let ended = run(&[&options[..], &[&probe, mode]].concat()).code(0);
        assert_eq!(ended.value("bit-identical"), "yes", "{mode}");
    }
}

#[test]
fn a_program_that_protects_nothing_has_no_version_and_begins_anew() {
    let probe = program("probe");
    let options = ["-n", "3", "--ckpt-every", "5steps", "--json", "--inject", "kill:1@step=30"];
    let mode = [&probe, "unprotected", "--steps", "60", "--spin-us", "300"];
    let ended = run(&[&options[..], &mode].concat()).code(0);
    let summary = ended.summary();
    assert_eq!((&summary["steps"], &summary["respawns"]), (&60.into(), &1.into()));
    assert_eq!(summary["checkpoints"].as_array().unwrap().len(), 0, "{}", ended.stdout);
}

#[test]
fn ranks_with_other_numbers_of_steps_are_told() {
    let probe = program("probe");
    run(&["-n", "3", &probe, "unequal", "--steps", "20"])
        .code(0)
        .says("rank 0 came to step 20 and rank 2 to step 21: every rank has to call");
    let equal = run(&["-n", "3", &probe, "steps", "20"]).code(0);
    assert!(!equal.stderr.contains("equally often"), "{}", equal.stderr);
}

#[test]
fn a_deadlock_is_reported_with_who_waits_for_whom() {
    let probe = program("probe");
    run(&["-n", "3", "--heartbeat", "50ms", &probe, "deadlock"])
        .code(70)
        .says("deadlock: rank 0 waits to receive from rank 1 (tag 7)")
        .says("rank 2 waits to receive from rank 0");
}

#[test]
fn a_deadlock_is_seen_in_whatever_call_the_ranks_wait() {
    let probe = program("probe");
    for (call, said) in [
        ("any", "rank 2 waits to receive from any rank (tag 7)"),
        ("probe", "rank 2 waits to receive from rank 0"),
        ("wait-any", "rank 0 waits for one of several requests, rank 1 waits for one of"),
        ("agree", "rank 1 waits for all ranks to agree, rank 2 waits for all ranks to agree"),
        ("collective", "from any rank (tag 7), rank 1 waits in a reduction for rank 0"),
        ("started", "from any rank (tag 7), rank 1 waits in a barrier for rank 0"),
    ] {
        run(&["-n", "3", "--heartbeat", "50ms", &probe, "deadlock", call]).code(70).says(said);
    }
    // Frames lie in a ring, and nobody will ever take them out.
    let ended = run(&["-n", "2", "--heartbeat", "50ms", &probe, "deadlock", "flood"]).code(70);
    ended
        .says("rank 0 waits to send to rank 1 (tag 8), rank 1 waits to receive from any rank")
        .says("the memory of rank 1 for messages that no receive asks for is full");
}

#[test]
fn a_program_that_is_not_linked_runs_unprotected_with_its_own_code() {
    run(&["-n", "2", "sh", "-c", "exit 3"]).code(3).says("not linked with Mainstay");
    let ended = run(&["-n", "2", "echo", "hello"]).code(0).says("unprotected");
    assert_eq!(ended.stdout.matches("hello\n").count(), 2);
    // Nothing is proved by such a program, and nothing is resumed.
    let ended = run(&["-n", "2", "--twin", "true"]).code(76);
    assert_eq!(ended.stdout.lines().last(), Some("bit-identical: not proved"));
}

#[test]
fn a_panic_while_a_rank_recovers_is_a_panic() {
    let fault = "kill:2@step=20,panic:1@point=acknowledged";
    let words = ["-n", "3", "--json", "--ckpt-every", "5steps", "--twin", "--inject", fault];
    let probe = program("probe");
    let ended = run(&[&words[..], &[&probe, "steps", "60", "--spin-us", "300"]].concat()).code(0);
    assert_eq!(ended.summary()["failures"][1]["cause"], "panic", "{}", ended.stdout);
}

#[test]
fn wrappers_pass_the_job_on() {
    let probe = program("probe");
    let script = format!("{probe} steps 60 --spin-us 300; exit $?");
    let options = ["-n", "3", "--ckpt-every", "5steps", "--twin", "--inject", "kill:1@step=30"];
    let ended = run(&[&options[..], &["sh", "-c", &script]].concat()).code(0);
    assert_eq!(ended.value("bit-identical"), "yes");
    assert!(ended.stderr.contains("signal:9"), "{}", ended.stderr);
}

#[test]
fn a_program_that_never_joins_is_lost_and_whoever_waits_for_it_is_not() {
    let probe = program("probe");
    let absent = "test $MAINSTAY_RANK = 1 && test $MAINSTAY_INCARNATION -lt 2 && exec sleep 1000";
    let script = format!("{absent}; exec {probe} steps 20");
    let limits = ["--heartbeat", "50ms", "--lost-after", "300ms", "--hang-after", "300ms"];
    let ended = run(&[&["-n", "3", "--json"], &limits[..], &["sh", "-c", &script]].concat());
    let summary = ended.code(0).summary();
    let failures = summary["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 2, "{failures:?}");
    for failure in failures {
        assert_eq!((&failure["rank"], &failure["cause"]), (&1.into(), &"no_progress".into()));
    }
}

#[test]
fn an_audit_compares_what_is_exchanged_after_the_last_step() {
    let probe = program("probe");
    let ended = run(&["-n", "3", "--audit", &probe, "nondet-end", "--steps", "20"]).code(76);
    assert_eq!(ended.value("result digest"), ended.value("twin digest"));
    assert!(ended.value("twin").contains("first differ after the last step"), "{}", ended.stdout);
}

#[test]
fn a_program_that_cannot_be_started_is_named() {
    run(&["/nowhere/solver"]).code(127).says("`/nowhere/solver`").says("build it first");
    run(&["/etc/passwd"]).code(126).says("`/etc/passwd`");
}

#[test]
fn a_lone_rank_needs_no_launcher() {
    let output = std::process::Command::new(program("probe")).args(["steps", "20"]).output();
    assert!(output.unwrap().status.success());
}

#[test]
fn a_failed_twin_ends_the_run_as_it_was_asked() {
    let words = ["--json", "--twin", "--policy", "restart", "sh", "-c", "exit 3"];
    let summary = run(&words).code(3).summary();
    assert_eq!(summary["policy"], "restart");
    assert_eq!(summary["result_digest"], serde_json::Value::Null);
}

#[test]
fn steps_before_the_state_cost_no_version() {
    let probe = program("probe");
    let fault = ["-n", "2", "--json", "--ckpt-every", "5steps", "--inject", "kill:1@step=150"];
    let words = [&probe, "tick-first", "--steps", "200", "--spin-us", "500"];
    let ended = run(&[&fault[..], &["--twin"], &words].concat()).code(0);
    let restored = |event: &serde_json::Value| event["event"] == "restored";
    let versions: Vec<_> = ended.events().into_iter().filter(restored).collect();
    assert!(!versions.is_empty() && versions.iter().all(|event| event["version"].is_u64()));
}

#[test]
fn a_request_across_protect_is_refused_on_the_first_day() {
    let ended = run(&["-n", "2", &program("probe"), "crosses"]).code(1);
    ended.says("1 request is not complete at `protect`");
}

#[test]
fn a_launcher_that_was_told_to_ignore_its_children_waits_for_them() {
    let script = format!(
        "trap '' CHLD; exec {} run -n 2 --json --inject kill:1@step=50 {} steps 100 --spin-us 500",
        env!("CARGO_BIN_EXE_mainstay"),
        program("probe")
    );
    let mut command = std::process::Command::new("bash");
    let output = command.args(["-c", &script]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains(r#""cause":"signal:9""#));
}
