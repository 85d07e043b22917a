//! `probe`: a program that misbehaves on purpose, in the way that its first argument names.
//!
//! Invariants: one mode, one fault; exit code 1 for an error that `run` returns, 2 for a bad command
//! line. Deliberately absent: the modes themselves, which are in the library.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use mainstay::Job;
use mainstay_apps::command::say;
use mainstay_apps::probe::contract::{self, Offspring};
use mainstay_apps::probe::crash::{self, Place};
use mainstay_apps::probe::load::{self, Load};
use mainstay_apps::probe::spread::{self, Wrong};
use mainstay_apps::probe::still::{self, Still};
use mainstay_apps::probe::wait::Stuck;
use mainstay_apps::probe::{
    agree, calls, communicators, input, moves, pipeline, random, wait, wrong,
};

/// A parallel program that misbehaves on purpose.
///
/// Every mode does the same work, steps that exchange messages and change a protected array, until
/// the moment of its fault. Without a mode it does the work without a fault, 200 steps of half a
/// millisecond.
#[derive(Parser)]
#[command(name = "probe", version)]
struct Arguments {
    #[command(subcommand)]
    mode: Option<Mode>,
}

#[derive(Args, Clone, Copy)]
struct Size {
    /// Bytes of protected state on each rank
    #[arg(long, value_name = "B", default_value_t = 65_536)]
    bytes: usize,
    /// Computing in each step, in microseconds, beside the real work
    #[arg(long, value_name = "U", default_value_t = 0)]
    spin_us: u64,
}

impl Size {
    fn load(self, steps: u64) -> Load {
        Load { steps, bytes: self.bytes, spin: Duration::from_micros(self.spin_us) }
    }
}

#[derive(Args, Clone, Copy)]
struct Work {
    /// Steps of the job
    #[arg(long, value_name = "K", default_value_t = 100)]
    steps: u64,
    #[command(flatten)]
    size: Size,
}

impl From<Work> for Load {
    fn from(work: Work) -> Self {
        work.size.load(work.steps)
    }
}

#[derive(Args, Clone)]
struct At {
    /// The step, from 1, after whose messages the rank fails
    step: u64,
    /// The rank that fails
    rank: usize,
    /// Fail only if this file is not there, and make it
    #[arg(long, value_name = "FILE")]
    once: Option<PathBuf>,
}

impl From<&At> for Place {
    fn from(at: &At) -> Self {
        Self { step: at.step, rank: at.rank, once: at.once.clone() }
    }
}

#[derive(Subcommand)]
enum Mode {
    /// K steps without a fault
    Steps {
        /// Steps of the job
        steps: u64,
        #[command(flatten)]
        size: Size,
    },
    /// One rank panics in a step
    PanicAt {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        work: Work,
    },
    /// One rank calls exit in a step
    ExitAt {
        #[command(flatten)]
        at: At,
        /// The exit code, 0 also
        code: u8,
        #[command(flatten)]
        work: Work,
    },
    /// Returns Ok half-way, without finish
    Early(Work),
    /// Takes an interruption for the end and returns Ok
    Swallow(Work),
    /// Protects nothing, and ticks
    Unprotected(Work),
    /// The last rank completes one step more than the others
    Unequal(Work),
    /// Counts twenty steps before it has protected state
    TickFirst(Work),
    /// Starts a receive before it has protected state, and has it outstanding then
    Crosses(Work),
    /// Holds a value whose Drop communicates
    DropComm(Work),
    /// Starts a process in the first step and leaves it
    Fork {
        /// Leave one whose parent is gone already
        #[arg(long)]
        grandchild: bool,
        #[command(flatten)]
        work: Work,
    },
    /// Changes one bit of restored state
    Flip {
        /// The rank that does
        #[arg(long, value_name = "R", default_value_t = 0)]
        rank: usize,
        #[command(flatten)]
        work: Work,
    },
    /// After half of the work every rank waits for another, and none sends what it waits for
    Deadlock {
        /// In which call
        #[arg(value_name = "CALL", value_enum, default_value_t = Stuck::Receive)]
        stuck: Stuck,
        #[command(flatten)]
        work: Work,
    },
    /// Messages that cross every cut: late ones and early ones
    Pipeline(Work),
    /// Every step has two agreements, and each rank says how they ended
    Agree(Work),
    /// All other calls, in every step
    Calls(Work),
    /// Collectives of several communicators, blocking and not, on both sides of every cut
    Communicators(Work),
    /// Every step draws random numbers
    Random(Work),
    /// An array dealt out to all ranks, which another number of them can go on with
    Spread {
        /// Rows of the array
        #[arg(long, value_name = "ROWS", default_value_t = 100)]
        rows: u64,
        /// Behind this step a message of each rank crosses every checkpoint
        #[arg(long, value_name = "K")]
        late_from: Option<u64>,
        /// Say something wrong of a field
        #[arg(long, value_enum)]
        wrong: Option<Wrong>,
        #[command(flatten)]
        work: Work,
    },
    /// Computes for long between two calls, in every tenth step
    LongKernel {
        /// For how long, in milliseconds
        ms: u64,
        #[command(flatten)]
        work: Work,
    },
    /// The answer depends on the time of day
    Nondet(Work),
    /// The ranks exchange the time of day after the last step
    NondetEnd(Work),
    /// Keeps state of which most never changes, beside a smooth field
    Still {
        /// Bytes on each rank that never change
        #[arg(value_name = "BYTES")]
        bytes: usize,
        /// Numbers on each rank that change in each step
        #[arg(long, value_name = "N", default_value_t = 20_000)]
        numbers: usize,
        /// How far the numbers may be, on disk, from what they are
        #[arg(long, value_name = "B")]
        bound: Option<f64>,
        /// Steps of the job
        #[arg(long, value_name = "K", default_value_t = 100)]
        steps: u64,
        /// Computing in each step, in microseconds, beside the real work
        #[arg(long, value_name = "U", default_value_t = 0)]
        spin_us: u64,
    },
    /// Writes and moves its state in every way there is
    Moves(Work),
    /// Has the job keep an input of this size
    BigInput {
        /// Its bytes
        #[arg(value_name = "BYTES")]
        input_bytes: usize,
        #[command(flatten)]
        work: Work,
    },
    /// Has the job keep what comes from standard input
    Stdin {
        /// Have rank 0 wait for ever before it asks for the input
        #[arg(long)]
        skips: bool,
    },
}

