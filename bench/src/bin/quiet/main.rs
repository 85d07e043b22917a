//! The program of the suite `idle`: ranks with nothing to do.
//!
//! `quiet waiting FILE`: rank 0 sleeps outside calls, all others wait for it in a barrier. `quiet
//! outside FILE`: all sleep outside calls, as in long kernels. Rank 0 makes FILE once all are there;
//! the program ends when it is gone.
//!
//! Invariant: it ends in any case, after [`LONGEST`]. Deliberately absent: computing, which on a few
//! cores would only show who gets them.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mainstay::{Error, Job, Result};

/// However long the file stays.
const LONGEST: Duration = Duration::from_secs(300);
/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

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
    eprintln!("quiet: {error}");
}

fn enter(job: &Job, words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (["waiting", file] | ["outside", file]) = words[..] else {
        return Err(Error::msg("give waiting FILE or outside FILE"));
    };
    let (world, first) = (job.world(), job.rank() == 0);
    world.barrier()?;
    if first {
        std::fs::write(file, "")?;
    }
    // All see the file before anybody misses it.
    world.barrier()?;
    if first || words[0] == "outside" {
        sleep_while(Path::new(file));
    }
    world.barrier()?;
    job.finish([0_u8; 0])
}

fn sleep_while(file: &Path) {
    let started = Instant::now();
    while file.exists() && started.elapsed() < LONGEST {
        std::thread::sleep(LOOK_EVERY);
    }
}
