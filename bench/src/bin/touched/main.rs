//! `touched MIB FIELDS PERMILLE spread|together ROUNDS`: MIB MiB in so many fields, of whose pages so many
//! in a thousand are written before each capture, one byte each: evenly spread, or side by side.
//!
//! Timed are the writes, the same writes to memory that nobody captures, the call that captures, and a plain
//! streaming copy of all the bytes with its checksum: what a capture does that copies everything. All four
//! come from one round. The report has them as lists of `STEP:NANOSECONDS` with commas.
//!
//! Invariant: which pages are written goes on with the rounds, so that none stays the same for ever, and
//! before each time both memories were read once. Deliberately absent: judging which steps were captured.

use std::hint::black_box;
use std::time::{Duration, Instant};

use mainstay::{Error, Fields, Result, State};
use mainstay_ckpt::{Residency, copy_crc};

/// Bytes of a page.
const PAGE: usize = 4096;
/// The launcher gets so long to name the next step to capture. Too short only loses the round.
const TARGET_WITHIN: Duration = Duration::from_millis(30);

struct Touched {
    step: u64,
    parts: Vec<Vec<u8>>,
}

impl State for Touched {
    fn fields(&mut self, f: &mut Fields<'_>) {
        f.value("step", &mut self.step);
        for (i, part) in self.parts.iter_mut().enumerate() {
            f.array(&format!("part{i}"), part);
        }
    }
}

/// Which pages of `all` are written in a round.
fn pages(all: usize, permille: usize, together: bool, round: usize) -> impl Iterator<Item = usize> {
    let count = all * permille / 1000;
    let stride = if together || count == 0 { 1 } else { all / count };
    let first = round * if together { count } else { stride / 2 + 1 };
    (0..count).map(move |i| (first + i * stride) % all)
}

fn write(parts: &mut [Vec<u8>], pages: impl Iterator<Item = usize>, value: u8) -> Duration {
    let each = parts[0].len() / PAGE;
    let started = Instant::now();
    for page in pages {
        parts[page / each][page % each * PAGE + 7] = value;
    }
    started.elapsed()
}

fn read(parts: &[Vec<u8>]) {
    black_box(parts.iter().flatten().fold(0_u8, |sum, byte| sum ^ byte));
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize| {
        let word = words.get(i).ok_or_else(|| Error::msg("a word is missing"))?;
        word.parse::<usize>().map_err(Error::from)
    };
    let (mib, fields, permille, rounds) = (number(0)?, number(1)?, number(2)?, number(4)?);
    let together = words[3] == "together";
    let each = (mib << 20) / fields;
    let all = each / PAGE * fields;
    mainstay::run(|job| {
        let parts = || (0..fields).map(|i| vec![i as u8 + 1; each]).collect::<Vec<_>>();
        let mut touched = job.protect("touched", || Touched { step: 0, parts: parts() })?;
        let (mut other, mut copy) = (parts(), vec![1_u8; each * fields]);
        let mut lists: [Vec<String>; 4] = Default::default();
        for round in 0..rounds {
            touched.step += 1;
            let step = touched.step;
            let chosen = || pages(all, permille, together, round);
            read(&other);
            let plain = write(&mut other, chosen(), step as u8);
            read(&touched.parts);
            let written = write(&mut touched.parts, chosen(), step as u8);
            read(&other);
            read(&touched.parts);
            let started = Instant::now();
            job.checkpoint(&mut touched)?;
            let captured = started.elapsed();
            read(&touched.parts);
            let started = Instant::now();
            for (part, to) in touched.parts.iter().zip(copy.chunks_mut(each)) {
                // As a capture does it: a checksum for each mebibyte.
                for (to, from) in to.chunks_mut(1 << 20).zip(part.chunks(1 << 20)) {
                    black_box(copy_crc(to, from, 0, Residency::Streaming));
                }
            }
            let copied = started.elapsed();
            for (list, took) in lists.iter_mut().zip([plain, written, captured, copied]) {
                list.push(format!("{step}:{}", took.as_nanos()));
            }
            std::thread::sleep(TARGET_WITHIN);
        }
        for (key, list) in ["plain_ns", "written_ns", "captured_ns", "copied_ns"].iter().zip(&lists)
        {
            job.report(key, list.join(","))?;
        }
        job.finish([touched.step])
    })
}
