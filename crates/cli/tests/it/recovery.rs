//! Ranks die in every way and at every point; the answer keeps its bits.

use crate::harness::{Ended, matrix, program, run};

/// A run with its twin; the program is `probe` unless said otherwise.
fn twin(options: &[&str], mode: &[&str]) -> Ended {
    let probe = program("probe");
    let mut words = vec!["-n", "3", "--twin", "--json"];
    words.extend_from_slice(options);
    words.push(&probe);
    words.extend_from_slice(mode);
    run(&words)
}

const STEPS: &[&str] = &["steps", "60", "--spin-us", "300"];

#[test]
fn cg_finishes_with_the_same_bits_though_a_rank_is_killed() {
    let (cg, matrix) = (program("cg"), matrix());
    let ended = run(&[
        "-n",
        "4",
        "--ckpt-every",
        "20steps",
        "--inject",
        "kill:2@step=100",
        "--twin",
        &cg,
        &matrix,
    ])
    .code(0);
    assert_eq!(ended.stdout.lines().last(), Some("bit-identical: yes"));
    assert_eq!(ended.value("result digest"), ended.value("twin digest"));
    assert!(ended.value("residual").parse::<f64>().unwrap() <= 1e-10);
    assert!(ended.value("lost time").contains("rank 2 after step 99 (signal:9: detect "));
    assert!(ended.stdout.contains('✗') && ended.stdout.contains('▲'));
}

#[test]
fn every_point_of_a_rank_survives_a_kill() {
    // A second kill makes the points of recovery be passed; early passages are before the first
    // version, later ones after.
    for point in [
        "send#30",
        "ring-publish#40",
        "mid-chunk#4",
        "collective-enter#25",
        "collective-mid#25",
        "capture-mid#2",
        "captured#2",
        "prepared#2",
        "manifest-written",
        "published",
        "restore-mid",
        "acknowledged",
        "finish-mid",
    ] {
        let inject = format!("kill:2@step=30,kill:1@point={point}");
        // Messages that cross the cut and are of several chunks; the other has collectives.
        // Long enough for a manifest to be written on a slow disk.
        let disk = matches!(point, "manifest-written" | "published");
        let steps = if disk { "3000" } else { "60" };
        let pipeline = ["pipeline", "--steps", steps, "--spin-us", "300"];
        let mode = if point.starts_with("collective") { STEPS } else { &pipeline };
        let ended = twin(&["--ckpt-every", "5steps", "--inject", &inject], mode);
        assert_eq!(ended.code, 0, "{point}: {}", ended.stdout);
        let summary = ended.summary();
        assert_eq!(summary["bit_identical"], true, "{point}");
        let failures = summary["failures"].as_array().unwrap().len();
        // Whoever hands its result in last may see the job decided before it dies.
        let least = if point == "finish-mid" { 1 } else { 2 };
        assert!((least..=2).contains(&failures), "{point}: {failures}");
    }
}

#[test]
fn a_rank_that_dies_again_as_it_comes_back_is_started_again() {
    let ended = twin(
        &["--ckpt-every", "5steps", "--inject", "kill:1@step=20,kill:1@point=respawned"],
        STEPS,
    );
    let summary = ended.code(0).summary();
    assert_eq!(summary["respawns"], 2);
    assert_eq!(summary["failures"][1]["incarnation"], 1);
}

#[test]
fn all_ranks_die_together_and_rank_0_among_them() {
    let ended = twin(&["--ckpt-every", "5steps", "--inject", "kill:*@step=20"], STEPS).code(0);
    let summary = ended.summary();
    assert_eq!((&summary["bit_identical"], &summary["respawns"]), (&true.into(), &3.into()));
}

#[test]
fn a_restart_goes_back_with_every_rank() {
    let options = ["--policy", "restart", "--ckpt-every", "5steps", "--inject", "kill:0@step=30"];
    let summary = twin(&options, STEPS).code(0).summary();
    assert_eq!((&summary["restarts"], &summary["respawns"]), (&1.into(), &3.into()));
    assert_eq!(summary["failures"].as_array().unwrap().len(), 1);
}

#[test]
fn abort_ends_at_once_and_tells_where_the_state_lies() {
    let probe = program("probe");
    let words = ["-n", "3", "--policy", "abort", "--ckpt-every", "5steps"];
    let fault =
        ["--inject", "kill:1@point=published#2", &probe, "steps", "400", "--spin-us", "500"];
    let ended = run(&[&words[..], &fault].concat()).code(137);
    assert!(ended.stderr.contains("go on from it with: mainstay run"), "{}", ended.stderr);
    ended.says("signal:9").says("the policy is to abort");
}

