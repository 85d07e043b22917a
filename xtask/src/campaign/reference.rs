//! The fault-free runs that a campaign compares with, one for each program and number of ranks.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use super::case::RANKS;
use crate::{Failure, workspace};

/// Programs of `apps` with arguments under which they take a fraction of a second.
pub(crate) const PROGRAMS: &[(&str, &[&str])] = &[
    ("cg", &["data/bcsstk16.mtx.gz"]),
    ("probe", &["steps", "200", "--spin-us", "500"]),
    ("probe", &["pipeline", "--steps", "200", "--spin-us", "500"]),
    ("pi-farm", &["--rounds", "150", "--tasks", "16", "--darts", "300", "--deterministic"]),
    ("probe", &["agree", "--steps", "150", "--spin-us", "500"]),
    ("probe", &["random", "--steps", "150", "--spin-us", "500"]),
    ("heat", &["data/jacksboro.asc.gz", "--steps", "300"]),
    ("probe", &["communicators", "--steps", "60"]),
];
/// So many of them, from the first, use collectives in every step.
pub(crate) const WITH_COLLECTIVES: usize = 2;
/// The one whose messages are sometimes longer than a chunk.
pub(crate) const LONG_MESSAGES: usize = 2;
/// The one whose ranks agree on something.
pub(crate) const AGREES: usize = 4;

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
    for (i, (program, arguments)) in PROGRAMS.iter().enumerate() {
        for n in RANKS {
            let mut run = Command::new(programs.join("mainstay"));
            run.args(["run", "--json", "-n", &n.to_string(), "--ckpt-dir"]);
            run.arg(directory.join(format!("reference-{i}-{n}")));
            run.arg(programs.join(program)).args(*arguments).current_dir(workspace::root());
            let started = Instant::now();
            let output = run.output()?;
            let took_us = u64::try_from(started.elapsed().as_micros())?;
            let said = String::from_utf8_lossy(&output.stdout);
            let last: Value = serde_json::from_str(said.lines().last().unwrap_or_default())?;
            let (digest, steps) = (last["result_digest"].as_str(), last["steps"].as_u64());
            let (Some(digest), Some(steps), true) = (digest, steps, output.status.success()) else {
                let why = String::from_utf8_lossy(&output.stderr);
                return Err(format!("{program} fails on {n} ranks without faults: {why}").into());
            };
            let digest = digest.to_owned();
            references.insert((i, n), Reference { digest, steps: steps.max(4), took_us });
        }
    }
    Ok(references)
}
