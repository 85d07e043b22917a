//! The fault-free runs that a campaign compares with, one for each program and number of ranks.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use mainstay_types::Point;
use serde_json::Value;

use super::case::RANKS;
use crate::{Failure, workspace};

/// A program under test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    /// The program of `apps`.
    pub(crate) name: &'static str,
    /// Arguments under which it takes a fraction of a second.
    pub(crate) arguments: &'static [&'static str],
    /// Of the points that not every program passes, those that it passes.
    pub(crate) passes: &'static [Point],
    /// How often every rank passes each of these at least, or as many of them as are worth a try.
    pub(crate) passages: u64,
}

const COLLECTIVES: &[Point] = &[Point::CollectiveEnter, Point::CollectiveMid];
/// Passages of a point that lies in every step.
pub(crate) const MANY: u64 = 60;

/// What a campaign runs. `probe communicators` and `probe calls` make every call there is.
pub(crate) const PROGRAMS: &[Program] = &[
    Program {
        name: "cg",
        arguments: &["data/bcsstk16.mtx.gz"],
        passes: COLLECTIVES,
        passages: MANY,
    },
    Program {
        name: "probe",
        arguments: &["steps", "200", "--spin-us", "500"],
        passes: COLLECTIVES,
        passages: MANY,
    },
    Program {
        name: "probe",
        arguments: &["pipeline", "--steps", "200", "--spin-us", "500"],
        passes: &[Point::MidChunk],
        passages: 10,
    },
    Program {
        name: "pi-farm",
        arguments: &["--rounds", "150", "--tasks", "16", "--darts", "300", "--deterministic"],
        passes: &[],
        passages: 0,
    },
    Program {
        name: "probe",
        arguments: &["agree", "--steps", "150", "--spin-us", "500"],
        passes: &[Point::AgreeMid, Point::Agreed, Point::CollectiveEnter, Point::CollectiveMid],
        passages: MANY,
    },
    Program {
        name: "probe",
        arguments: &["random", "--steps", "150", "--spin-us", "500"],
        passes: COLLECTIVES,
        passages: MANY,
    },
    // Its collectives are three, behind its last step.
    Program {
        name: "heat",
        arguments: &["data/jacksboro.asc.gz", "--steps", "300"],
        passes: COLLECTIVES,
        passages: 3,
    },
    Program {
        name: "probe",
        arguments: &["communicators", "--steps", "60"],
        passes: COLLECTIVES,
        passages: MANY,
    },
    Program {
        name: "probe",
        arguments: &["calls", "--steps", "60"],
        passes: &[Point::AgreeMid, Point::Agreed, Point::CollectiveEnter, Point::CollectiveMid],
        passages: MANY,
    },
];

/// Points that only some programs pass.
pub(crate) const SPECIAL: [Point; 5] =
    [Point::MidChunk, Point::CollectiveEnter, Point::CollectiveMid, Point::AgreeMid, Point::Agreed];

/// What a fault-free run showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// The answer's digest.
    pub(crate) digest: String,
    /// How many steps it had.
    pub(crate) steps: u64,
    /// How long it took, µs.
    pub(crate) took_us: u64,
}

/// References by program and number of ranks.
pub(crate) type References = BTreeMap<(usize, u64), Reference>;

/// Runs every program without faults at every number of ranks.
///
/// # Errors
/// A run that fails without any fault.
pub(crate) fn all(programs: &Path, directory: &Path) -> Result<References, Failure> {
    let mut references = References::new();
    for (i, program) in PROGRAMS.iter().enumerate() {
        let Program { name, arguments, .. } = program;
        for n in RANKS {
            let mut run = Command::new(programs.join("mainstay"));
            run.args(["run", "--json", "-n", &n.to_string(), "--ckpt-dir"]);
            run.arg(directory.join(format!("reference-{i}-{n}")));
            run.arg(programs.join(name)).args(*arguments).current_dir(workspace::root());
            let started = Instant::now();
            let output = run.output()?;
            let took_us = u64::try_from(started.elapsed().as_micros())?;
            let said = String::from_utf8_lossy(&output.stdout);
            let last: Value = serde_json::from_str(said.lines().last().unwrap_or_default())?;
            let (digest, steps) = (last["result_digest"].as_str(), last["steps"].as_u64());
            let (Some(digest), Some(steps), true) = (digest, steps, output.status.success()) else {
                let why = String::from_utf8_lossy(&output.stderr);
                return Err(format!("{name} fails on {n} ranks without faults: {why}").into());
            };
            let digest = digest.to_owned();
            references.insert((i, n), Reference { digest, steps: steps.max(4), took_us });
        }
    }
    Ok(references)
}
