//! Agreements: whoever dies and when, no rank goes on alone.

use crate::harness::{Ended, program, run};

const WORK: &[&str] = &["agree", "--steps", "40", "--spin-us", "100"];

/// What a rank said of its agreements, in all its entries.
fn said(ended: &Ended, rank: u64) -> Vec<String> {
    let by = |event: &&serde_json::Value| event["event"] == "output" && event["rank"] == rank;
    let events = ended.events();
    events.iter().filter(by).map(|event| event["line"].as_str().unwrap().to_owned()).collect()
}

fn agree(options: &[&str]) -> Ended {
    let probe = program("probe");
    let words = ["-n", "3", "--json", "--ckpt-every", "4steps"];
    run(&[&words[..], options, &[&probe], WORK].concat()).code(0)
}

/// Kills rank 1 at each of these; the others have to have been told the same all along.
fn survives(faults: &[String]) {
    let free = agree(&[]).summary()["result_digest"].clone();
    for fault in faults {
        let ended = agree(&["--inject", fault]);
        assert_eq!(ended.summary()["result_digest"], free, "{fault}");
        assert_ne!(ended.summary()["respawns"], 0, "{fault}");
        let (first, last) = (said(&ended, 0), said(&ended, 2));
        assert!(first.len() >= 80, "{fault}: {}", first.len());
        assert_eq!(first, last, "{fault}");
    }
}

#[test]
fn a_rank_dies_around_a_decision_and_the_others_end_alike() {
    // Before the decision is known to anybody, and as soon as it is to one.
    let points = ["agree-mid", "agreed", "collective-mid", "collective-enter"];
    let at = |point: &str| [5, 34, 47, 60].map(|nth| format!("kill:1@point={point}#{nth}"));
    survives(&points.map(at).concat());
}

#[test]
fn deaths_in_a_row_leave_no_rank_alone() {
    let faults = ["kill:1@point=agree-mid#40,kill:1@point=agreed#55", "kill:1@point=agreed#40:x3"];
    survives(&faults.map(str::to_owned));
}

#[test]
fn a_flag_that_is_no_is_everybodys_answer() {
    let probe = program("probe");
    let ended = run(&["-n", "3", "--json", &probe, "agree", "--steps", "8"]).code(0);
    for rank in 0..3 {
        let said = said(&ended, rank);
        let answers = said.iter().filter(|line| line.starts_with("agreed"));
        let answers: Vec<_> = answers.map(|line| line.ends_with("true")).collect();
        assert_eq!(answers, [false, false, true, false, false, false, true, false], "{rank}");
    }
}
