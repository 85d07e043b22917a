//! How far long work has come, on a terminal.
//!
//! Invariant: what was drawn is cleared before anything else is shown; where standard error is no
//! terminal, nothing is drawn. Deliberately absent: an estimate of the end.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use super::table::bytes;
use crate::show as streams;

/// Time between two drawings, and before the first: short work has none.
const EVERY: Duration = Duration::from_millis(200);

/// A line at the foot of the terminal.
#[derive(Debug)]
pub(super) struct Progress {
    what: String,
    done: u64,
    total: u64,
    last: Option<Instant>,
    drawn: bool,
}

impl Progress {
    /// Of work on so many bytes; 0 if nobody knows.
    pub(super) fn new(what: &str, total: u64) -> Self {
        let last = std::io::stderr().is_terminal().then(Instant::now);
        Self { what: what.to_owned(), done: 0, total, last, drawn: false }
    }

    /// So many more are done.
    pub(super) fn more(&mut self, count: u64) {
        self.done += count;
        let now = self.last.map(|_| Instant::now());
        if let (Some(last), Some(now)) = (self.last, now)
            && now.duration_since(last) >= EVERY
        {
            let text = line(&self.what, self.done, self.total);
            streams::err(&format!("\r\x1b[K{text}"));
            (self.last, self.drawn) = (Some(now), true);
        }
    }

    /// Takes the line away, so that another can be shown.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            streams::err("\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn line(what: &str, done: u64, total: u64) -> String {
    if total == 0 {
        return format!("{what}: {}", bytes(done));
    }
    let percent = u128::from(done) * 100 / u128::from(total);
    format!("{what}: {} of {} ({} %)", bytes(done), bytes(total), percent.min(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is() {
        assert_eq!(line("version 3", 1 << 20, 4 << 20), "version 3: 1.00 MiB of 4.00 MiB (25 %)");
        assert_eq!(line("x", 5, 0), "x: 5 B");
        assert_eq!(line("x", 5, 4), "x: 5 B of 4 B (100 %)", "a file may have grown");
    }
}
