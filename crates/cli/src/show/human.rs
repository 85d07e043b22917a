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
    commits: Commits,
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
        let (commits, timeline) = (Commits::default(), Timeline::new(n));
        Self { label, quiet, live, left_out, commits, pieces, timeline }
    }

    /// Ends the live display and leaves the screen to the report.
    pub(crate) fn close(&mut self) {
        if let Some(live) = self.live.take() {
            live.close();
        }
    }
}

/// Time between two lines about commits; the live display and the report have the rest.
const COMMITS_EVERY: Duration = Duration::from_secs(1);

/// Commits in memory, of which there may be hundreds in a second.
#[derive(Debug, Default)]
struct Commits {
    shown: Option<Duration>,
    /// Those since then.
    passed_over: u64,
    /// Whether it was told that a version is guarded, since the start and the last loss.
    guarded: bool,
}

/// Whether it is one of these: what somebody asked for, and every other state, has its line.
fn is_commit(event: &Event) -> bool {
    let Event::Checkpoint(checkpoint) = event else { return false };
    checkpoint.state == VersionState::Committed && checkpoint.why == "interval"
}

impl Commits {
    /// Whether there is to be a line of this event; counts it if not.
    fn has_line(&mut self, at: Duration, event: &Event) -> bool {
        let soon = self.shown.is_some_and(|shown| at < shown + COMMITS_EVERY);
        if matches!(event, Event::NodeLost { .. }) {
            self.guarded = false;
        }
        let again =
            matches!(event, Event::Guarded { .. }) && std::mem::replace(&mut self.guarded, true);
        if again {
            return false;
        }
        let passed_over = soon && is_commit(event);
        self.passed_over += u64::from(passed_over);
        !passed_over
    }

    /// The event has its line; what is added to that.
    fn shown(&mut self, at: Duration, event: &Event) -> String {
        if !is_commit(event) {
            return String::new();
        }
        self.shown = Some(at);
        match std::mem::take(&mut self.passed_over) {
            0 => String::new(),
            1 => "; one more since the last line".to_owned(),
            more => format!("; {more} more since the last line"),
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
            && self.commits.has_line(at, event)
            && let Some(before) = self.left_out.may_show()
        {
            let text = text + &self.commits.shown(at, event);
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
        Event::NodeUp { .. }
        | Event::NodeLost { .. }
        | Event::Guarded { .. }
        | Event::Rebuilt { .. } => return of_node(event),
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
                "rank {rank} FAILED after step {step}: {cause}{}{detail}",
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

/// An event of a node as a sentence.
fn of_node(event: &Event) -> Option<String> {
    Some(match event {
        Event::NodeUp { node, pid, ranks } => {
            let (first, last) = (ranks.first().copied(), ranks.last().copied());
            let (first, last) = (first.unwrap_or_default(), last.unwrap_or_default());
            format!("node {node} is up with ranks {first} to {last} (pid {pid})")
        }
        Event::NodeLost { node, why } => {
            format!("node {node} is lost with its ranks and what they had in memory: {why}")
        }
        Event::Guarded { version, level, bytes, took } => format!(
            "version {version} is guarded by {} ({bytes} bytes in {})",
            level.name(),
            duration::format(*took)
        ),
        Event::Rebuilt { node, version, level, bytes, took } => format!(
            "node {node} got its part of version {version} back by {} ({bytes} bytes in {})",
            level.name(),
            duration::format(*took)
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use mainstay_types::event::{Checkpoint, Level};
    use mainstay_types::{Step, Version};

    use super::*;

    #[test]
    fn commits_have_a_line_a_second_that_counts_those_between() {
        let event = |state, why| {
            Event::Checkpoint(Checkpoint {
                version: Version(1),
                step: Step(1),
                level: Level::Memory,
                bytes: 1,
                blocked_max: Duration::ZERO,
                copied: None,
                durable: None,
                drain_cpu: None,
                why,
                archived: false,
                state,
            })
        };
        let commit = event(VersionState::Committed, "interval");
        let mut commits = Commits::default();
        let mut at = |ms, event: &Event| {
            let at = Duration::from_millis(ms);
            commits.has_line(at, event).then(|| commits.shown(at, event))
        };
        assert_eq!(at(100, &commit).as_deref(), Some(""));
        assert_eq!((at(120, &commit), at(140, &commit), at(1099, &commit)), (None, None, None));
        // What somebody asked for, and every other state, has its line.
        for other in
            [event(VersionState::Committed, "signal"), event(VersionState::Void, "interval")]
        {
            assert_eq!(at(1099, &other).as_deref(), Some(""));
        }
        assert_eq!(at(1100, &commit).as_deref(), Some("; 3 more since the last line"));
        assert_eq!(at(2100, &commit).as_deref(), Some(""));
    }
}