fn main() -> ExitCode {
    let size = Size { bytes: 65_536, spin_us: 500 };
    let mode = Arguments::parse().mode.unwrap_or(Mode::Steps { steps: 200, size });
    match mainstay::run(|job| enter(job, &mode)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say("probe", &error);
            ExitCode::FAILURE
        }
    }
}

/// One entry of the job.
fn enter(job: &Job, mode: &Mode) -> mainstay::Result<()> {
    match mode {
        Mode::Steps { steps, size } => load::steps(job, size.load(*steps)),
        Mode::PanicAt { at, work } => crash::panic_at(job, (*work).into(), &at.into()),
        Mode::ExitAt { at, code, work } => {
            crash::exit_at(job, (*work).into(), &at.into(), i32::from(*code))
        }
        Mode::Early(work) => contract::early(job, (*work).into()),
        Mode::Swallow(work) => contract::swallow(job, (*work).into()),
        Mode::Unprotected(work) => contract::unprotected(job, (*work).into()),
        Mode::Unequal(work) => contract::unequal(job, (*work).into()),
        Mode::TickFirst(work) => contract::tick_first(job, (*work).into()),
        Mode::Crosses(work) => contract::crosses(job, (*work).into()),
        Mode::DropComm(work) => contract::drop_comm(job, (*work).into()),
        Mode::Fork { grandchild: true, work } => {
            contract::fork(job, (*work).into(), Offspring::Grandchild)
        }
        Mode::Fork { work, .. } => contract::fork(job, (*work).into(), Offspring::Child),
        Mode::Flip { rank, work } => wrong::flip(job, (*work).into(), *rank),
        Mode::Deadlock { stuck, work } => wait::deadlock(job, (*work).into(), *stuck),
        Mode::Pipeline(work) => pipeline::pipeline(job, (*work).into()),
        Mode::Agree(work) => agree::agree(job, (*work).into()),
        Mode::Calls(work) => calls::calls(job, (*work).into()),
        Mode::Communicators(work) => communicators::communicators(job, (*work).into()),
        Mode::Random(work) => random::random(job, (*work).into()),
        Mode::Spread { rows, late_from, wrong, work } => {
            spread::spread(job, (*work).into(), *rows, *late_from, *wrong)
        }
        Mode::Still { bytes, numbers, bound, steps, spin_us } => {
            let spin = Duration::from_micros(*spin_us);
            let (bytes, numbers, bound, steps) = (*bytes, *numbers, *bound, *steps);
            still::still(job, Still { steps, bytes, numbers, bound, spin })
        }
        Mode::Moves(work) => moves::moves(job, (*work).into()),
        Mode::LongKernel { ms, work } => {
            wait::long_kernel(job, (*work).into(), Duration::from_millis(*ms))
        }
        Mode::Nondet(work) => wrong::nondet(job, (*work).into()),
        Mode::NondetEnd(work) => wrong::nondet_end(job, (*work).into()),
        Mode::BigInput { input_bytes, work } => input::big_input(job, (*work).into(), *input_bytes),
        Mode::Stdin { skips } => input::stdin(job, *skips),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
        let line = "probe exit-at 5 1 3 --once m --steps 9 --bytes 80 --spin-us 2";
        let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
        let Some(Mode::ExitAt { at, code, work }) = arguments.mode else { panic!("another mode") };
        assert_eq!((at.step, at.rank, code), (5, 1, 3));
        let load = Load::from(work);
        assert_eq!((load.steps, load.bytes, load.spin), (9, 80, Duration::from_micros(2)));
    }
}
