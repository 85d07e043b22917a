//! What goes wrong with nodes at bad moments: right after a rebuild, while they are stopped, at the end.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use crate::harness::{Run, Scratch, program, run, start};

const SIX: &[&str] = &["-n", "6", "--virtual-nodes", "3"];
/// Some seconds of work.
const WORK: &[&str] = &["steps", "1200", "--spin-us", "500", "--bytes", "200000"];

fn job(options: &[&str], work: &[&str]) -> Run {
    let probe = program("probe");
    start(&[SIX, options, &[&probe], work].concat())
}

/// Processes by what was told of them; those that were told of last.
fn pids(told: &str) -> BTreeMap<String, String> {
    let up = told.lines().filter_map(|line| {
        let (_, line) = line.split_once(" s  ")?;
        let (who, _) = line.split_once(" is up")?;
        let (_, pid) = line.rsplit_once("pid ")?;
        Some((who.to_owned(), pid.trim_end_matches(')').to_owned()))
    });
    up.collect()
}

fn signal(pid: &str, signal: &str) {
    let mut command = Command::new("kill");
    command.args([&format!("-{signal}"), pid]).stderr(Stdio::null());
    let _gone = command.status().unwrap();
}

#[test]
fn what_was_rebuilt_is_still_there_when_its_rank_has_gone_on() {
    let probe = program("probe");
    let expected = run(&[&["-n", "6", &probe], WORK].concat()).code(0).value("result digest");
    for redundancy in ["partner", "xor"] {
        // One version, which everything is restored from.
        let every = ["--ckpt-every", "400steps", "--disk-every", "1h", "--redundancy", redundancy];
        let mut job = job(&every, WORK);
        let mut told = job.until("version 1 is guarded");
        signal(&pids(&told)["node 1"], "KILL");
        // Its ranks have asked for arenas with room for messages by then.
        told += &job.until("recovered in epoch");
        if !told[told.rfind("is lost").unwrap()..].contains("version 1 is guarded") {
            told += &job.until("version 1 is guarded");
        }
        signal(&pids(&told)["rank 2"], "KILL");
        let then = job.until("recovered in epoch");
        assert!(then.contains("rank 2 restored version 1 from memory"), "{then}");
        assert!(!then.contains("unusable") && !then.contains("got its part"), "{then}");
        // What the others hold was summed up from what is there.
        signal(&pids(&told)["node 0"], "KILL");
        let then = job.until("recovered in epoch");
        assert!(then.contains("node 0 got its part of version 1 back"), "{then}");
        assert!(!then.contains("unusable"), "{then}");
        assert_eq!(job.end().code(0).value("result digest"), expected, "{redundancy}");
    }
}

#[test]
fn a_node_that_is_stopped_holds_no_end_up() {
    // The job succeeds: versions are of no use any more, and its directory goes.
    let mut job = job(&["--ckpt-every", "20steps"], &["steps", "400", "--spin-us", "500"]);
    let told = job.until("published on disk");
    signal(&pids(&told)["node 1"], "STOP");
    let ended = job.end().code(0);
    assert!(!ended.stderr.contains("is still written to"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("hangs"), "{}", ended.stderr);
}

#[test]
fn a_version_that_a_lost_node_had_blames_nobody_else() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    let options = ["--ckpt-every", "20steps", "--disk-every", "each", "--ckpt-dir", &d];
    let lost = ["--lost-after", "400ms", "--heartbeat", "50ms"];
    let mut job = job(&[&options[..], &lost].concat(), WORK);
    let told = job.until("published on disk");
    // A write is under way when it is stopped, or the next one is.
    signal(&pids(&told)["node 2"], "STOP");
    let told = job.until("is up with");
    assert!(told.contains("node 2 is killed: it was stopped for longer"), "{told}");
    let told = format!("{told}{}", job.until("recovered in epoch"));
    signal(&pids(&told)["node 2"], "STOP");
    job.signal("INT");
    let ended = job.end();
    assert_eq!(ended.code, 130, "{}", ended.stderr);
    let all = format!("{told}{}", ended.stderr);
    for line in all.lines().filter(|line| line.contains("is not on disk")) {
        assert!(!line.contains("check the file system"), "{line}");
    }
    assert!(!ended.stderr.contains("hangs"), "{}", ended.stderr);
}
