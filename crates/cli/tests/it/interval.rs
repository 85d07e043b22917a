//! How often versions come and why; versions that are asked for; the end of a job's time.

use serde_json::Value;

use crate::checkpoints::{manifests, notes, number};
use crate::harness::{Ended, Scratch, program, run, start};

/// The `interval` events of a level.
fn told<'a>(events: &'a [Value], level: &str) -> Vec<&'a Value> {
    let of_level = |event: &&Value| event["event"] == "interval" && event["level"] == level;
    events.iter().filter(of_level).collect()
}

fn published(ended: &Ended) -> Vec<u64> {
    let checkpoints = ended.summary()["checkpoints"].as_array().unwrap().clone();
    let published = checkpoints.iter().filter(|c| c["state"] == "published");
    published.map(|c| c["version"].as_u64().unwrap()).collect()
}

#[test]
fn the_reason_for_each_interval_is_told_and_advice_is_given() {
    let probe = program("probe");
    let ended = run(&["-n", "2", "--json", &probe, "steps", "1500", "--spin-us", "500"]).code(0);
    let events = ended.events();
    for level in ["memory", "disk"] {
        let told = told(&events, level);
        assert_eq!(told[0]["reason"], "first", "{told:?}");
        assert!(told[0]["text"].as_str().unwrap().contains("to measure"), "{told:?}");
    }
    assert!(told(&events, "memory").len() > 1, "{}", ended.stdout);
    let summary = ended.summary();
    let memory = &summary["intervals"][0];
    assert_eq!((&memory["level"], &memory["mtbf_basis"]), (&"memory".into(), &"assumed".into()));
    assert!(memory["versions"].as_u64().unwrap() > 1);
    let number = |key: &str| memory[key].as_f64().unwrap_or_else(|| panic!("{key}: {memory}"));
    assert!(number("cost_ms") > 0.0 && number("cost_ms_max") >= number("cost_ms"));
    assert!(number("best_ms") > 0.0 && number("best_expected") <= number("expected"));
    let report = run(&["-n", "2", &probe, "steps", "1500", "--spin-us", "500"]).code(0);
    assert!(report.stdout.contains("\nintervals:\n  level "), "{}", report.stdout);
    assert!(report.stdout.contains("; best is "), "{}", report.stdout);
    assert!(report.stderr.contains("a version in memory every "), "{}", report.stderr);
}

#[test]
fn a_declared_interval_needs_no_explanation_and_its_advice_stays() {
    let probe = program("probe");
    let asked = ["-n", "2", "--ckpt-every", "5steps", "--mtbf", "2h"];
    let ended = run(&[&asked[..], &[&probe, "steps", "100"]].concat()).code(0);
    assert!(!ended.stderr.contains("a version in memory every"), "{}", ended.stderr);
    assert!(ended.stdout.contains("memory: every 5 steps, as asked; best is "), "{}", ended.stdout);
    assert!(ended.stdout.contains("if a rank fails every 2.0 h (declared)"), "{}", ended.stdout);
    let ended = run(&[&["--json"], &asked[..], &[&probe, "steps", "100"]].concat()).code(0);
    let events = ended.events();
    assert_eq!(told(&events, "memory")[0]["reason"], "declared");
    assert_eq!(told(&events, "disk")[0]["reason"], "each");
    let unprotected = run(&["-n", "2", &probe, "unprotected", "--steps", "5"]).code(0);
    assert!(unprotected.stdout.contains("nothing is known of their cost"));
}

#[test]
fn a_version_that_stayed_in_memory_goes_to_disk_when_the_job_fails() {
    let scratch = Scratch::new();
    let (probe, d) = (program("probe"), scratch.join("d"));
    let options = ["-n", "2", "--json", "--ckpt-every", "20steps", "--disk-every", "1h"];
    let fault = ["--policy", "abort", "--inject", "kill:1@step=190", "--ckpt-dir", &d];
    let work = [&probe, "steps", "400", "--spin-us", "500"];
    let ended = run(&[&options[..], &fault, &work].concat()).code(137);
    let published = published(&ended);
    assert_eq!(published.len(), 2, "the first, and the newest at the end: {}", ended.stdout);
    assert!(published[1] > published[0] + 1, "{published:?}");
    let rest = ["--resume", "--twin", "--ckpt-dir", &d];
    let ended = run(&[&options[..], &rest, &work].concat()).code(0);
    let summary = ended.summary();
    assert_eq!(
        (&summary["resumed_from"], &summary["bit_identical"]),
        (&published[1].into(), &true.into())
    );
}

#[test]
fn who_signals_gets_a_version_on_disk_and_is_told() {
    let scratch = Scratch::new();
    let (probe, d) = (program("probe"), scratch.join("d"));
    let words = ["-n", "2", "--ckpt-every", "10h", "--ckpt-dir", &d];
    let work = [&probe, "steps", "1000000", "--spin-us", "500"];
    let mut job = start(&[&words[..], &work].concat());
    job.until("rank 1 is up");
    job.signal("USR1");
    job.until("SIGUSR1: a version is asked for");
    let told = job.until("is on disk, as asked");
    assert!(told.contains("(signal)"), "{told}");
    assert_eq!(manifests(&scratch).len(), 1);
    job.signal("USR1");
    job.until("is on disk, as asked");
    job.signal("TERM");
    job.end().code(143).says("go on from it with");
    assert_eq!(manifests(&scratch).len(), 2);
}

