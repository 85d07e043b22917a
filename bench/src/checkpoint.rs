//! Suite `checkpoint`: what a program pays for steps and for captures, beside what the hardware asks.
//!
//! The time of a capture is that of the whole call, telling the launcher included.
//!
//! Every pair of numbers comes from one process and one round of it: a call and a loop, a capture
//! and a plain copy of the same bytes. A ratio is taken within its round, so that load of the
//! machine meets both sides of it.
//!
//! Invariant: only steps that the launcher committed at all ranks count as captures. Deliberately
//! absent: the time until a version is on disk; the program does not wait for it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::job::{self, Events, number};
use crate::report::{Report, Section};
use crate::{Context, Failure};

/// A capture every so many steps.
const EVERY: u64 = 4;
/// Captures that make the arenas resident, both slots of them, and are not counted.
const WARM: usize = 4;
/// What is aimed at: a capture blocks no longer than a plain copy.
const BLOCKED_RATIO: f64 = 1.0;
/// Calls of a round without captures.
const CALLS: u64 = 20_000;

/// Measures all cases.
///
/// # Errors
/// A run that did not go as asked.
pub(crate) fn measure(context: &Context) -> Result<Report, Failure> {
    let mut report = Report::default();
    for ranks in [1, 2] {
        report.add(idle(context, ranks)?);
    }
    for ranks in [1, 2] {
        for (mib, rounds) in [(1, 200), (16, 60), (128, 24)] {
            let rounds = if context.quick { rounds / 4 } else { rounds };
            report.add(blocked(context, ranks, mib, rounds)?);
        }
    }
    Ok(report)
}

fn run(context: &Context, ranks: u64, every: &str, words: &[&str]) -> Result<Events, Failure> {
    let directory = job::directory();
    let mut program = vec![context.built.steps.display().to_string()];
    program.extend(words.iter().map(|word| (*word).to_owned()));
    let n = ranks.to_string();
    job::run(&context.built, &["-n", &n, "--ckpt-every", every], &directory, &program)
}

/// Calls when nothing is due.
fn idle(context: &Context, ranks: u64) -> Result<Section, Failure> {
    let rounds = if context.quick { "50" } else { "300" };
    let events = run(context, ranks, "24h", &["idle", rounds, &CALLS.to_string()])?;
    let summary = events.first("summary")?;
    if events.of("checkpoint").next().is_some() {
        return Err("a version was captured in a run that should have had none".into());
    }
    let mut section = Section::new(format!("{}, no version due", count(ranks)));
    let ns = |key: &str| -> Result<Vec<f64>, Failure> {
        let lists = (0..ranks).map(|rank| list(summary, &format!("{key}_{rank}")));
        let lists = lists.collect::<Result<Vec<_>, Failure>>()?;
        Ok(lists.into_iter().flatten().map(|ps| ps / 1000.0).collect())
    };
    let (call, load, empty) = (ns("call_ps")?, ns("load_ps")?, ns("empty_ps")?);
    section.add("checkpoint ns a call", call.iter().copied());
    section.add("one atomic load ns a turn", load.iter().copied());
    section.add("empty loop ns a turn", empty);
    section.add("checkpoint / atomic load", call.iter().zip(&load).map(|(c, l)| c / l));
    Ok(section)
}

/// Calls that capture.
fn blocked(context: &Context, ranks: u64, mib: u64, rounds: usize) -> Result<Section, Failure> {
    let rounds_all = rounds + WARM;
    let (mib_word, every) = (mib.to_string(), EVERY.to_string());
    let directory = job::directory();
    let place = directory.display().to_string();
    let words = ["blocked", &mib_word, &every, &rounds_all.to_string(), &place];
    let events = run(context, ranks, &format!("{EVERY}steps"), &words)?;
    let committed = events
        .of("checkpoint")
        .filter(|event| event["state"] == "committed")
        .map(|event| number(event, "step"))
        .collect::<Result<Vec<_>, Failure>>()?;
    let committed: BTreeSet<u64> = committed.into_iter().map(|step| step as u64).collect();
    let summary = events.first("summary")?;
    let (mut captures, mut copies) = (Vec::new(), Vec::new());
    for rank in 0..ranks {
        let keys = (format!("capture_ns_{rank}"), format!("memcpy_ns_{rank}"));
        let both = pairs(summary, &keys.0)?.into_iter().zip(pairs(summary, &keys.1)?);
        for ((step, capture), (_, copy)) in both.filter(|((step, _), _)| committed.contains(step)) {
            if step > WARM as u64 * EVERY {
                captures.push(capture / 1e6);
                copies.push(copy / 1e6);
            }
        }
    }
    if captures.len() * 2 < rounds {
        return Err(format!("only {} of {rounds} versions were captured", captures.len()).into());
    }
    let mut section = Section::new(format!("{}, {mib} MiB each, captured", count(ranks)));
    section.add("blocked by the call ms", captures.iter().copied());
    section.add("memcpy ms", copies.iter().copied());
    let ratios = captures.iter().zip(&copies).map(|(capture, copy)| capture / copy);
    section.promised("blocked / memcpy", ratios, BLOCKED_RATIO);
    let gigabytes = |ms: &f64| (mib << 20) as f64 / ms / 1e6;
    section.add("captured GB/s a rank", captures.iter().map(gigabytes));
    Ok(section)
}

fn count(ranks: u64) -> String {
    if ranks == 1 { "1 rank".to_owned() } else { format!("{ranks} ranks") }
}

/// A list in the report, its numbers separated by commas.
fn list(summary: &Value, key: &str) -> Result<Vec<f64>, Failure> {
    let text = summary["report"][key].as_str().unwrap_or_default();
    text.split(',').map(|word| word.parse().map_err(Failure::from)).collect()
}

/// The same of pairs with a colon.
fn pairs(summary: &Value, key: &str) -> Result<Vec<(u64, f64)>, Failure> {
    let text = summary["report"][key].as_str().unwrap_or_default();
    let pair = |word: &str| {
        let (step, ns) = word.split_once(':').ok_or("a pair without a colon")?;
        Ok((step.parse()?, ns.parse()?))
    };
    text.split(',').map(pair).collect()
}
