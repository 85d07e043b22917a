//! Lines for people: rank output as it comes, one plain line an event, or the live display.
//!
//! Invariant: lines of ranks are whole and go to the stream they came from. Deliberately absent:
//! the report; see `report`.

use std::io::IsTerminal;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use mainstay_host::supervisor::{Flow, Observer, Status};
use mainstay_types::duration;
use mainstay_types::event::{Event, VersionState};
use mainstay_types::report::one_line;

use super::live::Live;
use super::pieces::Pieces;
use super::{LeftOut, Timeline, place};

/// The observer for people.
#[derive(Debug)]
pub(crate) struct Human {
    label: bool,
    quiet: bool,
    live: Option<Live>,
    left_out: LeftOut,
    pieces: Pieces,
    /// What the report draws at the end.
    pub(crate) timeline: Timeline,
}

impl Human {
    /// A display for `n` ranks; live if standard error is a terminal and `quiet` is off.
    pub(crate) fn new(n: u32, label: bool, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let live = (terminal && !quiet).then(|| Live::new(super::colour(terminal)));
        let (left_out, pieces) = (LeftOut::default(), Pieces::default());
        Self { label, quiet, live, left_out, pieces, timeline: Timeline::new(n) }
    }

    /// Ends the live display and leaves the screen to the report.
    pub(crate) fn close(&mut self) {
        if let Some(live) = self.live.take() {
            live.close();
        }
    }
}

impl Human {
    /// One line, whatever ranks have put into it.
    fn say(&mut self, at: Duration, text: &str) {
        let text = &one_line(text);
        match &mut self.live {
            Some(live) => live.told(at, text),
            None if self.quiet => {}
            None => super::err(&format!("mainstay: {:8.3} s  {text}\n", at.as_secs_f64())),
        }
    }
}

impl Observer for Human {
    fn event(&mut self, at: Duration, event: &Event) {
        self.timeline.event(at, event);
        if let Event::Output { rank, stream, line, partial } = event {
            if let Some(live) = &mut self.live {
                live.clear();
            }
            let bytes = self.pieces.join(self.label, (*rank, *stream), line, *partial);
            super::push(*stream, &bytes);
        } else if let Some(text) = sentence(event)
            && let Some(before) = self.left_out.may_show()
        {
            for text in before.into_iter().chain([text]) {
                self.say(at, &text);
            }
        }
    }

    fn status(&mut self, at: Duration, status: &Status) {
        // What nobody reads need not be drawn anew.
        if let Some(live) = self.live.as_mut().filter(|_| super::is_shown()) {
            live.draw(at, status);
        }
    }

    fn flow(&self) -> Flow {
        super::flow()
    }

    fn flow_changed(&self) -> Option<BorrowedFd<'_>> {
        super::flow_changed()
    }

    fn wants_status(&self) -> bool {
        self.live.is_some()
    }
}

/// An event as a sentence; `None` for what lines of text are too slow for.
fn sentence(event: &Event) -> Option<String> {
    Some(match event {
        Event::Start { job, n, policy, command, directory, .. } => format!(
            "job {job}: {n} ranks of {}, policy {policy}, checkpoints in {directory}",
            command.first().map_or("", String::as_str)
        ),
        Event::RankUp { rank, incarnation, pid } => match incarnation.0 {
            0 => format!("rank {rank} is up (pid {pid})"),
            again => format!("rank {rank} is up again (incarnation {again}, pid {pid})"),
        },
        Event::Checkpoint(c) => match c.state {
            VersionState::Committed => format!(
                "version {} committed in memory: step {}, {} bytes, blocked {}{}",
                c.version,
                c.step,
                c.bytes,
                duration::format(c.blocked_max),
                match c.why {
                    "interval" => String::new(),
                    why => format!(" ({why})"),
                }
            ),
            VersionState::Published => format!(
                "version {} published on disk {} after its commit",
                c.version,
                duration::format(c.durable.unwrap_or_default())
            ),
            VersionState::Void => format!("version {} is void", c.version),
        },
        Event::Failure { rank, step, cause, detect, detail, .. } => {
            let detect = detect.map(|t| format!(", noticed after {}", duration::format(t)));
            let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
            format!(
                "rank {rank} FAILED at step {step}: {cause}{}{detail}",
                detect.unwrap_or_default()
            )
        }
        Event::Epoch { epoch, reason } => format!("epoch {epoch}: {reason}"),
        Event::Restored { rank, version, level, took } => match (version, level) {
            (Some(version), Some(level)) => format!(
                "rank {rank} restored version {version} from {} in {}",
                level.name(),
                duration::format(*took)
            ),
            _ => format!("rank {rank} starts from the beginning"),
        },
        Event::Recovered { epoch, step } => {
            format!("recovered in epoch {epoch}: all ranks are past step {step} again")
        }
        Event::Interval(interval) if interval.is_declared() => return None,
        Event::Interval(interval) => format!(
            "a version {} every {}: {}",
            place(interval.level),
            duration::format(interval.every.unwrap_or_default()),
            interval.text
        ),
        Event::Note { text } => text.clone(),
        Event::Target { .. } | Event::Output { .. } => return None,
    })
}
