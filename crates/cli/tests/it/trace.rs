//! `--trace` and `mainstay trace`: what was seen of real runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::{Scratch, program, root, run, start};

/// The trace in a file, which is whole.
fn trace(file: &str) -> (Value, Vec<Value>) {
    let mut trace: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let Value::Array(events) = trace["traceEvents"].take() else { panic!("{file}: no events") };
    (trace["otherData"].take(), events)
}

fn named<'a>(events: &'a [Value], pid: u64, name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["pid"] == pid && event["name"] == name).collect()
}

fn mainstay(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mainstay")).args(words).output().unwrap()
}

/// Start and end in nanoseconds; of a moment both are the same.
fn time(span: &Value) -> (u64, u64) {
    let ns = |value: &Value| {
        let text = value.to_string();
        let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
        whole.parse::<u64>().unwrap() * 1000 + format!("{part:0<3}").parse::<u64>().unwrap()
    };
    let start = ns(&span["ts"]);
    (start, start + if span["dur"].is_null() { 0 } else { ns(&span["dur"]) })
}

/// Spans of a lane come in order, and one contains the other or they do not overlap.
fn check_lanes(events: &[Value]) {
    let mut lanes: BTreeMap<(u64, u64), Vec<(u64, u64)>> = BTreeMap::new();
    for span in events.iter().filter(|event| event["ph"] == "X") {
        let lane = (span["pid"].as_u64().unwrap(), span["tid"].as_u64().unwrap());
        lanes.entry(lane).or_default().push(time(span));
    }
    for (lane, spans) in lanes {
        let mut around: Vec<u64> = Vec::new();
        for pair in spans.windows(2) {
            assert!(pair[0].0 <= pair[1].0, "{lane:?}: {pair:?}");
        }
        for (start, end) in spans {
            around.retain(|outer| *outer > start);
            assert!(around.iter().all(|outer| end <= *outer), "{lane:?}: {start} to {end}");
            around.push(end);
        }
    }
}

/// Every receive ends an arrow that begins in a send of the same number.
fn check_arrows(events: &[Value]) {
    let spans = |name: &'static str| {
        events.iter().filter(move |event| event["ph"] == "X" && event["name"] == name)
    };
    let mut sends: BTreeMap<(u64, u64), BTreeSet<u64>> = BTreeMap::new();
    for send in spans("send") {
        let key = (send["pid"].as_u64().unwrap(), time(send).0);
        sends.entry(key).or_default().insert(send["args"]["sequence"].as_u64().unwrap());
    }
    let of = |phase: &'static str| events.iter().filter(move |event| event["ph"] == phase);
    let starts: BTreeMap<u64, &Value> = of("s").map(|e| (e["id"].as_u64().unwrap(), e)).collect();
    let receives: Vec<_> = spans("receive").collect();
    assert_eq!((of("f").count(), starts.len()), (receives.len(), receives.len()));
    assert!(receives.len() > 100, "{}", receives.len());
    for (receive, end) in receives.iter().zip(of("f")) {
        let ((start, until), at) = (time(receive), time(end).0);
        assert!(start <= at && at < until.max(start + 1), "{receive} {end}");
        let sent = starts[&end["id"].as_u64().unwrap()];
        let from = (sent["pid"].as_u64().unwrap(), time(sent).0);
        assert_eq!(from.0, receive["args"]["from"].as_u64().unwrap() + 1);
        assert!(from.1 <= at, "{sent} {end}");
        assert!(sends[&from].contains(&receive["args"]["sequence"].as_u64().unwrap()), "{sent}");
    }
}

