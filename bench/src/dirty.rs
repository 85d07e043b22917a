//! Suite `dirty`: captures that copy only what was written (`--track-writes on`), beside a plain copy of
//! all the bytes in the same process.
//!
//! What the program pays beside the blocked call is counted: the first write to each page behind a capture
//! costs a fault, and the same writes to memory that is not watched are timed in the same round. Memory in
//! small pages is had by fields that are too short for large ones to be asked for.
//!
//! Invariant: only steps that were committed count, and not the first ones, in which each slot is filled.
//! Deliberately absent: the drain; versions stay in memory.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::job::{self, number};
use crate::report::{Report, Section};
use crate::{Context, Failure};

/// Mebibytes of state.
const MIB: u64 = 128;
/// Steps that are not counted: both slots are filled, and pages become what they stay.
const WARM: u64 = 8;
/// Pages written before each capture, of a thousand, and how they lie.
const CASES: [(u64, &str); 10] = [
    (0, "spread"),
    (10, "spread"),
    (10, "together"),
    (50, "spread"),
    (50, "together"),
    (200, "spread"),
    (200, "together"),
    (500, "spread"),
    (500, "together"),
    (1000, "together"),
];
/// Fields, and the pages that they have.
const MEMORIES: [(u64, &str); 2] = [(1, "large pages"), (64, "small pages")];

/// Measures all cases.
///
/// # Errors
/// A run that did not go as asked.
pub(crate) fn measure(context: &Context) -> Result<Report, Failure> {
    let mut report = Report::default();
    let rounds = if context.quick { 24 } else { 68 };
    for (fields, memory) in MEMORIES {
        for (permille, pattern) in CASES {
            report.add(case(context, (fields, memory), (permille, pattern), rounds)?);
        }
    }
    Ok(report)
}

fn case(
    context: &Context,
    (fields, memory): (u64, &str),
    (permille, pattern): (u64, &str),
    rounds: u64,
) -> Result<Section, Failure> {
    let directory = job::directory();
    let mut program = vec![context.built.touched.display().to_string()];
    let words = [MIB, fields, permille].map(|number| number.to_string());
    program.extend(words);
    program.extend([pattern.to_owned(), rounds.to_string()]);
    let options = ["-n", "1", "--ckpt-every", "1steps", "--disk-every", "1000000steps"];
    let options = [&options[..], &["--track-writes", "on", "--scrub-every", "off"]].concat();
    let events = job::run(&context.built, &options, &directory, &program)?;
    let committed = events
        .of("checkpoint")
        .filter(|event| event["state"] == "committed")
        .map(|event| number(event, "step"))
        .collect::<Result<Vec<_>, Failure>>()?;
    let committed: BTreeSet<u64> = committed.into_iter().map(|step| step as u64).collect();
    let summary = events.first("summary")?;
    let lists = ["plain_ns", "written_ns", "captured_ns", "copied_ns"];
    let lists = lists.map(|key| pairs(summary, key));
    let [plain, written, captured, copied] = lists;
    let (plain, written, captured, copied) = (plain?, written?, captured?, copied?);
    let steps: Vec<u64> =
        captured.keys().copied().filter(|step| *step > WARM && committed.contains(step)).collect();
    if (steps.len() as u64) * 2 < rounds - WARM {
        return Err(format!("only {} of {rounds} versions were captured", steps.len()).into());
    }
    let of = |list: &BTreeMap<u64, f64>| -> Vec<f64> {
        steps.iter().filter_map(|step| list.get(step).map(|ns| ns / 1e6)).collect()
    };
    let (plain, written, captured, copied) = (of(&plain), of(&written), of(&captured), of(&copied));
    let percent = permille as f64 / 10.0;
    let mut section =
        Section::new(format!("{MIB} MiB in {memory}, {percent} % written, {pattern}"));
    section.add("blocked by the call ms", captured.iter().copied());
    section.add("plain copy of all ms", copied.iter().copied());
    let faults: Vec<f64> = written.iter().zip(&plain).map(|(w, p)| (w - p).max(0.0)).collect();
    section.add("faults of the writes ms", faults.iter().copied());
    section.add("blocked / copy", captured.iter().zip(&copied).map(|(c, p)| c / p));
    let whole = captured.iter().zip(&faults).zip(&copied).map(|((c, f), p)| (c + f) / p);
    section.add("blocked and faults / copy", whole);
    Ok(section)
}

/// A list of pairs with a colon.
fn pairs(summary: &Value, key: &str) -> Result<BTreeMap<u64, f64>, Failure> {
    let text = summary["report"][key].as_str().unwrap_or_default();
    let pair = |word: &str| {
        let (step, ns) = word.split_once(':').ok_or("a pair without a colon")?;
        Ok((step.parse()?, ns.parse()?))
    };
    text.split(',').map(pair).collect()
}
