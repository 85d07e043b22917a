//! Suite `nodes`: how fast nodes guard a version, and give back what one of them had.
//!
//! Four ranks on four nodes sleep behind each version, so that nodes have the processors to themselves, and
//! time plain copies of their state before it, all at once. Node 1 is killed in the middle. A guard moves
//! the state of all ranks; a rebuild gives back that of one. Redset takes turns with it, four ranks with files
//! in memory; it loses what one rank has, or two with two parities.
//!
//! Invariant: a run in which nothing was guarded, or nothing rebuilt, is an error. Deliberately absent: redset's
//! partner scheme, which it has no speed promised against.

use std::path::Path;
use std::time::Duration;

use crate::job::{self, Events, number};
use crate::levels::told;
use crate::peers::Veloc;
use crate::report::{Report, Section};
use crate::stats::Spread;
use crate::{Context, Failure, process};

const RANKS: u64 = 4;
const MIB: u64 = 128;
/// Guards at the start that fault memory in.
const FIRST: usize = 3;

/// What differs between sections: ours, and redset's name and how many ranks' files it loses.
type Case = (&'static str, &'static str, Option<(&'static str, u64)>);
const CASES: [Case; 3] = [
    ("copies at the next node", "partner", None),
    ("parity against one loss", "xor", Some(("xor", 1))),
    ("parity against two losses", "parity:2", Some(("rs", 2))),
];
/// Of one launch of redset, and what it does in one.
const DEADLINE: Duration = Duration::from_secs(180);
const ROUNDS: usize = 4;
/// What is aimed at, as times: a tenth of redset's.
const BESIDE_REDSET: f64 = 0.1;

/// Measures all cases.
///
/// # Errors
/// A run that did not go as asked.
pub(crate) fn measure(context: &Context) -> Result<Report, Failure> {
    let runs = if context.quick { 1 } else { 5 };
    let mut report = Report::default();
    let redset = Veloc::new();
    let mut why_not = redset.as_ref().err().map(ToString::to_string);
    for (title, redundancy, peer) in CASES {
        eprintln!("bench: {title}");
        let (mut all, mut theirs) = (Run::default(), Redset::default());
        for _ in 0..runs {
            all.add(&one(context, redundancy)?)?;
            if let (Ok(redset), Some((kind, lost))) = (&redset, peer)
                && let Err(error) = theirs.add(redset, kind, lost)
            {
                why_not = Some(error.to_string());
            }
        }
        let title = format!("4 ranks on 4 nodes, {MIB} MiB each: {title}");
        report.add(all.section(&title, &theirs));
    }
    match why_not {
        Some(why) => report.note(format!("redset: not measured: {why}")),
        None => report.note(Veloc::VERSIONS),
    }
    Ok(report)
}

/// GB/s of redset's runs.
#[derive(Default)]
struct Redset {
    encode: Vec<f64>,
    rebuild: Vec<f64>,
}

impl Redset {
    fn add(&mut self, redset: &Veloc, kind: &str, lost: u64) -> Result<(), Failure> {
        let folder = Path::new("/dev/shm").join(format!("mainstay-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let mut command = redset.command(RANKS as usize);
        command.args([kind, &MIB.to_string(), &ROUNDS.to_string()]).arg(&folder);
        let ended = process::run(&mut command, DEADLINE);
        std::fs::remove_dir_all(&folder)?;
        let ended = ended?;
        if let Some(failure) = ended.failure {
            return Err(failure.into());
        }
        let speeds = |name, ranks: u64| -> Result<Vec<f64>, Failure> {
            let bytes = ((ranks * MIB) << 20) as f64;
            Ok(told(&ended.output, name)?.into_iter().skip(1).map(|ns| bytes / ns).collect())
        };
        self.encode.extend(speeds("encode", RANKS)?);
        self.rebuild.extend(speeds("rebuild", lost)?);
        Ok(())
    }
}

/// One launch of ours.
///
/// # Errors
/// A run that did not go as asked.
pub(crate) fn one(context: &Context, redundancy: &str) -> Result<Events, Failure> {
    let (n, mib) = (RANKS.to_string(), MIB.to_string());
    let program = [&*context.built.steps.display().to_string(), "guarded", &mib, "16", "500"];
    let program = program.map(str::to_owned);
    let options = ["-n", &n, "--virtual-nodes", &n, "--redundancy", redundancy];
    let more = ["--ckpt-every", "1step", "--disk-every", "1h", "--inject", "kill:node1@time=8s"];
    job::run(&context.built, &[options, more].concat(), &job::directory(), &program)
}

/// GB/s of the guards of a run.
///
/// # Errors
/// Events without what they should say.
pub(crate) fn guards(events: &Events) -> Result<Vec<f64>, Failure> {
    let state = ((RANKS * MIB) << 20) as f64;
    // After a loss a guard is of one node's share only.
    let lost = number(events.first("node_lost")?, "t_ms")?;
    let mut speeds = Vec::new();
    for guarded in events.of("guarded").skip(FIRST) {
        if number(guarded, "t_ms")? < lost {
            speeds.push(state / number(guarded, "took_ms")? / 1e6);
        }
    }
    Ok(speeds)
}

/// What runs came to: GB/s of state.
#[derive(Default)]
struct Run {
    guard: Vec<f64>,
    rebuild: Vec<f64>,
    memcpy: Vec<f64>,
}

impl Run {
    fn add(&mut self, events: &Events) -> Result<(), Failure> {
        let state = ((RANKS * MIB) << 20) as f64;
        self.guard.extend(guards(events)?);
        let rebuilt = events.first("rebuilt")?;
        self.rebuild.push(number(rebuilt, "bytes")? / number(rebuilt, "took_ms")? / 1e6);
        let summary = events.first("summary")?;
        let mut rounds: Vec<Vec<f64>> = Vec::new();
        for rank in 0..RANKS {
            let text = summary["report"][&format!("memcpy_ns_{rank}")].as_str().unwrap_or_default();
            rounds.push(text.split(',').map(str::parse).collect::<Result<_, _>>()?);
        }
        let least = rounds.iter().map(Vec::len).min().unwrap_or(0);
        for round in 1..least {
            let longest = rounds.iter().map(|times| times[round]).fold(0.0, f64::max);
            self.memcpy.push(state / longest);
        }
        Ok(())
    }

    fn section(&self, title: &str, redset: &Redset) -> Section {
        let mut section = Section::new(title);
        section.add("guard, state GB/s", self.guard.iter().copied());
        section.add("rebuild, lost GB/s", self.rebuild.iter().copied());
        section.add("memcpy by all ranks GB/s", self.memcpy.iter().copied());
        section.add("redset: encode GB/s", redset.encode.iter().copied());
        section.add("redset: rebuild GB/s", redset.rebuild.iter().copied());
        let median = |values: &[f64]| Spread::of(values.to_vec()).map(|spread| spread.median);
        let ratio = |a: &[f64], b: &[f64]| Some(median(a)? / median(b)?);
        section.add("guard / memcpy", ratio(&self.guard, &self.memcpy));
        let encode = ratio(&redset.encode, &self.guard);
        section.promised("time: guard / redset", encode, BESIDE_REDSET);
        let rebuild = ratio(&redset.rebuild, &self.rebuild);
        section.promised("time: rebuild / redset", rebuild, BESIDE_REDSET);
        section
    }
}
