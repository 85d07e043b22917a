//! The program of the suite `start`: nothing but what every program does.
//!
//! Deliberately absent: work.

use std::process::ExitCode;

fn main() -> ExitCode {
    match mainstay::run(|job| job.finish([0_u8; 0])) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
