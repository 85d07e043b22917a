//! Every call there is: collectives of several communicators, blocking and not, which cross the cut of
//! every version, and all others.

use crate::harness::{Ended, program, run};

const COMMUNICATORS: &str = "communicators";
const CALLS: &str = "calls";

fn work(mode: &str, n: &str, options: &[&str]) -> Ended {
    let probe = program("probe");
    let words = ["-n", n, "--json", "--ckpt-every", "1steps"];
    run(&[&words[..], options, &[&probe, mode, "--steps", "32"]].concat()).code(0)
}

/// Runs with each of these faults; the answer is that of a run without, and a version was restored.
fn survives(mode: &str, n: &str, faults: &[String]) {
    let free = work(mode, n, &[]).summary()["result_digest"].clone();
    for fault in faults {
        let ended = work(mode, n, &["--max-restarts", "9", "--inject", fault]);
        let summary = ended.summary();
        assert_eq!(summary["result_digest"], free, "{fault}");
        assert_eq!(summary["not_injected"].as_array().unwrap().len(), 0, "{fault}");
        let restored =
            |event: &serde_json::Value| event["event"] == "restored" && event["version"].is_u64();
        assert!(ended.events().iter().any(restored), "{fault}: {}", ended.stdout);
    }
}

/// The program ends with an error where a nonblocking sum has other bits than the blocking one.
#[test]
fn nonblocking_sums_have_the_bits_of_blocking_ones_on_one_to_six_ranks() {
    for n in ["1", "2", "3", "4", "5", "6"] {
        work(COMMUNICATORS, n, &[]);
    }
}

#[test]
fn every_run_exchanges_the_same_messages_step_by_step() {
    for mode in [COMMUNICATORS, CALLS] {
        let summary = work(mode, "3", &["--audit"]).summary();
        assert_eq!(summary["bit_identical"], true, "{mode}: {summary}");
    }
}

#[test]
fn a_rank_dies_in_the_midst_of_collectives_and_they_end_with_the_same_bits() {
    let points = [("collective-mid", 3), ("collective-enter", 1), ("ring-publish", 2)];
    let at = |(point, factor)| {
        [(0, 501), (1, 700), (2, 833), (3, 999)]
            .map(|(rank, nth)| format!("kill:{rank}@point={point}#{}", nth * factor / 2))
    };
    survives(COMMUNICATORS, "4", &points.map(at).concat());
}

#[test]
fn a_rank_dies_in_any_step_whoever_was_ahead_of_the_cut() {
    let at = |step: usize| format!("kill:{}@step={step}", step % 5);
    survives(COMMUNICATORS, "5", &(12..=30).step_by(2).map(at).collect::<Vec<_>>());
}

#[test]
fn ranks_die_one_after_the_other_and_while_others_come_back() {
    let faults = [
        "kill:1@step=12,kill:2@step=13,kill:0@step=14",
        "kill:2@step=20,kill:0@point=restore-mid",
        "kill:0@step=20,kill:2@point=acknowledged,kill:1@point=collective-mid#1500",
    ];
    survives(COMMUNICATORS, "3", &faults.map(str::to_owned));
}

#[test]
fn a_rank_dies_in_the_midst_of_any_call() {
    let at = |(rank, point)| [300, 401, 502].map(|nth| format!("kill:{rank}@point={point}#{nth}"));
    let points = [(0, "send"), (1, "ring-publish"), (2, "collective-mid"), (3, "collective-enter")];
    survives(CALLS, "4", &points.map(at).concat());
    let agreements =
        ["kill:1@point=agree-mid#40,kill:2@step=30", "kill:0@point=agreed#41", "kill:2@step=25"];
    survives(CALLS, "3", &agreements.map(str::to_owned));
}
