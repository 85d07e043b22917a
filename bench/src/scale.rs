//! Suite `scale`: what a version costs at many ranks, by a model whose constants are measured here.
//!
//! Measured: nanoseconds a byte of a capture, of a guard and of a write to disk; and how the time until a
//! version of no bytes is durable grows with the number of ranks, which gives a part for each version and
//! one for each file. Counted, by driving the engine that ships: files and operations of a version. The
//! model multiplies: nodes work side by side on what is theirs, ranks of a node share its memory, and one
//! launcher writes all files. The handbook page `many-ranks.md` has the formulas.
//!
//! Invariant: nothing in a prediction but these constants and the sizes in its title. Deliberately absent:
//! a network, whose speed this machine cannot tell; between nodes the guards here move bytes through memory.

use mainstay_ckpt::{Commit, Files, Next, Outcome};

use crate::job::{self, Events, number};
use crate::report::{Report, Section};
use crate::stats::Spread;
use crate::{Context, Failure, levels, nodes};

/// Numbers of ranks that versions without bytes are written of.
const RANKS: [u64; 4] = [1, 4, 16, 64];
/// A capture every so many steps.
const EVERY: u64 = 4;
/// What the predictions are for: ranks, ranks of a node, GiB of a rank.
const PREDICTED: [u64; 3] = [100, 1_000, 10_000];
const OF_A_NODE: u64 = 16;
const GIB: u64 = 1;

/// Measures the constants and predicts.
///
/// # Errors
/// A run that did not go as asked.
pub(crate) fn measure(context: &Context) -> Result<Report, Failure> {
    let mut report = Report::default();
    let versions = if context.quick { 8 } else { 30 };
    eprintln!("bench: bytes");
    let times = levels::mainstay(context)?;
    let rate = |name: &str| -> Result<f64, Failure> {
        Ok(middle(times.get(name).into_iter().flatten().copied())? / levels::bytes())
    };
    let (capture, disk) = (rate("blocking")?, rate("durable")?);
    let mut guards = Vec::new();
    for redundancy in ["partner", "xor", "parity:2"] {
        eprintln!("bench: guards, {redundancy}");
        let speeds = nodes::guards(&nodes::one(context, redundancy)?)?;
        guards.push((redundancy, 1.0 / middle(speeds)?));
    }
    let mut points = Vec::new();
    for ranks in RANKS {
        eprintln!("bench: files of {ranks} ranks");
        points.push((ranks as f64, middle(of_no_bytes(context, ranks, versions)?)?));
    }
    let (version_ms, file_ms) = line(&points);
    let mut section = Section::new("measured");
    section.add("capture ns a byte of a node", [capture]);
    for (redundancy, ns) in &guards {
        section.add(&format!("guard, {redundancy}, ns a byte of state"), [*ns]);
    }
    section.add("disk ns a byte", [disk]);
    for (ranks, ms) in &points {
        section.add(&format!("no bytes, {ranks} ranks, until durable ms"), [*ms]);
    }
    section.add("so: ms a version", [version_ms]);
    section.add("    ms a file", [file_ms]);
    report.add(section);
    for ranks in PREDICTED {
        let node_bytes = ((OF_A_NODE * GIB) << 30) as f64;
        let seconds = |ns_a_byte: f64, bytes: f64| ns_a_byte * bytes / 1e9;
        let nodes = ranks.div_ceil(OF_A_NODE);
        let title = format!("{ranks} ranks on {nodes} nodes, {GIB} GiB each: predicted");
        let mut section = Section::new(title);
        section.add("capture, blocked s", [seconds(capture, node_bytes)]);
        for (redundancy, ns) in &guards {
            // So many nodes guarded so many bytes at once here, with the cores of one machine.
            section.add(&format!("guard, {redundancy} s"), [seconds(*ns, node_bytes)]);
        }
        let files_s = (version_ms + file_ms * ranks as f64) / 1e3;
        section.add("files of one launcher, without bytes s", [files_s]);
        section.add("bytes through one such disk s", [seconds(disk, (ranks << 30) as f64)]);
        let (files, operations) = counted(ranks);
        section.add("files a node", [files as f64 / nodes as f64]);
        section.add("operations a node", [operations as f64 / nodes as f64]);
        report.add(section);
    }
    Ok(report)
}

/// Files of a version of so many ranks, and operations that write it.
fn counted(ranks: u64) -> (u64, u64) {
    let parts: Vec<String> = (0..ranks).map(|rank| rank.to_string()).collect();
    let files = parts.len() as u64 + 1;
    let mut commit =
        Commit::new(Files { aside: "aside".to_owned(), manifest: "manifest".to_owned(), parts });
    let mut operations = 0;
    while let Some(next) = commit.next() {
        if matches!(next, Next::Do(_)) {
            operations += 1;
            commit.done(Outcome::Done);
        }
    }
    (files, operations)
}

/// Milliseconds until versions without bytes are durable.
fn of_no_bytes(context: &Context, ranks: u64, versions: u64) -> Result<Vec<f64>, Failure> {
    let (n, every, directory) = (ranks.to_string(), format!("{EVERY}steps"), job::directory());
    let steps = context.built.steps.display().to_string();
    let place = directory.display().to_string();
    let words = [&*steps, "blocked", "0", &EVERY.to_string(), &versions.to_string(), &place];
    let program = words.map(str::to_owned);
    let options = ["-n", &n, "--ckpt-every", &every];
    let events: Events = job::run(&context.built, &options, &directory, &program)?;
    let published = events.of("checkpoint").filter(|event| event["state"] == "published");
    published.skip(2).map(|event| number(event, "durable_ms")).collect()
}

fn middle(values: impl IntoIterator<Item = f64>) -> Result<f64, Failure> {
    Ok(Spread::of(values).ok_or("nothing was measured")?.median)
}

/// The line through points that is off by the least squares: at zero, and its rise.
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len() as f64;
    let sum = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>();
    let (x, y, xx, xy) = (sum(|p| p.0), sum(|p| p.1), sum(|p| p.0 * p.0), sum(|p| p.0 * p.1));
    let rise = (n * xy - x * y) / (n * xx - x * x);
    ((y - rise * x) / n, rise)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_again() {
        let points = [1.0, 4.0, 16.0, 64.0].map(|x| (x, 3.0 + 0.5 * x));
        let (zero, rise) = line(&points);
        assert!((zero - 3.0).abs() < 1e-9 && (rise - 0.5).abs() < 1e-9, "{zero} {rise}");
    }

    #[test]
    fn operations_grow_with_ranks_and_no_faster() {
        let [a, b, c] = [100, 200, 300].map(|ranks| counted(ranks).1);
        assert_eq!(c - b, b - a);
        assert_eq!(counted(10_000).0, 10_001);
    }
}
