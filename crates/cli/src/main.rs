//! The `mainstay` command: arguments in, runs and reports out.
//!
//! Invariants: the exit code is the one that `docs/handbook` promises for what happened; with
//! `--json`, also a wrong command line and a fault of our own end with a summary. Deliberately
//! absent: every decision about a run; `control` takes them and `host` acts.

mod args;
mod ckpt;
mod hint;
mod limit;
mod options;
mod quote;
mod run;
mod show;
mod trace;
mod words;

use std::os::fd::AsFd;
use std::process::ExitCode;

use clap::Parser;
use mainstay_types::exit;

fn main() -> ExitCode {
    mainstay_host::supervisor::prepare_process();
    let words = words::joined(std::env::args_os());
    let json = words::wants_json(&words);
    let cli = match args::Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) if json && error.use_stderr() => {
            let text = error.to_string();
            let code = run::refused(json, exit::USAGE, text.trim_end(), None);
            return ExitCode::from(show::finish(code));
        }
        // Help, or a message for people, in colour where there is any.
        Err(error) => error.exit(),
    };
    let code = match cli.command {
        args::Command::Run(options) => run::guarded(&options, run::run),
        args::Command::Trace(options) => trace::draw(&options),
        args::Command::Ckpt(options) => ckpt::run(&options),
        args::Command::Node => node(),
    };
    ExitCode::from(show::finish(code))
}

/// A node's whole life. It is started by a launcher with its line as standard input.
fn node() -> u8 {
    let line = std::io::stdin().as_fd().try_clone_to_owned();
    match line.and_then(mainstay_host::node::serve) {
        Ok(()) => exit::OK,
        Err(error) => {
            show::err(&format!("mainstay node: {error}; a launcher starts it"));
            exit::USAGE
        }
    }
}
