//! Suite `smaller`: bytes on disk, time until durable and processor time of the drain, of versions that
//! are compressed or refer to older ones, beside plain ones.
//!
//! Every case is a run of its own; the cases of a round follow each other, plain first, and ratios are
//! taken within the round. Invariant: the first two versions of a run are not counted: they make the
//! arenas resident, the first one is whole in any case, and `auto` has measured nothing yet. Deliberately
//! absent: the blocking part, which is the same for all.

use crate::job::{self, number};
use crate::report::{Report, Section};
use crate::{Context, Failure};

/// Versions of a run, and those that are not counted.
const VERSIONS: usize = 8;
const WARM: usize = 2;
/// Dirty blocks in a thousand, and the options.
type Case = (&'static str, u64, &'static [&'static str]);
const PLAIN: Case = ("plain", 1000, &[]);
const CASES: [Case; 8] = [
    ("auto", 1000, &["--compress", "auto"]),
    ("lz4", 1000, &["--compress", "lz4"]),
    ("zstd", 1000, &["--compress", "zstd"]),
    ("pco", 1000, &["--compress", "pco"]),
    ("references, all dirty", 1000, &["--full-every", "100"]),
    ("references, 10 % dirty", 100, &["--full-every", "100"]),
    ("references, 1 % dirty", 10, &["--full-every", "100"]),
    ("references, nothing dirty", 0, &["--full-every", "100"]),
];
/// What is aimed at: the scan of what has not changed, of one core.
const SCAN_GBS: f64 = 5.0;

/// Measures all cases.
///
/// # Errors
/// A run that did not go as asked.
pub(crate) fn measure(context: &Context) -> Result<Report, Failure> {
    let mut report = Report::default();
    let (rounds, mib) = if context.quick { (2, 64) } else { (5, 128) };
    let mut plain = Vec::new();
    let mut cases: Vec<Vec<Run>> = CASES.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        eprintln!("bench: smaller, round {} of {rounds}", round + 1);
        plain.push(run(context, mib, PLAIN)?);
        for (case, runs) in CASES.into_iter().zip(&mut cases) {
            runs.push(run(context, mib, case)?);
        }
    }
    report.add(section(&format!("{mib} MiB, plain"), mib, &plain, None));
    for ((name, ..), runs) in CASES.into_iter().zip(&cases) {
        report.add(section(&format!("{mib} MiB, {name}"), mib, runs, Some(&plain)));
    }
    Ok(report)
}

/// The versions of one run that count.
struct Run {
    mib: Vec<f64>,
    durable_ms: Vec<f64>,
    cpu_ms: Vec<f64>,
}

fn section(title: &str, mib: u64, runs: &[Run], plain: Option<&[Run]>) -> Section {
    let mut section = Section::new(title);
    section.add("MiB on disk", runs.iter().flat_map(|run| run.mib.iter().copied()));
    section.add("until durable ms", runs.iter().flat_map(|run| run.durable_ms.iter().copied()));
    section.add("drain's processor ms", runs.iter().flat_map(|run| run.cpu_ms.iter().copied()));
    let pairs = plain.into_iter().flatten().zip(runs);
    let ratios = pairs.flat_map(|(plain, run)| {
        let of = middle(&plain.durable_ms);
        run.durable_ms.iter().map(move |ms| ms / of)
    });
    section.add("durable / plain", ratios);
    if title.ends_with("nothing dirty") {
        let gbs = |ms: &f64| (mib << 20) as f64 / ms / 1e6;
        let scans = runs.iter().flat_map(|run| run.cpu_ms.iter().map(gbs));
        section.add(&format!("scan GB/s of a core (aim: {SCAN_GBS})"), scans);
    }
    section
}

fn middle(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn run(context: &Context, mib: u64, (_, permille, options): Case) -> Result<Run, Failure> {
    let directory = job::directory();
    let words = [mib.to_string(), permille.to_string(), VERSIONS.to_string()];
    let mut program = vec![context.built.partly.display().to_string()];
    program.extend(words);
    program.push(directory.display().to_string());
    let options = [&["-n", "1", "--ckpt-every", "1steps"], options].concat();
    let events = job::run(&context.built, &options, &directory, &program)?;
    let published: Vec<_> =
        events.of("checkpoint").filter(|event| event["state"] == "published").collect();
    let sizes = events.first("summary")?["report"]["bytes"].as_str().unwrap_or_default();
    let sizes: Vec<f64> = sizes.split(',').map(str::parse).collect::<Result<_, _>>()?;
    if published.len() < WARM + 2 || sizes.len() != VERSIONS {
        return Err(format!("{} versions were published", published.len()).into());
    }
    let counted = || published.iter().skip(WARM);
    Ok(Run {
        mib: sizes.iter().skip(WARM).map(|bytes| bytes / 1_048_576.0).collect(),
        durable_ms: counted().map(|e| number(e, "durable_ms")).collect::<Result<_, _>>()?,
        cpu_ms: counted().map(|e| number(e, "drain_cpu_ms")).collect::<Result<_, _>>()?,
    })
}
