//! The trace of a run, against a golden file and against the rules of the format.

use std::collections::BTreeMap;
use std::path::Path;

use mainstay_observe::chrome;
use mainstay_types::trace::{Playback, Record, What};
use mainstay_types::{Rank, Step, WaitKind};
use serde_json::Value;

use crate::run::{Seen, killed, passage, record};

fn events(seen: &Seen) -> Vec<Value> {
    let trace: Value = serde_json::from_str(&seen.text()).unwrap();
    trace["traceEvents"].as_array().unwrap().clone()
}

fn named<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["name"] == name).collect()
}

#[test]
fn a_run_gives_the_golden_trace() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1/killed.json");
    let text = killed().text();
    if std::env::var_os("MAINSTAY_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    for (line, (ours, theirs)) in text.lines().zip(golden.lines()).enumerate() {
        assert_eq!(ours, theirs, "line {}", line + 1);
    }
    assert_eq!(text.len(), golden.len());
}

#[test]
fn arrows_lead_from_a_send_into_the_receive_of_the_same_message() {
    let events = events(&killed());
    let mut ends: BTreeMap<u64, Vec<&Value>> = BTreeMap::new();
    for event in events.iter().filter(|event| event["ph"] == "s" || event["ph"] == "f") {
        ends.entry(event["id"].as_u64().unwrap()).or_default().push(event);
    }
    assert_eq!(ends.len(), 3, "each receive has one");
    for pair in ends.values() {
        let [start, end] = pair.as_slice() else { panic!("{pair:?}") };
        let inside = |point: &Value, name: &str| {
            let (at, pid) = (point["ts"].as_f64().unwrap(), &point["pid"]);
            let around = |span: &&&Value| {
                let start = span["ts"].as_f64().unwrap();
                span["pid"] == *pid && start <= at && at < start + span["dur"].as_f64().unwrap()
            };
            named(&events, name).iter().find(around).map(|span| span["args"]["sequence"].clone())
        };
        assert_eq!((&start["ph"], &end["ph"], &end["bp"]), (&"s".into(), &"f".into(), &"e".into()));
        assert!(start["ts"].as_f64() < end["ts"].as_f64());
        let sequence = inside(start, "send");
        assert!(sequence.is_some());
        assert_eq!(sequence, inside(end, "receive"));
    }
}

#[test]
fn a_death_is_seen_with_its_phases_and_the_lives_around_it() {
    let events = events(&killed());
    let lives = named(&events, "incarnation");
    let of_victim: Vec<_> = lives.iter().filter(|life| life["pid"] == 2).collect();
    assert_eq!(of_victim.len(), 2);
    assert_eq!((&of_victim[0]["ts"], &of_victim[0]["dur"]), (&11.0.into(), &202.0.into()));
    let phase = |name: &str| {
        let span = named(&events, name)[0];
        (span["ts"].as_f64().unwrap(), span["dur"].as_f64().unwrap())
    };
    assert_eq!(phase("recovery"), (200.0, 150.0));
    assert_eq!(phase("detect"), (200.0, 12.0));
    assert_eq!(phase("respawn"), (212.0, 48.0));
    assert_eq!(phase("restore"), (260.0, 45.0));
    assert_eq!(phase("redo"), (305.0, 45.0));
    let detail = &named(&events, "failure")[1]["args"]["detail"];
    assert_eq!(*detail, "</script><b>\"it\"</b>");
    let waits = named(&events, "wait for the others to finish");
    assert_eq!(waits[0]["args"]["end"], "it never came");
}

/// Of two spans of a lane, one contains the other or they do not overlap.
fn check_nesting(events: &[Value]) {
    let ns = |value: &Value| (value.as_f64().unwrap() * 1000.0).round();
    let mut lanes: BTreeMap<(u64, u64), Vec<(f64, f64)>> = BTreeMap::new();
    for event in events.iter().filter(|event| event["ph"] == "X") {
        let lane = (event["pid"].as_u64().unwrap(), event["tid"].as_u64().unwrap());
        let start = ns(&event["ts"]);
        lanes.entry(lane).or_default().push((start, start + ns(&event["dur"])));
    }
    for (lane, spans) in lanes {
        let mut around: Vec<f64> = Vec::new();
        let mut last = 0.0;
        for (start, end) in spans {
            assert!(start >= last, "{lane:?}: {start} is told after {last}");
            last = start;
            around.retain(|outer| *outer > start);
            assert!(around.iter().all(|outer| end <= *outer), "{lane:?}: {start} to {end}");
            around.push(end);
        }
    }
}

#[test]
fn spans_of_a_lane_are_in_order_and_nested() {
    check_nesting(&events(&killed()));
}

#[test]
fn whatever_ranks_wrote_the_trace_is_whole_and_nested() {
    let mut state = 3_u64;
    let mut next = move |below: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) % below
    };
    for _ in 0..60 {
        let mut seen = killed();
        for tape in &mut seen.tapes {
            let any = |next: &mut dyn FnMut(u64) -> u64| -> Record {
                let start = next(600);
                let what = match next(7) {
                    0 => What::Enter { version: None },
                    1 => What::Acknowledge,
                    2 => What::Step(Step(next(9))),
                    3 => What::Send(passage(next(70_000) as u32, next(3), true)),
                    4 => What::Receive(passage(next(3) as u32, next(3), true)),
                    5 => What::Wait { kind: WaitKind::Send, peer: Some(Rank(9)), tag: Some(1) },
                    _ => What::Finish,
                };
                record((start, start + next(300)), (next(4) as u32, next(3) as u32), what)
            };
            tape.records = (0..next(40)).map(|_| any(&mut next)).collect();
            tape.open = (next(2) == 0).then(|| any(&mut next));
        }
        check_nesting(&events(&seen));
    }
    // Times before the run and at the end of the clock.
    let mut seen = killed();
    let whole = Record { start_ns: 0, duration_ns: u64::MAX, ..seen.tapes[0].records[0] };
    let what = What::Finish;
    seen.tapes[0].records =
        vec![Record { what, ..whole }, Record { start_ns: 7, duration_ns: 0, what, ..whole }];
    seen.tapes[1] = Playback::default();
    check_nesting(&events(&seen));
}

#[test]
fn an_error_of_the_taker_ends_the_writing() {
    let mut left = 5;
    let outcome = chrome(&killed().run(), &mut |_| {
        left -= 1;
        if left == 0 { Err("full") } else { Ok(()) }
    });
    assert_eq!((outcome, left), (Err("full"), 0));
}
