//! Suite `reshape`: a version of four ranks restored by three, five and six of them, beside the same
//! bytes restored by four.
//!
//! One launch writes the version and is ended by a fault. Every other one goes on from it, of four
//! ranks and of another number in turn, and writes nothing; what is compared is the time from the
//! moment at which the first rank began to restore until the last one had its state. All of them read
//! from the page cache, as the version was written a moment ago.
//!
//! Invariant: a launch that did not restore that version on every rank is an error. Deliberately
//! absent: the disk; it has one speed for both.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::job::{self, number};
use crate::report::{Report, Section};
use crate::{Context, Failure};

/// Ranks that write the version.
const WRITERS: u64 = 4;
/// Bytes of all ranks together.
const MIB: u64 = 512;
/// What is aimed at: 0.7 of the speed.
const TIME_RATIO: f64 = 1.0 / 0.7;

/// Measures all cases.
///
/// # Errors
/// A run that did not go as asked.
pub(crate) fn measure(context: &Context) -> Result<Report, Failure> {
    let mut report = Report::default();
    for how in ["rows", "tiles"] {
        let directory = job::directory();
        let wrote = write(context, &directory, how);
        let measured = wrote.and_then(|()| {
            for ranks in [3, 5, 6] {
                report.add(compare(context, &directory, how, ranks)?);
            }
            Ok(())
        });
        if directory.exists() {
            std::fs::remove_dir_all(&directory)?;
        }
        measured?;
    }
    Ok(report)
}

fn compare(context: &Context, directory: &Path, how: &str, ranks: u64) -> Result<Section, Failure> {
    let title = format!("{MIB} MiB in {how}, of {WRITERS} ranks on {ranks}");
    eprintln!("bench: {title}");
    let rounds = if context.quick { 3 } else { 11 };
    let (mut same, mut other) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let pair = (read(context, directory, how, WRITERS)?, read(context, directory, how, ranks)?);
        // The first one faults memory of the machine in and is not counted.
        if round > 0 {
            same.push(pair.0);
            other.push(pair.1);
        }
    }
    let mut section = Section::new(title);
    let ratios = other.iter().zip(&same).map(|(other, same)| other / same);
    section.promised("N to M / N to N", ratios, TIME_RATIO);
    section.add("N to N ms", same.iter().copied());
    section.add("N to M ms", other.iter().copied());
    section.add("N to M GB/s", other.iter().map(|ms| (MIB << 20) as f64 / ms / 1e6));
    Ok(section)
}

fn launch(context: &Context, directory: &Path, ranks: u64) -> Command {
    let mut command = Command::new(&context.built.mainstay);
    command.args(["run", "--json", "--ckpt-dir"]).arg(directory);
    command.args(["-n", &ranks.to_string()]).stdin(Stdio::null());
    command
}

/// Has the version written.
fn write(context: &Context, directory: &Path, how: &str) -> Result<(), Failure> {
    let fault = ["--policy", "abort", "--inject", "kill:0@point=published"];
    let mut command = launch(context, directory, WRITERS);
    command.args(["--ckpt-every", "1steps"]).args(fault);
    let output = command.arg(&context.built.dealt).args([&MIB.to_string(), how]).output()?;
    match output.status.code() {
        Some(137) => Ok(()),
        _ => {
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(format!("no version was written: {}", words.trim()).into())
        }
    }
}

/// Goes on from the version; gives the milliseconds that its restore took.
fn read(context: &Context, directory: &Path, how: &str, ranks: u64) -> Result<f64, Failure> {
    let mut command = launch(context, directory, ranks);
    command.args(["--ckpt-every", "24h", "--resume"]);
    let output = command.arg(&context.built.dealt).args([&MIB.to_string(), how]).output()?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("a run ended with {}: {}", output.status, words.trim()).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let (mut began, mut ended, mut restored) = (f64::INFINITY, 0.0_f64, 0);
    for line in text.lines() {
        let event: Value = serde_json::from_str(line)?;
        if event["event"] == "restored" && !event["version"].is_null() {
            let (at, took) = (number(&event, "t_ms")?, number(&event, "took_ms")?);
            (began, ended) = (began.min(at - took), ended.max(at));
            restored += 1;
        }
    }
    if restored != ranks {
        return Err(format!("{restored} ranks were restored, not {ranks}").into());
    }
    Ok(ended - began)
}
