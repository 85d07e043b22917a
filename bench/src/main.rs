//! `cargo run --release --manifest-path bench/Cargo.toml -- SUITE [PROGRAM] [--quick] [--json]`:
//! measures what Mainstay promises; with a PROGRAM, suite `overhead` measures this one alone.
//!
//! A suite is one file with one function from [`Context`] to [`Report`], and one line in
//! [`SUITES`]. Invariant: every number comes from a run made now, and stands with its spread, the
//! machine and the commit. Deliberately absent: judgement; a promise that is missed is printed as
//! such and fails nothing, because machines differ.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command for developers: its output is its purpose"
)]

mod build;
mod checkpoint;
mod collectives;
mod contest;
mod dirty;
mod erasure;
mod host;
mod idle;
mod inputs;
mod job;
mod levels;
mod messages;
mod nodes;
mod overhead;
mod peers;
mod process;
mod recovery;
mod report;
mod reshape;
mod scale;
mod smaller;
mod start;
mod stats;
mod table;
mod toll;
mod turns;
mod usage;

use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::build::Built;
use crate::contest::{Contestant, Side};
use crate::host::Host;
use crate::report::Report;

/// Why something could not be measured.
type Failure = Box<dyn std::error::Error>;

/// What a suite is given.
struct Context {
    built: Built,
    /// Few runs, for a first look.
    quick: bool,
    /// The only program to measure, of a suite that measures several.
    only: Option<String>,
}

impl Context {
    /// Ours with the program `calls`, as one that takes part.
    fn contestant(&self, name: &str, ranks: usize, options: &'static [&str]) -> Contestant {
        let (mainstay, calls) = (self.built.mainstay.clone(), self.built.calls.clone());
        let launch = move || {
            let mut command = Command::new(&mainstay);
            command.args(["run", "--quiet", "-n", &ranks.to_string()]).args(options).arg(&calls);
            command
        };
        Contestant { name: name.to_owned(), side: Side::Ours, launch: Ok(Box::new(launch)) }
    }

    /// Whether `mainstay run` has this option.
    fn knows(&self, option: &str) -> Result<bool, Failure> {
        let mut help = Command::new(&self.built.mainstay);
        let ended = process::run(help.args(["run", "--help"]), HELP_WITHIN)?;
        Ok(ended.output.split([' ', '\n', '=']).any(|word| word == option))
    }
}

/// The command tells its options within this time.
const HELP_WITHIN: Duration = Duration::from_secs(10);

/// What a suite is.
type Measure = fn(&Context) -> Result<Report, Failure>;

/// The suites: a name, what it measures, and the function that does.
const SUITES: &[(&str, &str, Measure)] = &[
    (
        "checkpoint",
        "a step without a version against a load, the blocking part of one against a plain copy",
        checkpoint::measure,
    ),
    ("collectives", "allreduce, barrier and alltoall beside MPI", collectives::measure),
    ("dirty", "captures that copy what was written, beside a plain copy of all", dirty::measure),
    ("erasure", "encoding and rebuilding shards beside ISA-L", erasure::measure),
    ("idle", "the launcher's processor time while 64 ranks do nothing", idle::measure),
    (
        "levels",
        "four ranks' versions in memory and on disk beside VELOC and plain files",
        levels::measure,
    ),
    ("messages", "ping-pong and bandwidth beside MPI and the hardware", messages::measure),
    ("overhead", "real programs with checkpoints on, off, and bare; takes long", overhead::measure),
    (
        "nodes",
        "guarding a version among nodes, and rebuilding one, beside a plain copy",
        nodes::measure,
    ),
    ("recovery", "phases of a recovery, and the restore against a plain copy", recovery::measure),
    ("reshape", "a version restored by another number of ranks, beside the same", reshape::measure),
    ("scale", "what a version costs at 10,000 ranks, by constants measured here", scale::measure),
    ("smaller", "versions compressed, or referring to older ones, beside plain", smaller::measure),
    ("start", "start and end of an empty program beside MPI", start::measure),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Failure> {
    let (options, names): (Vec<_>, Vec<_>) =
        arguments.iter().map(String::as_str).partition(|word| word.starts_with("--"));
    if let Some(unknown) = options.iter().find(|word| !["--quick", "--json"].contains(word)) {
        return Err(format!("unknown option {unknown}\n{}", usage()).into());
    }
    let (name, only) = match names[..] {
        [name] => (name, None),
        [name, program] if overhead::knows(name, program) => (name, Some(program.to_owned())),
        _ => return Err(usage().into()),
    };
    let suite = SUITES.iter().find(|(known, ..)| *known == name);
    let (_, _, measure) = suite.ok_or_else(usage)?;
    process::adopt()?;
    let quick = options.contains(&"--quick");
    let context = Context { built: Built::all()?, quick, only };
    let (host, before) = (Host::look(), host::load());
    let report = measure(&context)?;
    let loads = (before, host::load());
    if options.contains(&"--json") {
        println!("{}", report.json(name, &host, loads));
    } else {
        println!("{}", report.text(name, &host, loads));
    }
    Ok(())
}

fn usage() -> String {
    let lines = SUITES.iter().map(|(name, what, _)| format!("\n  {name:<12} {what}"));
    format!(
        "usage: mainstay-bench SUITE [--quick] [--json], or overhead PROGRAM (cg or heat); suites:{}",
        lines.collect::<String>()
    )
}
