//! Checks of the workspace that belong to no crate: `cargo xtask tidy | docs | golden | campaign |
//! disasters`.
//!
//! Invariant: every check prints what is wrong with place and mend, and the exit code says whether
//! there was anything. Deliberately absent: whatever cargo does already.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command for developers: its output is its purpose"
)]

mod campaign;
mod disasters;
mod docs;
mod golden;
mod scan;
mod tidy;
mod workspace;

use std::process::ExitCode;

/// Why a check could not be made.
type Failure = Box<dyn std::error::Error>;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  tidy                      direction of crates, purity, unsafe, headers, sizes, documents
  docs                      links, options named in documents, blocks marked `sh run` and
                            their outputs
  golden [--write]          compare the golden files of the formats, or write them again
  campaign [--seeds N | --seed S] [--jobs J] [--busy]
                            random faults, every answer compared with a fault-free one
  disasters [--only WORDS] [--all] [--list] [--jobs J] [--json] [--scratch DIR]
                            levels × losses × corruptions × commit steps, all that are generated
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::from(mainstay_types::exit::USAGE)
        }
    }
}

fn run(arguments: &[String]) -> Result<usize, Failure> {
    match arguments.split_first() {
        Some((command, [])) if command == "tidy" => tidy::run(),
        Some((command, [])) if command == "docs" => docs::run(),
        Some((command, rest)) if command == "campaign" => campaign::run(rest),
        Some((command, rest)) if command == "disasters" => disasters::run(rest),
        Some((command, [])) if command == "burn" => Ok(campaign::burn()),
        Some((command, rest)) if command == "golden" => golden::run(rest),
        _ => Err(USAGE.into()),
    }
}