#[test]
fn a_killed_rank_and_its_recovery_are_in_the_trace() {
    let scratch = Scratch::new();
    let (file, probe) = (scratch.join("run.json"), program("probe"));
    let fault = ["--inject", "kill:2@step=60", "--ckpt-every", "20steps", "--trace", &file];
    let words = [&["-n", "4"], &fault[..], &[&probe, "steps", "120"]].concat();
    run(&words).code(0).says(&format!("draw it with: mainstay trace {file}"));
    let (about, events) = trace(&file);
    assert_eq!(
        (&about["exit"], &about["v"], &about["policy"]),
        (&0.into(), &1.into(), &"rollback".into())
    );
    for rank in about["ranks"].as_array().unwrap() {
        assert_eq!((&rank["overwritten"], &rank["damaged"]), (&0.into(), &0.into()));
    }
    let lanes: BTreeSet<String> = events
        .iter()
        .filter(|event| event["name"] == "thread_name")
        .map(|event| format!("{} {}", event["pid"], event["args"]["name"].as_str().unwrap()))
        .collect();
    for pid in 1..=4 {
        assert!(lanes.contains(&format!("{pid} life")) && lanes.contains(&format!("{pid} calls")));
        let lives = if pid == 3 { 2 } else { 1 };
        assert_eq!(named(&events, pid, "incarnation").len(), lives, "rank {}", pid - 1);
        assert_eq!(named(&events, pid, "entry").len(), 2, "rank {}", pid - 1);
        assert_eq!(named(&events, pid, "restored").len(), 1);
        let steps = named(&events, pid, "step");
        let numbers: Vec<_> =
            steps.iter().map(|step| step["args"]["step"].as_u64().unwrap()).collect();
        assert_eq!(numbers.iter().max(), Some(&120));
        assert!(numbers.len() > 120, "steps were done again: {numbers:?}");
        assert!(
            !named(&events, pid, "capture").is_empty() && !named(&events, pid, "finish").is_empty()
        );
    }
    assert_eq!(named(&events, 3, "failure")[0]["args"]["cause"], "signal:9");
    let died = time(named(&events, 3, "incarnation")[0]).1;
    let recovery = time(named(&events, 0, "recovery")[0]);
    assert!(recovery.0 <= died && died <= recovery.1);
    let phases =
        ["detect", "respawn", "restore", "redo"].map(|name| time(named(&events, 0, name)[0]));
    for pair in phases.windows(2) {
        assert_eq!(pair[0].1, pair[1].0, "phases follow each other: {phases:?}");
    }
    assert_eq!((phases[0].0, phases[3].1), recovery);
    assert_eq!(named(&events, 0, "epoch").len(), 2);
    assert!(!named(&events, 0, "committed").is_empty() && !named(&events, 0, "target").is_empty());
    check_lanes(&events);
    check_arrows(&events);
}

#[test]
fn collectives_are_named_and_a_restored_message_has_its_arrow() {
    let scratch = Scratch::new();
    let file = scratch.join("run.json");
    let words = ["-n", "3", "--inject", "kill:1@step=100", "--ckpt-every", "30steps", "--trace"];
    let terrain = root().join("data/jacksboro.asc.gz").to_str().unwrap().to_owned();
    let (cg, heat, matrix) = (program("cg"), program("heat"), crate::harness::matrix());
    run(&[&words[..], &[&file, &cg, &matrix]].concat()).code(0);
    let (_, events) = trace(&file);
    assert!(named(&events, 2, "allreduce").len() > 100);
    assert!(named(&events, 2, "allgather").len() > 100);
    check_lanes(&events);
    run(&[&words[..], &[&file, &heat, &terrain, "--steps", "150"]].concat()).code(0);
    let (_, events) = trace(&file);
    assert!(named(&events, 2, "restored").len() == 1);
    check_lanes(&events);
    check_arrows(&events);
}

#[test]
fn only_the_newest_records_are_kept_and_the_others_told_of() {
    let scratch = Scratch::new();
    let (file, probe) = (scratch.join("run.json"), program("probe"));
    let words = ["-n", "2", "--trace", &file, "--trace-records", "64", &probe, "steps", "200"];
    run(&words).code(0);
    let (about, events) = trace(&file);
    for rank in about["ranks"].as_array().unwrap() {
        assert_eq!((&rank["records"], &rank["damaged"]), (&64.into(), &0.into()));
        assert!(rank["overwritten"].as_u64().unwrap() > 100);
    }
    let labels: Vec<_> = events.iter().filter(|event| event["name"] == "process_labels").collect();
    assert_eq!(labels.len(), 2);
    assert_eq!(named(&events, 1, "finish").len(), 1, "the end is there");
    check_lanes(&events);
}

