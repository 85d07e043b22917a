//! The program of the suite `recovery`: ranks that hold much state and change some of it.
//!
//! Every rank loads its own input, fills its array in the first step, and then takes short steps
//! that a sum over all ranks keeps together. After a recovery, once the lost steps are done again,
//! it times a plain `memcpy` of as many bytes under the conditions of the restore: all ranks at the
//! same time, a survivor from a resident shared mapping into resident memory, a new incarnation
//! into fresh pages. The times go into the report, as `memcpy_ns_RANK`.
//!
//! Invariant: until then it holds nothing large but its state, so that what is measured of a death
//! is that of a rank with so much state. Deliberately absent: faults; `--inject` makes them.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mainstay::{Error, Job, Op, Result};
use measured::held::Held;
use measured::mapping::Mapping;

/// Words of the array that a step changes.
const STRIPE_WORDS: usize = 1 << 15;
/// Times that the copy is repeated.
const ROUNDS: usize = 3;
/// The disk gets so long to take a version.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(120);

/// What the command line says, all of it needed: MIB OTHERS_MIB VICTIM KERNEL_MS COMMIT KILL STEPS
/// DIRECTORY.
struct Arguments {
    /// State of the rank that is killed, in MiB, and of each other rank.
    mib: (u64, u64),
    victim: u64,
    /// Computing without a call, in each step after the commit.
    kernel: Duration,
    /// The step at which the version is captured, that of the kill, and the last.
    steps: (u64, u64, u64),
    /// Where the version is published; the steps go on only then. `-` does not wait.
    directory: PathBuf,
}

fn main() -> ExitCode {
    let outcome =
        Arguments::read().and_then(|arguments| mainstay::run(|job| enter(job, &arguments)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stderr, reason = "the program's own messages")]
fn say(error: &Error) {
    eprintln!("held: {error}");
}

impl Arguments {
    fn read() -> Result<Self> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let [mib, others, victim, kernel_ms, commit, kill, last, directory] = words.as_slice()
        else {
            return Err(Error::msg(
                "give MIB OTHERS_MIB VICTIM KERNEL_MS COMMIT KILL STEPS DIRECTORY",
            ));
        };
        Ok(Self {
            mib: (mib.parse()?, others.parse()?),
            victim: victim.parse()?,
            kernel: Duration::from_millis(kernel_ms.parse()?),
            steps: (commit.parse()?, kill.parse()?, last.parse()?),
            directory: directory.into(),
        })
    }

    fn words(&self, rank: usize) -> usize {
        let mib = if rank as u64 == self.victim { self.mib.0 } else { self.mib.1 };
        usize::try_from(mib << 17).unwrap_or(usize::MAX)
    }
}

/// One entry of the job.
fn enter(job: &Job, arguments: &Arguments) -> Result<()> {
    let (commit, kill, last) = arguments.steps;
    let world = job.world();
    let recovered = job.restored_version().is_some();
    let input = load(job.rank());
    // Zeros that no page holds yet: the first step, or the restore, makes the state resident.
    let mut held =
        job.protect("held", || Held { step: 0, words: vec![0; arguments.words(job.rank())] })?;
    while held.step < last {
        let mut sum = [change(&mut held, &input)];
        if held.step >= commit {
            compute(arguments.kernel);
        }
        world.allreduce(&mut sum, Op::Sum)?;
        held.words[0] ^= sum[0];
        held.step += 1;
        job.checkpoint(&mut held)?;
        if held.step == commit {
            await_published(job, &arguments.directory)?;
            world.barrier()?;
        }
        if held.step == kill + 1 && recovered {
            let bytes = held.words.len() * 8;
            let times = time_copies(&world, bytes, survived())?;
            job.report(&format!("memcpy_ns_{}", job.rank()), times)?;
        }
    }
    job.finish(&held.words[..1])
}

/// Whether this process has lived since the job's start. The first incarnation has.
fn survived() -> bool {
    std::env::var("MAINSTAY_INCARNATION").is_ok_and(|number| number == "0")
}

/// The input, which each incarnation loads itself.
fn load(rank: usize) -> Vec<u64> {
    let mut word = rank as u64 + 1;
    (0..STRIPE_WORDS)
        .map(|_| {
            word = word.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) ^ 0x5555;
            word
        })
        .collect()
}

/// Changes all words in the first step, then a stripe of them.
fn change(held: &mut Held, input: &[u64]) -> u64 {
    let stripes = (held.words.len() / STRIPE_WORDS).max(1);
    let first = usize::try_from(held.step).unwrap_or(0) % stripes;
    let count = if held.step == 0 { stripes } else { 1 };
    let (step, mut sum) = (held.step, 0_u64);
    for stripe in held.words.chunks_mut(STRIPE_WORDS).skip(first).take(count) {
        for (word, input) in stripe.iter_mut().zip(input) {
            *word = (*word ^ input).wrapping_add(step);
            sum = sum.wrapping_add(*word);
        }
    }
    sum
}

/// Computes for this long without a call.
fn compute(time: Duration) {
    let start = Instant::now();
    let mut number = 1_u64;
    while start.elapsed() < time {
        number = (0..100).fold(number, |number, k| black_box(number.wrapping_mul(31) ^ k));
    }
    black_box(number);
}

/// Waits until the version is on disk, so that nothing is written during what is measured.
fn await_published(job: &Job, directory: &Path) -> Result<()> {
    let started = Instant::now();
    if job.rank() != 0 || directory == Path::new("-") {
        return Ok(());
    }
    while started.elapsed() < PUBLISHED_WITHIN {
        for entry in std::fs::read_dir(directory)? {
            if entry?.path().extension().is_some_and(|end| end == "manifest") {
                return Ok(());
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Err(Error::msg("no version was published in time"))
}

/// The nanoseconds of each round of a plain copy, with commas between.
fn time_copies(world: &mainstay::Comm, bytes: usize, survivor: bool) -> Result<String> {
    let source = Mapping::filled(bytes)?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let mut target = if survivor { vec![1_u8; bytes] } else { vec![0_u8; bytes] };
        world.barrier()?;
        let started = Instant::now();
        source.read(0, &mut target);
        let took = started.elapsed();
        black_box(&target);
        times.push(took.as_nanos().to_string());
        world.barrier()?;
    }
    Ok(times.join(","))
}
