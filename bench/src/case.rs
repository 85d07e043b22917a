//! The word that names one case, `KIND:BYTES:WINDOW`, and the line that tells its times.
//!
//! The suites give these words to programs of ours and of the peers alike, and read the same lines
//! from all of them; `peers/calls.c` is the other half of this file. Invariant: a line that is not
//! exactly one is an error that shows it, never a number. Deliberately absent: units of choice;
//! times are nanoseconds per operation.

use std::fmt;
use std::str::FromStr;

/// Messages under way at once, at most.
const WINDOW_MOST: usize = 64;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// One message there and one back; an operation is one way.
    PingPong,
    /// So many messages at once, then an answer; an operation is one message.
    Window,
    /// A sum of `f64` over all ranks, in place.
    Allreduce,
    /// All wait for all.
    Barrier,
    /// A block from each to each.
    Alltoall,
    /// Parity of shards.
    Encode,
    /// Lost shards from the others.
    Rebuild,
}

const KINDS: [(&str, Kind); 7] = [
    ("pingpong", Kind::PingPong),
    ("window", Kind::Window),
    ("allreduce", Kind::Allreduce),
    ("barrier", Kind::Barrier),
    ("alltoall", Kind::Alltoall),
    ("encode", Kind::Encode),
    ("rebuild", Kind::Rebuild),
];

/// One thing that is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Case {
    /// What is done.
    pub kind: Kind,
    /// Of a message, of a rank's vector, of a block, or of all data shards.
    pub bytes: usize,
    /// Messages at once; 1 but in [`Kind::Window`].
    pub window: usize,
}

/// Why a word is no case, or a line no times.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed(String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not KIND:BYTES:WINDOW, or not followed by times: `{}`", self.0)
    }
}

impl std::error::Error for Malformed {}

impl Case {
    /// A case of one message at a time.
    #[must_use]
    pub const fn new(kind: Kind, bytes: usize) -> Self {
        Self { kind, bytes, window: 1 }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = KINDS.iter().find(|(_, kind)| *kind == self.kind).map_or("?", |(name, _)| name);
        write!(f, "{name}:{}:{}", self.bytes, self.window)
    }
}

impl FromStr for Case {
    type Err = Malformed;

    fn from_str(word: &str) -> Result<Self, Malformed> {
        let read = || {
            let mut parts = word.split(':');
            let name = parts.next()?;
            let (_, kind) = *KINDS.iter().find(|(known, _)| *known == name)?;
            let bytes = parts.next()?.parse().ok().filter(|bytes| *bytes <= i32::MAX as usize)?;
            let window = parts.next()?.parse().ok()?;
            let whole = parts.next().is_none() && (1..=WINDOW_MOST).contains(&window);
            whole.then_some(Self { kind, bytes, window })
        };
        read().ok_or_else(|| Malformed(word.to_owned()))
    }
}

/// The line of a case and its times.
#[must_use]
pub fn line(case: Case, times_ns: &[f64]) -> String {
    let times = times_ns.iter().map(|time| format!(" {time:.2}"));
    format!("{case}{}", times.collect::<String>())
}

/// Reads such a line.
///
/// # Errors
/// A line that is not one, or one with a time that no clock can have measured.
pub fn read_line(line: &str) -> Result<(Case, Vec<f64>), Malformed> {
    let malformed = || Malformed(line.chars().take(200).collect());
    let mut words = line.split_ascii_whitespace();
    let case = words.next().ok_or_else(malformed)?.parse()?;
    let times = words
        .map(|word| word.parse().ok().filter(|time: &f64| time.is_finite() && *time > 0.0))
        .collect::<Option<Vec<f64>>>()
        .filter(|times| !times.is_empty());
    Ok((case, times.ok_or_else(malformed)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let case = Case { kind: Kind::Window, bytes: 65536, window: 64 };
        let text = line(case, &[1.25, 300.0]);
        assert_eq!(text, "window:65536:64 1.25 300.00");
        assert_eq!(read_line(&text), Ok((case, vec![1.25, 300.0])));
    }

    #[test]
    fn what_is_no_case_is_refused() {
        for word in [
            "",
            "pingpong",
            "pingpong:8",
            "pingpong:8:0",
            "pingpong:8:65",
            "pingpong:8:1:1",
            "pingpong:-8:1",
            "pingpong:2147483648:1",
            "ping:8:1",
            "pingpong: 8:1",
        ] {
            assert_eq!(word.parse::<Case>(), Err(Malformed(word.to_owned())));
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for rest in ["", " ", " x", " 1.0 nan", " inf", " 0", " -3", " 1.0 2.0x"] {
            let text = format!("barrier:0:1{rest}");
            assert!(read_line(&text).is_err(), "{text}");
        }
        assert!(read_line("WARNING: a library has something to say").is_err());
    }
}
