//! Suite `nodes`: how fast nodes guard a version, and give back what one of them had.
//!
//! Four ranks on four nodes sleep behind each version, so that nodes have the processors to themselves, and
//! time plain copies of their state before it, all at once. Node 1 is killed in the middle. A guard moves
//! the state of all ranks; a rebuild gives back that of one.
//!
//! Invariant: a run in which nothing was guarded, or nothing rebuilt, is an error. Deliberately absent: peers;
//! there is no package of redset, whose figures stand in the text beside the table.

use crate::job::{self, Events, number};
use crate::report::{Report, Section};
use crate::{Context, Failure};

const RANKS: u64 = 4;
const MIB: u64 = 128;
/// Guards at the start that fault memory in.
const FIRST: usize = 3;

/// What differs between sections.
const CASES: [(&str, &str); 3] = [
    ("copies at the next node", "partner"),
    ("parity against one loss", "xor"),
    ("parity against two losses", "parity:2"),
];

/// Measures all cases.
///
/// # Errors
/// A run that did not go as asked.
pub(crate) fn measure(context: &Context) -> Result<Report, Failure> {
    let runs = if context.quick { 1 } else { 5 };
    let mut report = Report::default();
    for (title, redundancy) in CASES {
        eprintln!("bench: {title}");
        let mut all = Run::default();
        for _ in 0..runs {
            all.add(&one(context, redundancy)?)?;
        }
        report.add(all.section(&format!("4 ranks on 4 nodes, {MIB} MiB each: {title}")));
    }
    Ok(report)
}

fn one(context: &Context, redundancy: &str) -> Result<Events, Failure> {
    let (n, mib) = (RANKS.to_string(), MIB.to_string());
    let program = [&*context.built.steps.display().to_string(), "guarded", &mib, "16", "500"];
    let program = program.map(str::to_owned);
    let options = ["-n", &n, "--virtual-nodes", &n, "--redundancy", redundancy];
    let more = ["--ckpt-every", "1step", "--disk-every", "1h", "--inject", "kill:node1@time=8s"];
    job::run(&context.built, &[options, more].concat(), &job::directory(), &program)
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
        let speed = |bytes: f64, ms: f64| bytes / ms / 1e6;
        // After a loss a guard is of one node's share only.
        let lost = number(events.first("node_lost")?, "t_ms")?;
        for guarded in events.of("guarded").skip(FIRST) {
            if number(guarded, "t_ms")? < lost {
                self.guard.push(speed(state, number(guarded, "took_ms")?));
            }
        }
        let rebuilt = events.first("rebuilt")?;
        self.rebuild.push(speed(number(rebuilt, "bytes")?, number(rebuilt, "took_ms")?));
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

    fn section(&self, title: &str) -> Section {
        let mut section = Section::new(title);
        section.add("guard, state GB/s", self.guard.iter().copied());
        section.add("rebuild, lost GB/s", self.rebuild.iter().copied());
        section.add("memcpy by all ranks GB/s", self.memcpy.iter().copied());
        let median = |values: &[f64]| crate::stats::Spread::of(values.to_vec()).map(|s| s.median);
        if let (Some(guard), Some(memcpy)) = (median(&self.guard), median(&self.memcpy)) {
            section.add("guard / memcpy", [guard / memcpy]);
        }
        section
    }
}
