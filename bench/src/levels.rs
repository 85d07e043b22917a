//! Suite `levels`: versions of four ranks beside VELOC, plain copies and plain files.
//!
//! Ours and VELOC take turns, as launches of their own, each with the same number of versions; then four
//! threads write as many bytes into files of their own and sync them. The time of a version is that of
//! the slowest rank, from the moment at which all ranks have met; a plain copy of the same bytes is
//! timed in the same process in each round. VELOC takes its asynchronous way, from its memory folder to the
//! disk, without checksums, as it is by default. It says when a version is written; it never syncs.
//!
//! Invariant: only versions that were committed, or that VELOC says are good, count; those that make
//! memory resident do not. Deliberately absent: levels among nodes; suite `nodes` has them, beside redset.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::job::{self, Events, number};
use crate::peers::Veloc;
use crate::report::{Report, Section};
use crate::{Context, Failure, process, stats};

const RANKS: u64 = 4;
const MIB: u64 = 128;
/// A capture of ours every so many steps.
const EVERY: u64 = 4;
/// Versions of a launch, and how many of them make memory resident.
const VERSIONS: u64 = 10;
const WARM: u64 = 4;
/// Of one launch.
const DEADLINE: Duration = Duration::from_secs(180);
/// What is aimed at, as times: no longer than the plain copy or the plain files, a third of VELOC's.
const BESIDE_PLAIN: f64 = 1.0;
const BESIDE_VELOC: f64 = 1.0 / 3.0;

/// Measures all of it.
///
/// # Errors
/// A run of ours that did not go as asked. A peer that fails is told.
pub(crate) fn measure(context: &Context) -> Result<Report, Failure> {
    let mut report = Report::default();
    let rounds = if context.quick { 1 } else { 5 };
    let veloc = Veloc::new();
    let (mut ours, mut theirs, mut files) = (Times::new(), Times::new(), Vec::new());
    let mut why_not = veloc.as_ref().err().map(ToString::to_string);
    for round in 0..rounds {
        eprintln!("bench: levels, round {} of {rounds}", round + 1);
        add(&mut ours, mainstay(context)?);
        if let Ok(veloc) = &veloc {
            match one(veloc) {
                Ok(times) => add(&mut theirs, times),
                Err(error) => why_not = Some(error.to_string()),
            }
        }
        for _ in 0..2 {
            files.push(plain_files()?);
        }
    }
    let none = Vec::new();
    let of = |times: &Times, name: &'static str| times.get(name).unwrap_or(&none).clone();
    let both = |name: &'static str| (of(&ours, name), of(&theirs, name));
    let mut blocking = Section::new(format!("{RANKS} ranks, {MIB} MiB each: blocked"));
    let (capture, veloc_blocking) = both("blocking");
    let (copy, veloc_copy) = both("memcpy");
    blocking.add("mainstay, state GB/s", capture.iter().map(speed));
    blocking.add("memcpy in its ranks GB/s", copy.iter().map(speed));
    blocking.add("VELOC GB/s", veloc_blocking.iter().map(speed));
    blocking.add("memcpy in VELOC's ranks GB/s", veloc_copy.iter().map(speed));
    let pairs = capture.iter().zip(&copy).map(|(ours, copy)| ours / copy);
    blocking.promised("time: mainstay / memcpy", pairs, BESIDE_PLAIN);
    blocking.promised("time: mainstay / VELOC", ratio(&capture, &veloc_blocking), BESIDE_VELOC);
    report.add(blocking);
    let mut durable = Section::new(format!("{RANKS} ranks, {MIB} MiB each: until it is on disk"));
    let (published, written) = (of(&ours, "durable"), of(&theirs, "written"));
    durable.add("mainstay, synced and named GB/s", published.iter().map(speed));
    durable.add("four writers, write and fsync GB/s", files.iter().map(speed));
    durable.add("VELOC, written GB/s", written.iter().map(speed));
    durable.promised("time: mainstay / writers", ratio(&published, &files), BESIDE_PLAIN);
    durable.add("time: mainstay / VELOC", ratio(&published, &written));
    report.add(durable);
    let restart = of(&theirs, "restart");
    if !restart.is_empty() {
        let mut section = Section::new("restarts of VELOC; ours are in suite recovery");
        section.add("VELOC, from its memory folder GB/s", restart.iter().map(speed));
        report.add(section);
    }
    match why_not {
        Some(why) => report.note(format!("VELOC: not measured: {why}")),
        None => report.note(Veloc::VERSIONS),
    }
    Ok(report)
}

/// Nanoseconds of the slowest rank, by what was timed.
pub(crate) type Times = BTreeMap<&'static str, Vec<f64>>;

fn add(all: &mut Times, more: Times) {
    for (name, times) in more {
        all.entry(name).or_default().extend(times);
    }
}

/// GB/s of the state of all ranks.
fn speed(ns: &f64) -> f64 {
    bytes() / ns
}

/// Medians beside each other, if there are any.
fn ratio(ours: &[f64], theirs: &[f64]) -> Option<f64> {
    let median = |times: &[f64]| stats::Spread::of(times.to_vec()).map(|spread| spread.median);
    Some(median(ours)? / median(theirs)?)
}

/// Bytes of the state of all ranks.
pub(crate) fn bytes() -> f64 {
    ((RANKS * MIB) << 20) as f64
}