#[test]
fn a_run_that_was_interrupted_or_has_failed_leaves_a_whole_trace() {
    let scratch = Scratch::new();
    let (file, probe) = (scratch.join("run.json"), program("probe"));
    let mut run_on = start(&["-n", "2", "--trace", &file, &probe, "steps", "1000000"]);
    run_on.until("committed in memory");
    run_on.signal("INT");
    run_on.end().code(130);
    let (about, events) = trace(&file);
    assert_eq!(about["exit"], 130);
    assert!(!named(&events, 2, "step").is_empty());
    check_lanes(&events);
    let words = ["-n", "2", "--policy", "abort", "--inject", "kill:1@step=5", "--trace", &file];
    run(&[&words[..], &[&probe, "steps", "100"]].concat()).code(137);
    let (about, events) = trace(&file);
    assert_eq!(about["exit"], 137);
    assert_eq!(named(&events, 2, "failure").len(), 1);
    assert_eq!(named(&events, 0, "not recovered").len(), 1);
}

#[test]
fn a_place_that_cannot_be_written_is_refused_before_anything_starts() {
    let scratch = Scratch::new();
    let touched = scratch.join("touched");
    for bad in [scratch.join("none/run.json"), scratch.join(""), "/dev/full".to_owned()] {
        run(&["--trace", &bad, "touch", &touched]).code(73).says("the trace");
        let summary = run(&["--json", "--trace", &bad, "touch", &touched]).code(73).summary();
        assert_eq!(summary["exit"], 73);
    }
    assert!(!scratch.path().join("touched").exists());
    run(&["--trace-records", "64", "true"]).code(2).says("--trace");
    run(&["--trace", "x", "--trace-records", "100", "true"]).code(2).says("power of two");
}

#[test]
fn a_full_disk_costs_the_trace_and_nothing_else() {
    let scratch = Scratch::new();
    let (file, probe) = (scratch.join("run.json"), program("probe"));
    let launcher = env!("CARGO_BIN_EXE_mainstay");
    // Enough for the memory of the job, which the limit counts as files, and not for the trace.
    let run = "exec \"$0\" run -n 2 --json --trace-records 65536 --trace \"$1\" \"$2\" steps 30000";
    let script = format!("ulimit -f 24576; {run}");
    let mut sh = Command::new("sh");
    sh.args(["-c", &script, launcher, &file, &probe]).env("XDG_STATE_HOME", scratch.path());
    let output = sh.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("cannot be written: File too large"), "{text}");
    assert!(text.lines().last().unwrap().contains("\"event\":\"summary\""));
    let left: Vec<_> =
        fs::read_dir(scratch.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["mainstay"], "nothing but the state directory");
}

#[test]
fn a_page_is_made_of_a_trace_and_of_nothing_else() {
    let scratch = Scratch::new();
    let (file, page) = (scratch.join("run.json"), scratch.join("run.html"));
    run(&["-n", "2", "--trace", &file, &program("probe"), "steps", "20"]).code(0);
    let output = mainstay(&["trace", &file]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stdout, format!("{page}\n").into_bytes());
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.starts_with("<!doctype html>") && html.ends_with("</html>\n"));
    assert!(!html.contains("http") || !html.contains("://"), "no address of anywhere");
    assert!(!html.contains("src="));
    let refused = |words: &[&str], code: i32, text: &str| {
        let output = mainstay(words);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(text), "no `{text}` in {stderr}");
    };
    refused(&["trace", &file, "--out", &file], 2, "another --out");
    std::os::unix::fs::symlink(&file, scratch.join("link.html")).unwrap();
    refused(&["trace", &file, "--out", &scratch.join("link.html")], 2, "another --out");
    refused(&["trace", &page], 2, "another --out");
    refused(&["trace", &page, "--out", &scratch.join("x.html")], 65, "is no trace");
    refused(&["trace", &scratch.join("none.json")], 65, "cannot read the trace");
    refused(&["trace", &file, "--out", &scratch.join("none/x.html")], 73, "cannot be written");
    let cut = fs::read(&file).unwrap();
    fs::write(&file, &cut[..cut.len() / 2]).unwrap();
    refused(&["trace", &file], 65, "EOF");
    assert_eq!(fs::read_to_string(&page).unwrap(), html, "the older page is left alone");
}
