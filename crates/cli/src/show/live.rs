//! The live display: a few lines at the foot of the terminal, redrawn in place.
//!
//! Invariant: what was drawn is cleared before anything else is written, so that output and event
//! lines scroll above it undisturbed. Deliberately absent: full-screen modes; the scroll-back of
//! the terminal stays the user's.

use std::fmt::Write as _;
use std::time::Duration;

use mainstay_host::supervisor::{RankStatus, Status};
use mainstay_types::duration;
use mainstay_types::event::Interval;

use super::err;

/// Most ranks that get a line of their own.
const LINES_MAX: usize = 16;

#[derive(Debug)]
pub(crate) struct Live {
    colour: bool,
    drawn: usize,
}

impl Live {
    pub(crate) fn new(colour: bool) -> Self {
        Self { colour, drawn: 0 }
    }

    /// Removes what was drawn.
    pub(crate) fn clear(&mut self) {
        if self.drawn > 0 {
            err(&format!("\x1b[{}A\x1b[J", self.drawn));
            self.drawn = 0;
        }
    }

    /// Writes an event line above the display.
    pub(crate) fn told(&mut self, at: Duration, text: &str) {
        self.clear();
        let text = if text.contains("FAILED") { self.paint("31;1", text) } else { text.to_owned() };
        let stamp = self.paint("2", &format!("{:8.3} s", at.as_secs_f64()));
        err(&format!("{stamp}  {text}\n"));
    }

    /// Draws the state of all ranks.
    pub(crate) fn draw(&mut self, at: Duration, status: &Status) {
        self.clear();
        let (width, height) = size();
        let lines = self.lines(at, status, height);
        let mut text = String::new();
        for line in &lines {
            text.push_str(&fit(line, width));
            text.push('\n');
        }
        self.drawn = lines.len();
        err(&text);
    }

    fn lines(&self, at: Duration, status: &Status, height: usize) -> Vec<String> {
        let newest = status.newest.map_or_else(
            || "no version yet".to_owned(),
            |(version, step, level)| {
                format!("newest version {version} (step {step}, {})", level.name())
            },
        );
        let head = format!(
            "── {:.1} s · epoch {} · {newest} · failures {}",
            at.as_secs_f64(),
            status.epoch,
            status.failures
        );
        let mut lines = vec![self.paint("1", &head)];
        for interval in &status.intervals {
            lines.push(self.paint("2", &line_of(interval)));
        }
        let most = status.ranks.iter().map(|rank| rank.step.0).max().unwrap_or(0);
        let saved = status.newest.map_or(0, |(_, step, _)| step.0);
        // What is above, a line for the rest and the cursor's own: what scrolled away cannot be
        // cleared.
        let room = height.saturating_sub(lines.len() + 2).clamp(1, LINES_MAX);
        for rank in status.ranks.iter().take(room) {
            lines.push(self.rank(rank, saved));
        }
        if let Some(rest) = status.ranks.len().checked_sub(room).filter(|rest| *rest > 0) {
            let least = status.ranks.iter().map(|rank| rank.step.0).min().unwrap_or(0);
            lines.push(format!("   … and {rest} more ranks; steps {least} to {most}"));
        }
        lines
    }

    /// One rank: its state, and how far it is beyond the newest version.
    fn rank(&self, rank: &RankStatus, saved: u64) -> String {
        let code = match rank.phase {
            "running" => "32",
            "dead" => "31;1",
            _ => "33",
        };
        let phase = self.paint(code, &format!("{:<10}", rank.phase));
        let beyond = rank.step.0.saturating_sub(saved);
        let mut line =
            format!("rank {:>3}  {phase} step {:>9}  {beyond:>+7} since it", rank.rank, rank.step);
        if rank.incarnation.0 > 0 {
            let _infallible = write!(line, "  incarnation {}", rank.incarnation);
        }
        line
    }

    /// Removes the display for good.
    pub(crate) fn close(mut self) {
        self.clear();
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// How often a level gets a version, and why.
fn line_of(interval: &Interval) -> String {
    let level = interval.level.name();
    match interval.every.filter(|_| !interval.is_declared()) {
        Some(every) => format!("   {level} every {}: {}", duration::format(every), interval.text),
        None => format!("   {level}: {}", interval.text),
    }
}

/// Columns and rows of the terminal. Zero is what one says that does not know.
fn size() -> (usize, usize) {
    let or = |cells: u16, usual: usize| if cells == 0 { usual } else { cells.into() };
    rustix::termios::tcgetwinsize(std::io::stderr())
        .map_or((80, 24), |size| (or(size.ws_col, 80), or(size.ws_row, 24)))
}

/// A line cut to the terminal's width, so that it never wraps and clearing stays exact.
fn fit(line: &str, width: usize) -> String {
    let (mut shown, mut cells, mut escape) = (String::new(), 0, false);
    for c in line.chars() {
        escape |= c == '\x1b';
        if !escape {
            if cells + 1 >= width {
                shown.push_str("\x1b[0m");
                break;
            }
            cells += 1;
        }
        shown.push(c);
        escape &= c != 'm';
    }
    shown
}

#[cfg(test)]
mod tests {
    use mainstay_types::event::Level;
    use mainstay_types::{Epoch, Incarnation, Rank, Step};

    use super::*;

    #[test]
    fn a_small_terminal_gets_fewer_ranks_and_is_told_of_the_rest() {
        let rank = |rank| RankStatus {
            rank: Rank(rank),
            incarnation: Incarnation(0),
            phase: "running",
            step: Step(rank.into()),
        };
        let ranks = (0..20).map(rank).collect();
        let intervals = Vec::new();
        let mut status = Status { epoch: Epoch(1), ranks, newest: None, intervals, failures: 0 };
        let live = Live::new(false);
        for (height, most) in [(2, 3), (10, 9), (24, 18), (100, 18)] {
            let lines = live.lines(Duration::ZERO, &status, height);
            assert_eq!(lines.len(), most, "{height}");
            assert!(lines.last().unwrap().contains("more ranks; steps 0 to 19"));
        }
        let interval = |level, every, reason, text: &str| Interval {
            level,
            every: Some(Duration::from_millis(every)),
            reason,
            text: text.to_owned(),
        };
        status.intervals = vec![
            interval(Level::Memory, 210, "budget", "1 % of the time, at 2.1 ms each"),
            interval(Level::Disk, 10_000, "declared", "every 10.0 s, as asked"),
        ];
        let lines = live.lines(Duration::ZERO, &status, 10);
        assert_eq!(lines.len(), 9, "two ranks less");
        assert_eq!(lines[1], "   memory every 210 ms: 1 % of the time, at 2.1 ms each");
        assert_eq!(lines[2], "   disk: every 10.0 s, as asked");
    }

    #[test]
    fn a_line_is_cut_by_what_is_seen_of_it() {
        assert_eq!(fit("abc", 10), "abc");
        assert_eq!(fit("\x1b[31mabcdef\x1b[0m", 4), "\x1b[31mabc\x1b[0m");
    }
}