/// From the moment that the launcher runs: its name in /proc is then no longer that of the test.
#[test]
fn a_signal_in_the_first_moment_asks_for_a_version() {
    let scratch = Scratch::new();
    let (probe, d) = (program("probe"), scratch.join("d"));
    let words = ["-n", "2", "--ckpt-every", "10h", "--ckpt-dir", &d];
    let mut job = start(&[&words[..], &[&probe, "steps", "1000000", "--spin-us", "500"]].concat());
    let status = format!("/proc/{}/status", job.pid());
    // The bit of a caught SIGUSR1: set long before there is a loop that looks.
    let caught = || {
        let status = std::fs::read_to_string(&status).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap() >> (10 - 1) & 1 == 1
    };
    while !caught() {
        std::thread::yield_now();
    }
    job.signal("USR1");
    job.until("is on disk, as asked");
    job.signal("TERM");
    job.end().code(143);
    assert_eq!(manifests(&scratch).len(), 1);
}

/// The twin, which says nothing, is known by its ranks.
#[test]
fn a_signal_during_a_twin_asks_its_run_for_a_version() {
    let scratch = Scratch::new();
    let (probe, d) = (program("probe"), scratch.join("d"));
    let words = ["-n", "2", "--twin", "--ckpt-every", "10h", "--ckpt-dir", &d];
    let mut job = start(&[&words[..], &[&probe, "steps", "1000", "--spin-us", "500"]].concat());
    let ranks = |job: &crate::harness::Run| {
        job.processes().iter().filter(|(_, command)| command.starts_with(&probe)).count()
    };
    while ranks(&job) < 2 {
        std::thread::yield_now();
    }
    job.signal("USR1");
    let told = job.until("is on disk, as asked");
    assert!(told.contains("SIGUSR1: a version is asked for"), "{told}");
    // Nothing was restored, so nothing is proved.
    job.end().code(76);
}

/// A rank that never joins comes to no step, so nothing can be captured before the end.
#[test]
fn who_signals_too_late_is_told() {
    let mut job = start(&["-n", "1", "sleep", "1000"]);
    job.until("1 ranks of sleep");
    job.signal("USR1");
    job.until("SIGUSR1: a version is asked for");
    job.signal("TERM");
    job.end().code(143).says("SIGUSR1: the job ended before the version that was asked for");
}

#[test]
fn a_job_whose_time_ends_has_a_version_on_disk_and_is_gone_on_with() {
    let scratch = Scratch::new();
    let (probe, d) = (program("probe"), scratch.join("d"));
    let words = ["-n", "2", "--json", "--ckpt-every", "10h", "--ckpt-dir", &d];
    // Four seconds of work at least.
    let work = [&probe, "steps", "800", "--spin-us", "5000"];
    let ended = run(&[&words[..], &["--time-limit", "3s"], &work].concat()).code(124);
    assert!(notes(&ended, "the time limit of 3.00 s is reached"), "{}", ended.stdout);
    assert!(notes(&ended, "is on disk, in time before the end"), "{}", ended.stdout);
    assert!(notes(&ended, "go on from it with: mainstay run -n 2 --ckpt-dir"), "{}", ended.stdout);
    let newest = number(&manifests(&scratch).pop().unwrap());
    let why = |c: &&Value| c["version"] == newest && c["why"] == "limit";
    let summary = ended.summary();
    assert!(summary["checkpoints"].as_array().unwrap().iter().any(|c| why(&c)), "{summary}");
    let ended = run(&[&words[..], &["--time-limit", "none", "--resume"], &work].concat()).code(0);
    let summary = ended.summary();
    assert_eq!((&summary["resumed_from"], &summary["steps"]), (&newest.into(), &800.into()));
}

#[test]
fn the_end_of_an_allocation_is_the_time_limit() {
    let mainstay = env!("CARGO_BIN_EXE_mainstay");
    let plan = |end: &str, option: &str| {
        let mut command = std::process::Command::new(mainstay);
        command.args(["run", "--dry-run", "--time-limit", option, &program("probe")]);
        command.env("SLURM_JOB_END_TIME", end).output().unwrap()
    };
    let shown = |output: std::process::Output| {
        let stdout = String::from_utf8(output.stdout).unwrap();
        let lines = stdout.lines().find_map(|line| line.strip_prefix("time limit:"));
        lines.unwrap_or_default().trim().to_owned()
    };
    // Far away: the year 2255.
    assert!(shown(plan("9000000000", "auto")).ends_with(" d"));
    assert_eq!(shown(plan("9000000000", "none")), "none");
    assert_eq!(shown(plan("9000000000", "4h")), "4.0 h");
    for bad in ["soon", "1000"] {
        let output = plan(bad, "auto");
        assert_eq!(output.status.code(), Some(2));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("SLURM_JOB_END_TIME") && stderr.contains("--time-limit none"));
        assert_eq!(shown(plan(bad, "none")), "none");
    }
}
