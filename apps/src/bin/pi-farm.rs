//! `pi-farm`: π by throwing darts, with tasks for whoever asks first.
//!
//! Invariant: exit code 1 for a job that fails, 2 for a bad command line. Deliberately absent: the
//! farm, which is in the library.

use std::process::ExitCode;

use clap::Parser;
use mainstay_apps::command::say;
use mainstay_apps::farm::{self, Plan};

/// Estimates π by throwing darts at a square.
///
/// Rank 0 gives tasks to whoever asks first, so the order in which it adds them up, and with it the
/// last bits of π, differ from run to run. The estimate is right all the same, also through the
/// death of any rank.
#[derive(Parser)]
#[command(name = "pi-farm", version, after_long_help = EXAMPLES)]
struct Arguments {
    /// Rounds; each is a step of the job
    #[arg(long, value_name = "K", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Tasks of a round
    #[arg(long, value_name = "T", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    tasks: u64,
    /// Darts of a task
    #[arg(long, value_name = "D", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    darts: u64,
    /// Seed of all darts
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Add tasks up in the order of their numbers, so that every run ends with the same bits
    #[arg(long)]
    deterministic: bool,
}

const EXAMPLES: &str = "\
Examples:
  mainstay run -n 4 --inject kill:2@step=100 pi-farm
      a worker is killed, and π is right
  mainstay run -n 4 --inject kill:0@step=100 --twin pi-farm --deterministic
      rank 0 is killed, and π has the same bits";

fn main() -> ExitCode {
    let Arguments { rounds, tasks, darts, seed, deterministic } = Arguments::parse();
    let plan = Plan { rounds, tasks, darts, seed, deterministic };
    match mainstay::run(|job| farm::run(job, &plan)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say("pi-farm", &error);
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
