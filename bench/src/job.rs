//! One run of a program under `mainstay run --json`, and what its events say.
//!
//! Invariant: a run that did not go as asked is an error with its last words, never a number.
//! Deliberately absent: what a suite makes of the events.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::Failure;
use crate::build::Built;

/// The events of a run that succeeded.
pub(crate) struct Events(Vec<Value>);

/// A directory on the disk that holds the build, for one run at a time.
pub(crate) fn directory() -> PathBuf {
    let beside = std::env::current_exe().ok();
    let folder = beside.as_deref().and_then(|exe| exe.parent()).unwrap_or(".".as_ref());
    folder.join(format!("bench-checkpoints-{}", std::process::id()))
}

/// Runs `mainstay run` with these arguments, in a checkpoint directory of its own.
///
/// # Errors
/// A run that fails, and events that cannot be read.
pub(crate) fn run(
    built: &Built,
    options: &[&str],
    directory: &Path,
    program: &[String],
) -> Result<Events, Failure> {
    if directory.exists() {
        std::fs::remove_dir_all(directory)?;
    }
    let output = Command::new(&built.mainstay)
        .args(["run", "--json", "--ckpt-dir"])
        .arg(directory)
        .args(options)
        .args(program)
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("a run ended with {}: {}", output.status, words.trim()).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let events = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    if directory.exists() {
        std::fs::remove_dir_all(directory)?;
    }
    Ok(Events(events))
}

impl Events {
    /// The events of one kind, in order.
    pub(crate) fn of(&self, kind: &'static str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |event| event["event"] == kind)
    }

    /// The first event of a kind.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn first(&self, kind: &'static str) -> Result<&Value, Failure> {
        self.of(kind).next().ok_or_else(|| format!("a run without an event `{kind}`").into())
    }
}

/// A number among an event's keys.
///
/// # Errors
/// When it is missing or null.
pub(crate) fn number(event: &Value, key: &str) -> Result<f64, Failure> {
    event[key].as_f64().ok_or_else(|| format!("no `{key}` in {event}").into())
}