/// One launch of ours: what the slowest rank took, and until each version was durable.
///
/// # Errors
/// A run that did not go as asked.
pub(crate) fn mainstay(context: &Context) -> Result<Times, Failure> {
    let (n, mib, every) = (RANKS.to_string(), MIB.to_string(), EVERY.to_string());
    let (directory, steps) = (job::directory(), format!("{EVERY}steps"));
    let place = directory.display().to_string();
    let program = [&*context.built.steps.display().to_string(), "blocked", &mib, &every];
    let mut program: Vec<String> = program.map(str::to_owned).into();
    program.extend([VERSIONS.to_string(), place]);
    let options = ["-n", &n, "--ckpt-every", &steps];
    let events = job::run(&context.built, &options, &directory, &program)?;
    let summary = events.first("summary")?;
    let (captures, copies) = (slowest(summary, "capture_ns")?, slowest(summary, "memcpy_ns")?);
    let mut times = Times::new();
    for (step, durable) in durable(&events)? {
        if step <= WARM * EVERY {
            continue;
        }
        let (Some(capture), Some(copy)) = (captures.get(&step), copies.get(&step)) else {
            continue;
        };
        let all = [("blocking", *capture), ("memcpy", *copy), ("durable", capture + durable)];
        for (name, ns) in all {
            times.entry(name).or_default().push(ns);
        }
    }
    if times.is_empty() {
        return Err("no version of ours is on disk".into());
    }
    Ok(times)
}

/// From commit to publication, by step.
fn durable(events: &Events) -> Result<Vec<(u64, f64)>, Failure> {
    let published = events.of("checkpoint").filter(|event| event["state"] == "published");
    let of = |event| Ok((number(event, "step")? as u64, number(event, "durable_ms")? * 1e6));
    published.map(of).collect()
}

/// What the slowest rank took, by step.
fn slowest(summary: &Value, key: &str) -> Result<BTreeMap<u64, f64>, Failure> {
    let mut slowest = BTreeMap::new();
    for rank in 0..RANKS {
        let text = summary["report"][format!("{key}_{rank}")].as_str().unwrap_or_default();
        for word in text.split(',') {
            let (step, ns) = word.split_once(':').ok_or("a pair without a colon")?;
            let (step, ns): (u64, f64) = (step.parse()?, ns.parse()?);
            let most = slowest.entry(step).or_insert(0.0);
            *most = f64::max(*most, ns);
        }
    }
    Ok(slowest)
}

/// One launch of VELOC.
fn one(veloc: &Veloc) -> Result<Times, Failure> {
    let (disk, memory) = (job::directory(), Path::new("/dev/shm").join(name()));
    let (scratch, persistent) = (memory.join("scratch"), disk.join("persistent"));
    let config = disk.join("veloc.cfg");
    fs::create_dir_all(&scratch)?;
    fs::create_dir_all(&persistent)?;
    let text = format!(
        "scratch = {1}\npersistent = {2}\nmode = async\nlog_prefix = {0}\nmax_versions = 2\nscratch_versions = 2\n",
        disk.display(),
        scratch.display(),
        persistent.display()
    );
    fs::write(&config, text)?;
    let mut command = veloc.command(RANKS as usize);
    command.args(["veloc", &MIB.to_string(), &VERSIONS.to_string()]).arg(&config);
    command.current_dir(&disk);
    let ended = process::run(&mut command, DEADLINE);
    fs::remove_dir_all(&disk)?;
    fs::remove_dir_all(&memory)?;
    let ended = ended?;
    if let Some(failure) = ended.failure {
        return Err(failure.into());
    }
    let mut times = Times::new();
    for name in ["memcpy", "blocking", "written", "restart"] {
        let values = told(&ended.output, name)?;
        let warm = if name == "restart" { 0 } else { WARM as usize };
        times.insert(name, values.into_iter().skip(warm).collect());
    }
    Ok(times)
}

fn name() -> String {
    format!("mainstay-bench-{}", std::process::id())
}

/// The numbers in lines that begin with a name.
///
/// # Errors
/// When there is none.
pub(crate) fn told(output: &str, name: &str) -> Result<Vec<f64>, Failure> {
    let numbers = output.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let numbers: Vec<f64> = numbers.map(str::parse).collect::<Result<_, _>>()?;
    if numbers.is_empty() { Err(format!("it tells no `{name}`").into()) } else { Ok(numbers) }
}

/// As many bytes in files, one for each of so many threads, from the start to the last sync.
fn plain_files() -> Result<f64, Failure> {
    let directory = job::directory();
    fs::create_dir_all(&directory)?;
    let bytes = vec![7_u8; (MIB << 20) as usize];
    let started = Instant::now();
    let write = |i: u64| -> std::io::Result<()> {
        let mut file = File::create(directory.join(format!("plain{i}")))?;
        file.write_all(&bytes)?;
        file.sync_all()
    };
    thread::scope(|scope| {
        let writers: Vec<_> = (0..RANKS).map(|i| scope.spawn(move || write(i))).collect();
        writers.into_iter().try_for_each(|writer| match writer.join() {
            Ok(written) => written.map_err(Failure::from),
            Err(_) => Err("a writer panicked".into()),
        })
    })?;
    File::open(&directory)?.sync_all()?;
    let took = started.elapsed();
    fs::remove_dir_all(&directory)?;
    Ok(took.as_nanos() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_by_name() {
        let output = "memcpy 12\nblocking 7\nmemcpy 13\nmemcpyx 1\n";
        assert_eq!(told(output, "memcpy").unwrap(), [12.0, 13.0]);
        assert!(told(output, "restart").is_err());
        assert!(told("memcpy x", "memcpy").is_err());
    }

    #[test]
    fn the_slowest_rank_counts() {
        let report = |rank: u64| (format!("capture_ns_{rank}"), format!("4:{},8:7", 10 + rank));
        let report: serde_json::Map<String, Value> =
            (0..RANKS).map(report).map(|(key, text)| (key, text.into())).collect();
        let slowest = slowest(&serde_json::json!({"report": report}), "capture_ns").unwrap();
        assert_eq!(slowest, BTreeMap::from([(4, 13.0), (8, 7.0)]));
    }
}
