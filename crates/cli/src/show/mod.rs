//! What a person or a program sees of a run: the live display, plain lines, JSON, and the report.
//!
//! Invariants: the report and rank output go to standard output, the display and event lines to
//! standard error; a closed standard output ends the run and is never a panic. Deliberately
//! absent: any influence on the run other than that.

mod human;
mod json;
mod live;
mod pieces;
mod report;
mod timeline;

pub(crate) use human::Human;
pub(crate) use json::Json;
pub(crate) use report::report;
pub(crate) use timeline::Timeline;

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::Duration;

use mainstay_host::supervisor::{Observer, Status};
use mainstay_types::event::Event;

/// An observer that shows nothing, for a fault-free twin.
#[derive(Debug)]
pub(crate) struct Silent;

impl Observer for Silent {
    fn event(&mut self, _at: Duration, _event: &Event) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn status(&mut self, _at: Duration, _status: &Status) {}
}

/// Whether colour is wanted on a stream that may be a terminal.
pub(crate) fn colour(is_terminal: bool) -> bool {
    is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Writes to standard output; `Break` when its reader is gone or it cannot be written.
pub(crate) fn out(bytes: &[u8]) -> ControlFlow<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            if error.kind() != io::ErrorKind::BrokenPipe {
                err(&format!("mainstay: standard output cannot be written: {error}\n"));
            }
            ControlFlow::Break(())
        }
    }
}

/// Writes to standard error; what cannot be shown there cannot be shown at all.
pub(crate) fn err(text: &str) {
    let mut stderr = io::stderr().lock();
    let _nowhere_to_tell = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}
