//! One event of a trace as a line of JSON.
//!
//! Invariant: a line is a whole JSON object, whatever texts stand in it. Deliberately absent: which
//! events there are.

use std::fmt::Write as _;

/// A process and a thread, as a viewer shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) pid: u32,
    pub(super) tid: u32,
}

/// The arguments of an event, as text.
#[derive(Debug)]
pub(super) struct Args(String);

impl Args {
    pub(super) fn new() -> Self {
        Self(String::new())
    }

    fn key(&mut self, key: &str) {
        let comma = if self.0.is_empty() { "" } else { "," };
        let _infallible = write!(self.0, "{comma}\"{key}\":");
    }

    pub(super) fn int(mut self, key: &str, value: u64) -> Self {
        self.key(key);
        let _infallible = write!(self.0, "{value}");
        self
    }

    pub(super) fn text(mut self, key: &str, value: &str) -> Self {
        self.key(key);
        self.0.push_str(&quoted(value));
        self
    }
}

/// The lines.
pub(super) struct Line;

impl Line {
    /// A span of time.
    pub(super) fn span(
        lane: Lane,
        (start, end): (u64, u64),
        (category, name): (&str, &str),
        args: &Args,
    ) -> String {
        let (at, lasted) = (micros(start), micros(end.saturating_sub(start)));
        let Lane { pid, tid } = lane;
        let Args(args) = args;
        format!(
            "{{\"ph\":\"X\",\"pid\":{pid},\"tid\":{tid},\"ts\":{at},\"dur\":{lasted},\
             \"cat\":\"{category}\",\"name\":\"{name}\",\"args\":{{{args}}}}}"
        )
    }

    /// A moment.
    pub(super) fn moment(
        lane: Lane,
        at: u64,
        (category, name): (&str, &str),
        args: &Args,
    ) -> String {
        let (at, Lane { pid, tid }, Args(args)) = (micros(at), lane, args);
        format!(
            "{{\"ph\":\"i\",\"s\":\"t\",\"pid\":{pid},\"tid\":{tid},\"ts\":{at},\
             \"cat\":\"{category}\",\"name\":\"{name}\",\"args\":{{{args}}}}}"
        )
    }

    /// One end of an arrow between spans.
    pub(super) fn arrow(lane: Lane, at: u64, id: u64, ends: bool) -> String {
        let (at, Lane { pid, tid }) = (micros(at), lane);
        let phase = if ends { "\"f\",\"bp\":\"e\"" } else { "\"s\"" };
        format!(
            "{{\"ph\":{phase},\"id\":{id},\"pid\":{pid},\"tid\":{tid},\"ts\":{at},\
             \"cat\":\"message\",\"name\":\"message\"}}"
        )
    }

    /// What a process or a thread is called.
    pub(super) fn metadata(pid: u32, tid: Option<u32>, what: &str, Args(args): &Args) -> String {
        let tid = tid.map_or_else(String::new, |tid| format!("\"tid\":{tid},"));
        format!("{{\"ph\":\"M\",\"pid\":{pid},{tid}\"name\":\"{what}\",\"args\":{{{args}}}}}")
    }
}

/// Nanoseconds as microseconds, exactly.
pub(super) fn micros(ns: u64) -> String {
    format!("{}.{:03}", ns / 1000, ns % 1000)
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_json_whatever_stands_in_it() {
        let hostile = "</script>\"\\\n\u{2028}\u{0}é";
        let args = Args::new().text("why", hostile).int("n", u64::MAX);
        let line = Line::moment(Lane { pid: 1, tid: 2 }, 1_234_567, ("c", "n"), &args);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["args"]["why"], hostile);
        assert_eq!((&value["ts"], &value["args"]["n"]), (&1234.567.into(), &u64::MAX.into()));
        assert_eq!(line.lines().count(), 1);
    }
}
