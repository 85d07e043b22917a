//! The `mainstay` command: arguments in, runs and reports out.
//!
//! Invariant: the exit code is the one that `docs/handbook` promises for what happened.
//! Deliberately absent: every decision about a run; `control` takes them and `host` acts.

mod args;
mod run;
mod show;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = args::Cli::parse_from(args::joined(std::env::args_os()));
    let args::Command::Run(options) = cli.command;
    ExitCode::from(run::run(&options))
}