#[test]
fn a_failure_after_the_end_is_decided_does_not_matter() {
    let probe = program("probe");
    let words = ["-n", "3", "--json", "--inject", "kill:1@point=finished", &probe];
    let summary = run(&[&words[..], STEPS].concat()).code(0).summary();
    assert!(summary["failures"].as_array().unwrap().is_empty());
    assert!(summary["result_digest"].is_string());
}

#[test]
fn survivors_in_a_long_kernel_are_waited_for() {
    let mode = ["long-kernel", "300", "--steps", "30"];
    let summary =
        twin(&["--ckpt-every", "5steps", "--inject", "kill:1@step=15"], &mode).code(0).summary();
    assert_eq!(summary["bit_identical"], true);
    assert_eq!(summary["respawns"], 1);
}

#[test]
fn a_stopped_rank_is_taken_for_dead_after_its_time() {
    let options = ["--lost-after", "300ms", "--heartbeat", "50ms", "--ckpt-every", "5steps"];
    let inject = ["--inject", "stop:1@step=20"];
    let summary = twin(&[&options[..], &inject].concat(), STEPS).code(0).summary();
    assert_eq!(summary["failures"][0]["cause"], "stopped");
    assert!(summary["failures"][0]["detect_ms"].as_f64().unwrap() >= 300.0);
}

#[test]
fn a_rank_without_a_call_is_killed_only_where_the_user_said_so() {
    let probe = program("probe");
    let kernel = [&probe, "long-kernel", "2000", "--steps", "12"];
    let deadline = ["-n", "2", "--heartbeat", "50ms", "--hang-after", "300ms"];
    let ended = run(&[&deadline[..], &["--max-restarts", "0"], &kernel].concat()).code(137);
    ended.says("no_progress").says("--hang-after");
}

#[test]
fn ranks_that_wait_for_a_late_one_are_not_taken_for_dead() {
    let probe = program("probe");
    let late = "test $MAINSTAY_RANK.$MAINSTAY_INCARNATION = 1.0 && sleep 1";
    let script = format!("{late}; exec {probe} steps 20");
    let deadline = ["-n", "3", "--heartbeat", "50ms", "--hang-after", "300ms", "--json"];
    let summary = run(&[&deadline[..], &["sh", "-c", &script]].concat()).code(0).summary();
    for failure in summary["failures"].as_array().unwrap() {
        assert_eq!(failure["rank"], 1, "{summary}");
    }
}

#[test]
fn a_rank_that_never_joins_is_noticed_once_others_have() {
    let probe = program("probe");
    let script = format!("test $MAINSTAY_RANK = 1 && exec sleep 1000; exec {probe} steps 20");
    let deadline = ["-n", "2", "--heartbeat", "50ms", "--hang-after", "300ms"];
    let ended = run(&[&deadline[..], &["--max-restarts", "0", "sh", "-c", &script]].concat());
    ended.code(137).says("rank 1 FAILED").says("no_progress");
}

#[test]
fn a_survivor_that_does_not_rejoin_in_time_is_fenced() {
    let options = ["--heartbeat", "50ms", "--rejoin-within", "300ms", "--ckpt-every", "3steps"];
    let inject = ["--inject", "kill:1@time=500ms"];
    let mode = ["long-kernel", "1500", "--steps", "12"];
    let summary = twin(&[&options[..], &inject].concat(), &mode).code(0).summary();
    assert_eq!(summary["bit_identical"], true);
    let causes: Vec<_> =
        summary["failures"].as_array().unwrap().iter().map(|failure| &failure["cause"]).collect();
    assert!(causes.contains(&&"no_progress".into()), "{causes:?}");
}

#[test]
fn a_violation_and_a_panic_are_retried_once() {
    for (inject, cause, code) in
        [("segv:1@step=20", "signal:11", 139), ("panic:1@step=20", "panic", 101)]
    {
        let summary =
            twin(&["--ckpt-every", "5steps", "--inject", inject], STEPS).code(0).summary();
        assert_eq!(summary["failures"][0]["cause"], cause);
        let probe = program("probe");
        let always = format!("{inject}:always");
        let words = ["-n", "3", "--ckpt-every", "5steps", "--inject", &always, &probe];
        run(&[&words[..], STEPS].concat()).code(code).says("a bug of the program");
    }
}

#[test]
fn failures_without_progress_exhaust_the_budget() {
    let probe = program("probe");
    let words = ["-n", "3", "--max-restarts", "2", "--ckpt-every", "5steps", "--inject"];
    let ended = run(&[&words[..], &["kill:1@step=3:always", &probe], STEPS].concat()).code(137);
    assert_eq!(ended.stderr.matches("FAILED").count(), 3);
    ended.says("--max-restarts allows no more");
}

