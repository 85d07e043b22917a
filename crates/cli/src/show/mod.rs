//! What a person or a program sees of a run: the live display, plain lines, JSON, and the report.
//!
//! Invariants: the report and rank output go to standard output, the display and event lines to
//! standard error; a closed standard output ends the run and is never a panic; a reader who stalls
//! holds back output of ranks, and nothing else. Deliberately absent: any other influence on the
//! run.

mod advice;
mod human;
mod json;
mod live;
mod pieces;
mod report;
mod sink;
mod timeline;

pub(crate) use human::Human;
pub(crate) use json::Json;
pub(crate) use report::report;
pub(crate) use timeline::Timeline;

use std::os::fd::BorrowedFd;
use std::sync::OnceLock;
use std::time::Duration;

use mainstay_host::supervisor::{Flow, Observer, Status, wanted_signals};
use mainstay_types::event::{Event, Level, Stream};
use mainstay_types::exit;

use self::sink::{Finish, Sink};

/// An observer that shows nothing, for a fault-free twin.
#[derive(Debug)]
pub(crate) struct Silent;

impl Observer for Silent {
    fn event(&mut self, _at: Duration, _event: &Event) {}

    fn status(&mut self, _at: Duration, _status: &Status) {}
}

/// Where versions of a level lie, in a sentence.
fn place(level: Level) -> &'static str {
    match level {
        Level::Memory => "in memory",
        Level::Partner => "at the next node",
        Level::Parity => "in parity",
        Level::Disk => "on disk",
    }
}

/// Whether colour is wanted on a stream that may be a terminal.
pub(crate) fn colour(is_terminal: bool) -> bool {
    is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// This process's streams, which there is one of.
fn sink() -> &'static Sink {
    static SINK: OnceLock<Sink> = OnceLock::new();
    SINK.get_or_init(|| Sink::new(rustix::stdio::stdout(), rustix::stdio::stderr()))
}

/// Shows bytes on the stream that they are for.
fn push(stream: Stream, bytes: &[u8]) {
    sink().push(stream, bytes);
}

/// Whether everything so far was shown.
fn is_shown() -> bool {
    sink().is_empty()
}

/// Shows bytes on standard output.
pub(crate) fn out(bytes: &[u8]) {
    sink().push(Stream::Stdout, bytes);
}

/// Shows text on standard error.
pub(crate) fn err(text: &str) {
    sink().push(Stream::Stderr, text.as_bytes());
}

/// Whether output of ranks is to be taken.
pub(crate) fn flow() -> Flow {
    sink().flow()
}

/// Readable when [`flow`] may have changed.
pub(crate) fn flow_changed() -> Option<BorrowedFd<'static>> {
    sink().changed()
}

/// Event lines that were left out because nobody read those before them.
#[derive(Debug, Default)]
struct LeftOut(u64);

impl LeftOut {
    /// Whether there is room for an event line, and what to say before it.
    fn may_show(&mut self) -> Option<Option<String>> {
        if !sink().has_room() {
            self.0 += 1;
            return None;
        }
        Some(self.told())
    }

    /// How many were left out since this was last asked.
    fn told(&mut self) -> Option<String> {
        let count = std::mem::take(&mut self.0);
        (count > 0).then(|| format!("{count} events are left out here: nobody read them in time"))
    }
}

/// How long a run that was ended by a signal waits for its last lines to be read.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Waits until all is shown; gives the exit code, which is `code` unless something comes between.
///
/// Nothing of a job is left by then, so a slow reader has all the time it wants; a signal ends the
/// wait.
pub(crate) fn finish(code: u8) -> u8 {
    let asked = wanted_signals().any(|signal| exit::of_signal(signal) == code);
    match sink().finish(asked.then_some(LAST_LINES)) {
        Finish::Written | Finish::Late => code,
        Finish::Closed => exit::STDOUT_CLOSED,
        Finish::Signal(signal) => exit::of_signal(signal),
    }
}
