//! `cargo xtask campaign`: random faults on real processes, every answer compared bit by bit.
//!
//! Invariants: it fails if a run hangs, leaves a process behind, gives other bits or the wrong
//! diagnosis, or if it was long enough to hit something and never did; see [`coverage`]. Every failure
//! names the seed that repeats it. Deliberately absent: faults of other kinds than death; `lab`
//! will have them.

pub(crate) mod case;
mod coverage;
mod judge;
mod reference;
mod run;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use crate::{Failure, docs, workspace};
use case::Case;
use coverage::Aim;
use judge::Report;
use reference::References;
use run::Bench;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Options {
    /// Which seeds.
    seeds: std::ops::Range<u64>,
    /// How many runs at a time.
    jobs: usize,
    /// Whether other processes keep the processors busy.
    busy: bool,
}

const USAGE: &str = "usage: cargo xtask campaign [--seeds N | --seed S] [--jobs J] [--busy]";

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut options = Self { seeds: 0..200, jobs: 2, busy: false };
        let mut rest = arguments.iter();
        while let Some(option) = rest.next() {
            let mut number = || -> Result<u64, Failure> {
                Ok(rest.next().and_then(|text| text.parse().ok()).ok_or(USAGE)?)
            };
            match option.as_str() {
                "--seeds" => options.seeds = 0..number()?,
                "--seed" => {
                    let seed = number()?;
                    options.seeds = seed..seed.saturating_add(1);
                }
                "--jobs" => options.jobs = usize::try_from(number()?)?.clamp(1, 64),
                "--busy" => options.busy = true,
                _ => return Err(USAGE.into()),
            }
        }
        Ok(options)
    }
}

/// Runs a campaign. Returns how many things are wrong, having printed each.
///
/// # Errors
/// Programs that do not build or fail without any fault.
pub(crate) fn run(arguments: &[String]) -> Result<usize, Failure> {
    let options = Options::parse(arguments)?;
    let programs = docs::build()?;
    let directory = workspace::target_directory().join("campaign");
    fs::create_dir_all(&directory)?;
    let _busy = if options.busy { Some(Busy::start()?) } else { None };
    let deadline = Duration::from_secs(if options.busy { 240 } else { 60 });
    let started = Instant::now();
    let references = reference::all(&programs, &directory)?;
    println!("campaign: {} fault-free runs", references.len());
    let bench = Bench { programs, directory, deadline };
    let results = all_cases(&options, &bench, &references);
    let wrong = tell(&options, &bench, &results);
    println!("campaign: {wrong} wrong, {:.1} s", started.elapsed().as_secs_f64());
    Ok(wrong)
}

/// Every case with what came of it, in the order of seeds.
type Results = BTreeMap<u64, (Case, Report)>;

fn all_cases(options: &Options, bench: &Bench, references: &References) -> Results {
    let next = AtomicU64::new(options.seeds.start);
    let results = Mutex::new(Results::new());
    thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= options.seeds.end {
                        break;
                    }
                    let (case, report) = one(seed, bench, references);
                    if let Ok(mut results) = results.lock() {
                        results.insert(seed, (case, report));
                    }
                }
            });
        }
    });
    results.into_inner().unwrap_or_default()
}

fn one(seed: u64, bench: &Bench, references: &References) -> (Case, Report) {
    let key = case::program_and_ranks(seed);
    let reference = &references[&key];
    let case = Case::new(seed, reference);
    let report = bench.run(&case, reference).unwrap_or_else(|error| Report {
        wrong: Some(format!("cannot be run: {error}")),
        ..Report::default()
    });
    if let Some(wrong) = &report.wrong {
        println!("  seed {seed} {wrong}\n    {}", line(bench, &case));
    }
    (case, report)
}

/// The command of a case with its kills from outside, to be read by a person.
fn line(bench: &Bench, case: &Case) -> String {
    let command = bench.command(case);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let mut line = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    for kill in &case.kills {
        line.push_str(&format!("; kill rank {} after {} µs", kill.rank, kill.after_us));
    }
    line
}

/// Prints what a campaign found. Returns how many things are wrong.
fn tell(options: &Options, bench: &Bench, results: &Results) -> usize {
    let reports = || results.values().map(|(_, report)| report);
    let wrong = reports().filter(|report| report.wrong.is_some()).count();
    let failures: usize = reports().map(|report| report.failures).sum();
    let outside: usize = reports().map(|report| report.outside).sum();
    let nodes = reports().fold((0, 0), |sum, r| (sum.0 + r.nodes.0, sum.1 + r.nodes.1));
    let slowest = reports().map(|report| report.took).max().unwrap_or_default();
    println!(
        "{} runs, {failures} failures survived or diagnosed, {outside} kills from outside, \
         {} nodes lost and {} rebuilt, slowest run {:.1} s",
        results.len(),
        nodes.0,
        nodes.1,
        slowest.as_secs_f64()
    );
    if let [(case, _)] = results.values().collect::<Vec<_>>()[..] {
        println!("{}", line(bench, case));
        return wrong;
    }
    let seeds = options.seeds.end - options.seeds.start;
    let aims: Vec<Aim> = results.values().filter_map(Aim::of).collect();
    wrong + coverage::tell(&aims, seeds) + coverage::tell_nodes(nodes, seeds)
}

/// Processes that keep every processor busy while they live.
struct Busy(Vec<Child>);

impl Busy {
    fn start() -> Result<Self, Failure> {
        let myself: PathBuf = env::current_exe()?;
        let count = thread::available_parallelism()?.get();
        let mut busy = Self(Vec::new());
        for _ in 0..count {
            let mut burn = Command::new(&myself);
            burn.arg("burn").stdin(Stdio::piped());
            busy.0.push(burn.spawn()?);
        }
        Ok(busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _already_gone = child.kill();
            let _already_gone = child.wait();
        }
    }
}

/// Uses a processor until standard input closes: `cargo xtask burn`.
pub(crate) fn burn() -> usize {
    thread::spawn(|| {
        loop {
            std::hint::spin_loop();
        }
    });
    let mut end = String::new();
    while std::io::stdin().read_line(&mut end).is_ok_and(|bytes| bytes > 0) {}
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let parse = |line: &str| {
            let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            Options::parse(&words)
        };
        assert_eq!(parse("").unwrap(), Options { seeds: 0..200, jobs: 2, busy: false });
        let all = parse("--seeds 9 --jobs 3 --busy").unwrap();
        assert_eq!(all, Options { seeds: 0..9, jobs: 3, busy: true });
        assert_eq!(parse("--seed 7").unwrap().seeds, 7..8);
        for bad in ["--seeds", "--seeds x", "--fast", "7"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