#[test]
fn kills_by_time_repeat_across_the_job() {
    let mode = ["steps", "2000", "--spin-us", "500"];
    let options = ["--ckpt-every", "10steps", "--inject", "kill:1@time=200ms:x3"];
    let summary = twin(&options, &mode).code(0).summary();
    assert_eq!(summary["failures"].as_array().unwrap().len(), 3);
    assert!(summary["failures"][0]["detect_ms"].is_number());
}

#[test]
fn phases_are_measured_and_events_come_in_their_order() {
    let ended = twin(&["--ckpt-every", "5steps", "--inject", "kill:1@step=30"], STEPS).code(0);
    let events = ended.events();
    let place = |name: &str| events.iter().position(|event| event["event"] == name).unwrap();
    assert_eq!(place("start"), 0);
    assert!(place("checkpoint") < place("epoch"));
    assert!(place("epoch") < place("restored"));
    assert!(place("restored") < place("recovered"));
    let failure = &ended.summary()["failures"][0];
    for phase in ["detect_ms", "respawn_ms", "restore_ms", "redo_ms"] {
        assert!(failure[phase].as_f64().unwrap() > 0.0, "{phase}: {failure}");
    }
    for event in events {
        assert!(event["t_ms"].is_number() && event["v"] == 1, "{event}");
    }
}

#[test]
fn a_flipped_bit_in_restored_state_is_told() {
    let ended = twin(&["--ckpt-every", "5steps", "--inject", "kill:1@step=30"], &["flip"]).code(76);
    let summary = ended.summary();
    assert_eq!(summary["bit_identical"], false);
    let why = summary["why_not"].as_str().unwrap();
    assert_eq!(why, "the answers differ; is a field missing in `State::fields`?");
}

#[test]
fn nothing_is_proved_without_a_receipt_or_a_recovery() {
    let never = twin(&["--inject", "kill:1@step=5000"], STEPS).code(76).summary();
    assert_eq!(never["not_injected"][0], "kill:1@step=5000");
    let idle = twin(&[], STEPS).code(76).summary();
    assert_eq!(idle["bit_identical"], false);
    assert!(
        idle["why_not"].as_str().unwrap().ends_with("nothing is proved; add --inject"),
        "{idle}"
    );
    let probe = program("probe");
    let words = ["-n", "3", "--inject", "kill:1@step=5000", &probe];
    let ended = run(&[&words[..], STEPS].concat()).code(75);
    assert_eq!(ended.value("not injected"), "kill:1@step=5000");
}

#[test]
fn an_audit_tells_a_deterministic_program_from_another() {
    let probe = program("probe");
    let ended = run(&["-n", "3", "--audit", &probe, "steps", "50"]).code(0);
    assert_eq!(ended.value("bit-identical"), "yes");
    let ended = run(&["-n", "3", "--audit", &probe, "nondet"]).code(76);
    assert!(ended.value("twin").contains("first differ in step"), "{}", ended.stdout);
}

#[test]
fn random_numbers_of_a_step_come_again_after_a_kill_and_differ_by_seed() {
    let work = ["random", "--steps", "60", "--spin-us", "300"];
    let digest = |seed: &str| {
        let fault = ["--ckpt-every", "10steps", "--inject", "kill:1@step=25,kill:2@step=41"];
        let ended = twin(&[&fault[..], &["--seed", seed]].concat(), &work).code(0);
        assert_eq!(ended.summary()["bit_identical"], true);
        assert_eq!(ended.events()[0]["seed"], seed.parse::<u64>().unwrap());
        ended.summary()["result_digest"].as_str().unwrap().to_owned()
    };
    assert_eq!(digest("18446744073709551615"), digest("18446744073709551615"));
    assert_ne!(digest("0"), digest("1"));
}

#[test]
fn a_farm_whose_order_is_that_of_arrival_ends_right_and_with_an_order_bit_identical() {
    let farm = program("pi-farm");
    let options = ["-n", "4", "--max-restarts", "9", "--ckpt-every", "2steps", "--inject"];
    let work = ["--rounds", "120", "--tasks", "16", "--darts", "100"];
    // The giver of tasks dies as often as the workers, in the middle of a round.
    for fault in ["kill:0@point=send#900,kill:2@step=70", "kill:1@point=send#200,kill:0@step=90"] {
        let free = run(&[&options[..], &[fault, &farm], &work].concat()).code(0);
        let pi: f64 = free.value("pi").parse().unwrap();
        assert!((pi - std::f64::consts::PI).abs() < 0.02, "{pi}");
        assert_eq!(free.stderr.matches("FAILED").count(), 2, "{}", free.stderr);
        let words = [&options[..], &[fault, "--twin", &farm], &work, &["--deterministic"]];
        assert_eq!(run(&words.concat()).code(0).value("bit-identical"), "yes");
    }
}
