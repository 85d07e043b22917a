//! The program of the suite `checkpoint`: what a step costs, with and without a capture.
//!
//! `idle ROUNDS CALLS` times calls of `checkpoint` when no version is due, against a loop with one
//! atomic load a turn and against an empty loop. `blocked MIB EVERY ROUNDS DIRECTORY` times the call
//! that captures MIB of state, against a plain copy of the same bytes into resident memory. `guarded MIB
//! ROUNDS PAUSE_MS` is the program of the suite `nodes`: it sleeps behind each step, and times plain copies.
//! What is compared alternates within a round, so that whatever else the machine does meets both. The times go into
//! the report, as lists with commas.
//!
//! Invariant: before each of the two that are compared, the state is read once and all ranks meet,
//! so that caches and neighbours are the same for both. Deliberately absent: judging which steps
//! were captured; the suite asks the events.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mainstay::{Comm, Error, Job, Protected, Result};
use measured::held::Held;

/// The disk gets so long to take a version; then the round goes on without.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(20);
/// So many versions stay on disk.
const KEPT: usize = 2;
/// The launcher gets so long to name the next step to capture. Too short only loses the round.
const TARGET_WITHIN: Duration = Duration::from_millis(30);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match mainstay::run(|job| enter(job, &words)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stderr, reason = "the program's own messages")]
fn say(error: &Error) {
    eprintln!("steps: {error}");
}

fn enter(job: &Job, words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["idle", rounds, calls] => idle(job, rounds.parse()?, calls.parse()?)?,
        ["blocked", mib, every, rounds, directory] => {
            let words = usize::try_from(mib.parse::<u64>()? << 17).unwrap_or(usize::MAX);
            blocked(job, words, (every.parse()?, rounds.parse()?), Path::new(directory))?;
        }
        ["guarded", mib, rounds, pause_ms] => {
            let words = usize::try_from(mib.parse::<u64>()? << 17).unwrap_or(usize::MAX);
            let pause = Duration::from_millis(pause_ms.parse()?);
            guarded(job, words, rounds.parse()?, pause)?;
        }
        _ => {
            return Err(Error::msg(
                "give idle ROUNDS CALLS, blocked MIB EVERY ROUNDS DIRECTORY or guarded MIB ROUNDS \
                 PAUSE_MS",
            ));
        }
    }
    job.finish([0_u64; 1])
}

/// Picoseconds a call, so that whole numbers are enough.
fn idle(job: &Job, rounds: usize, calls: u32) -> Result<()> {
    let mut held = job.protect("held", || Held { step: 0, words: vec![0; 1 << 10] })?;
    let word = AtomicU64::new(1);
    let (mut call, mut load, mut empty) = (Vec::new(), Vec::new(), Vec::new());
    // The first step makes the arenas; the rest of the first round warms up.
    for round in 0..=rounds {
        let started = Instant::now();
        for _ in 0..calls {
            job.checkpoint(&mut held)?;
        }
        let called = started.elapsed();
        let started = Instant::now();
        for _ in 0..calls {
            black_box(black_box(&word).load(Ordering::Acquire));
        }
        let loaded = started.elapsed();
        let started = Instant::now();
        for turn in 0..calls {
            black_box(turn);
        }
        let turned = started.elapsed();
        if round > 0 {
            let each = |time: Duration| (time.as_nanos() * 1000 / u128::from(calls)).to_string();
            call.push(each(called));
            load.push(each(loaded));
            empty.push(each(turned));
        }
    }
    let rank = job.rank();
    job.report(&format!("call_ps_{rank}"), call.join(","))?;
    job.report(&format!("load_ps_{rank}"), load.join(","))?;
    job.report(&format!("empty_ps_{rank}"), empty.join(","))
}

fn blocked(job: &Job, words: usize, (every, rounds): (u64, u64), directory: &Path) -> Result<()> {
    let world = job.world();
    let mut held = job.protect("held", || Held { step: 0, words: vec![1; words] })?;
    let mut copy = vec![2_u64; words];
    let (mut capture, mut memcpy) = (Vec::new(), Vec::new());
    let mut newest = None;
    while held.step < every * rounds {
        held.step += 1;
        let step = held.step;
        if step % every != 0 {
            job.checkpoint(&mut held)?;
            continue;
        }
        let took = timed(&world, &mut held, |held| job.checkpoint(held))?;
        let copied = timed(&world, &mut held, |held| {
            copy.copy_from_slice(&held.words);
            black_box(&copy);
            Ok(())
        })?;
        capture.push(format!("{step}:{}", took.as_nanos()));
        memcpy.push(format!("{step}:{}", copied.as_nanos()));
        if job.rank() == 0 {
            await_published(directory, &mut newest)?;
        }
        world.barrier()?;
    }
    let rank = job.rank();
    job.report(&format!("capture_ns_{rank}"), capture.join(","))?;
    job.report(&format!("memcpy_ns_{rank}"), memcpy.join(","))
}

/// Ranks that sleep behind each version, so that nodes have the processors to themselves.
fn guarded(job: &Job, words: usize, rounds: u64, pause: Duration) -> Result<()> {
    let world = job.world();
    let mut held = job.protect("held", || Held { step: 0, words: vec![1; words] })?;
    let mut copy = vec![2_u64; words];
    let mut memcpy = Vec::new();
    while held.step < rounds {
        held.step += 1;
        let step = held.step;
        held.words.fill(step);
        let copied = timed(&world, &mut held, |held| {
            copy.copy_from_slice(&held.words);
            black_box(&copy);
            Ok(())
        })?;
        memcpy.push(copied.as_nanos().to_string());
        job.checkpoint(&mut held)?;
        std::thread::sleep(pause);
    }
    job.report(&format!("memcpy_ns_{}", job.rank()), memcpy.join(","))
}

/// How long `what` takes once the state was read and all ranks are here.
fn timed(
    world: &Comm,
    held: &mut Protected<Held>,
    what: impl FnOnce(&mut Protected<Held>) -> Result<()>,
) -> Result<Duration> {
    black_box(held.words.iter().fold(0_u64, |sum, word| sum.wrapping_add(*word)));
    world.barrier()?;
    let started = Instant::now();
    what(held)?;
    Ok(started.elapsed())
}

/// Waits until a version newer than `newest` is on disk and what it makes superfluous is gone, so that
/// nothing is written or removed during what is measured next, and until the launcher has named the next
/// step.
fn await_published(directory: &Path, newest: &mut Option<String>) -> Result<()> {
    let started = Instant::now();
    while started.elapsed() < PUBLISHED_WITHIN {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        let version = |name: &String| name.split_once('.').map(|(version, _)| version.to_owned());
        let versions: BTreeSet<String> = names.iter().filter_map(version).collect();
        let now = names.into_iter().filter(|name| name.ends_with(".manifest")).max();
        if now > *newest && versions.len() <= KEPT {
            *newest = now;
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    std::thread::sleep(TARGET_WITHIN);
    Ok(())
}
