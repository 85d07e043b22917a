//! What a plain write takes from those who compute beside it: no checkpoint on disk can cost less.
//!
//! Threads on all cores add up numbers for a while and meet after each round, as ranks do that exchange
//! messages; alternately alone and beside one thread that writes a file past the page cache, in large
//! pieces, and syncs it. On a virtual machine much of that is time that the host takes for the device,
//! which no accounting of processes shows, and what it takes from one core all wait for.
//!
//! Invariant: both sides run equally long, and each goes first in every second pair. Deliberately absent:
//! Mainstay.

use std::fs::{self, OpenOptions};
use std::hint::black_box;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use crate::Failure;
use crate::peers::cores;
use crate::report::Section;

/// How long a side computes: longer than the write takes.
const WHILE: Duration = Duration::from_secs(3);
/// Numbers that a thread adds up, over and over: more than its caches hold.
const NUMBERS: usize = 1 << 20;
/// Bytes of one write, and what its place in memory is a multiple of.
const PIECE_BYTES: usize = 4 << 20;
const ALIGNMENT: usize = 4096;

/// What a write of so many bytes takes, in pairs; its share of the time if there is one in so long.
///
/// # Errors
/// What the file system says, and a write that takes too long to tell.
pub(crate) fn measure(
    directory: &Path,
    bytes: u64,
    every: Duration,
    pairs: usize,
) -> Result<Section, Failure> {
    let path = directory.join("plain");
    let mut shares = Vec::new();
    for pair in 0..pairs {
        let beside = |writes: bool| work(writes.then_some((path.as_path(), bytes)));
        let (with, without) = if pair % 2 == 0 {
            (beside(true)?, beside(false)?)
        } else {
            let without = beside(false)?;
            (beside(true)?, without)
        };
        let share = (1.0 - with / without) * WHILE.as_secs_f64() / every.as_secs_f64();
        eprintln!(
            "bench: a plain write, pair {} of {pairs}: {:.2} % of the time",
            pair + 1,
            share * 1e2
        );
        shares.push(share);
    }
    fs::remove_file(&path)?;
    let mib = bytes >> 20;
    let mut section =
        Section::new(format!("a plain write of {mib} MiB each {} s beside it", every.as_secs()));
    let of_all = every.as_secs_f64() * 1e3;
    section.add("time it takes of all cores: ms", shares.iter().map(|share| share * of_all));
    section.add("beside it / alone, at least", shares.iter().map(|share| 1.0 + share));
    Ok(section)
}

/// How much is added up on all cores meanwhile.
fn work(write: Option<(&Path, u64)>) -> Result<f64, Failure> {
    let (rounds, over): (Vec<_>, _) =
        ((0..cores()).map(|_| AtomicU64::new(0)).collect(), AtomicBool::new(false));
    thread::scope(|scope| {
        let (rounds, over) = (&rounds, &over);
        let adders: Vec<_> =
            rounds.iter().map(|mine| scope.spawn(|| add(mine, rounds, over))).collect();
        let until = Instant::now() + WHILE;
        let written = write.map_or(Ok(()), |(path, bytes)| plain(path, bytes));
        let late = Instant::now() >= until;
        thread::sleep(until.saturating_duration_since(Instant::now()));
        over.store(true, Ordering::Relaxed);
        let ended: Result<Vec<()>, _> =
            adders.into_iter().map(thread::ScopedJoinHandle::join).collect();
        ended.map_err(|_| "a thread that adds numbers ended")?;
        written?;
        if late {
            return Err(format!("a plain write takes longer than {} s", WHILE.as_secs()).into());
        }
        Ok(rounds.iter().map(|rounds| rounds.load(Ordering::Relaxed)).sum::<u64>() as f64)
    })
}

/// Adds up numbers, round by round, no round ahead of any other thread, until it is over.
fn add(mine: &AtomicU64, all: &[AtomicU64], over: &AtomicBool) {
    let numbers = vec![1.0_f64; NUMBERS];
    while !over.load(Ordering::Relaxed) {
        black_box(black_box(&numbers).iter().sum::<f64>());
        let round = mine.fetch_add(1, Ordering::Relaxed) + 1;
        let behind = |other: &AtomicU64| other.load(Ordering::Relaxed) < round;
        while all.iter().any(behind) && !over.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    }
}

/// Writes a new file past the page cache where the file system can, and syncs it.
fn plain(path: &Path, bytes: u64) -> Result<(), Failure> {
    let open = |flags: OFlags| {
        let flags = flags.bits().cast_signed();
        OpenOptions::new().write(true).create(true).truncate(true).custom_flags(flags).open(path)
    };
    let mut file = open(OFlags::DIRECT).or_else(|_| open(OFlags::empty()))?;
    let room = vec![1_u8; PIECE_BYTES + ALIGNMENT];
    let aligned = &room[room.as_ptr().align_offset(ALIGNMENT)..][..PIECE_BYTES];
    for _ in 0..bytes.div_ceil(PIECE_BYTES as u64) {
        file.write_all(aligned)?;
    }
    Ok(file.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_write_leaves_the_bytes_and_work_is_counted() {
        let path = std::env::temp_dir().join(format!("bench-plain-{}", std::process::id()));
        plain(&path, PIECE_BYTES as u64 + 1).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 2 * PIECE_BYTES as u64);
        fs::remove_file(&path).unwrap();
        assert!(plain(Path::new("/no/such/place"), 1).is_err());
        let (rounds, over) = ([AtomicU64::new(0), AtomicU64::new(0)], AtomicBool::new(false));
        let seen = |rounds: &AtomicU64| rounds.load(Ordering::Relaxed);
        thread::scope(|scope| {
            for mine in &rounds {
                scope.spawn(|| add(mine, &rounds, &over));
            }
            while rounds.iter().any(|rounds| seen(rounds) < 3) {
                thread::yield_now();
            }
            over.store(true, Ordering::Relaxed);
        });
        assert!(seen(&rounds[0]).abs_diff(seen(&rounds[1])) <= 1);
    }
}
