//! `mainstay ckpt`: what lies in a checkpoint directory, for people and for programs.
//!
//! Invariants: a command that reads shows what can be had of a directory, whatever is wrong with it;
//! with `--json`, standard output holds objects alone, an error among them; nothing of a file is
//! shown that could act on a terminal. Deliberately absent: every judgement of a version, which is
//! `ckpt::catalogue`'s, and reading, which is `host::archive`'s.

pub(crate) mod args;
mod diff;
mod extract;
mod import;
mod json;
mod ls;
mod progress;
mod prune;
mod repair;
mod scrub;
mod show;
pub(crate) mod table;
mod verify;

use mainstay_host::archive::ArchiveError;
use mainstay_host::supervisor::Flow;
use mainstay_types::exit;
use mainstay_types::report::one_line;
use rustix::event::{PollFd, PollFlags, poll};
use serde_json::{Value, json};

use crate::show as streams;

/// Runs a command and gives its exit code.
pub(crate) fn run(options: &args::Ckpt) -> u8 {
    let (json, done) = match &options.command {
        args::Command::Ls(ls) => (ls.json, ls::run(ls)),
        args::Command::Show(show) => (show.json, show::run(show)),
        args::Command::Verify(verify) => (verify.json, verify::run(verify)),
        args::Command::Diff(diff) => (diff.json, diff::run(diff)),
        args::Command::Extract(extract) => (extract.json, extract::run(extract)),
        args::Command::Repair(repair) => (repair.json, repair::run(repair)),
        args::Command::Scrub(scrub) => (scrub.json, scrub::run(scrub)),
        args::Command::Prune(prune) => (prune.json, prune::run(prune)),
        args::Command::Import(args::Import::Veloc(veloc)) => (veloc.json, import::run(veloc)),
    };
    done.unwrap_or_else(|error| {
        let (code, why) = (error.code(), error.to_string());
        if json {
            object("error", json!({"exit": code, "text": why}));
        } else {
            streams::err(&format!("mainstay: {}\n", one_line(&why)));
        }
        code
    })
}

/// How a command ended: its exit code.
type Done = Result<u8, ArchiveError>;

/// The exit code of a finding.
fn code(is_good: bool) -> u8 {
    if is_good { exit::OK } else { exit::DATA }
}

/// Shows text, and waits while its reader stalls, so that what is shown need not be held.
fn say(text: &str) {
    while streams::flow() == Flow::Held {
        let Some(changed) = streams::flow_changed() else { break };
        let _interrupted = poll(&mut [PollFd::new(&changed, PollFlags::IN)], None);
    }
    streams::out(text.as_bytes());
}

/// Shows a line for people, whatever stands in it.
fn line(text: &str) {
    say(&format!("{}\n", one_line(text)));
}

/// Shows an object of `--json`.
fn object(kind: &str, mut body: Value) {
    if let Value::Object(keys) = &mut body {
        keys.insert("kind".to_owned(), kind.into());
        keys.insert("v".to_owned(), 1.into());
    }
    say(&format!("{body}\n"));
}
