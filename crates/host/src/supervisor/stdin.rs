//! Standard input, passed on to rank 0.
//!
//! Invariants: no more is read than fits a small buffer, so a program that does not read holds its
//! writer back, also one that has closed its input; what an incarnation has not taken is there for
//! the next; of a twin, all that was read is kept, and the run that follows is given it first.
//! Deliberately absent: repetition; what a failed incarnation has read is gone, and the handbook
//! says so.

use std::io::Read;

use super::process::Process;

/// What is kept of a twin's input at most.
pub(crate) const TAKEN_MAX: usize = 64 << 20;

/// What a run has read of its standard input, for the run that follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    bytes: Vec<u8>,
    /// Whether that was all.
    ended: bool,
    /// Whether there was more than is kept. The run was given an end instead.
    pub(crate) overflowed: bool,
}

#[derive(Debug)]
pub(crate) struct Stdin {
    buffer: Vec<u8>,
    /// How much of the buffer has been passed on.
    passed: usize,
    ended: bool,
    /// What was read, if it is kept.
    taken: Option<Taken>,
}

impl Stdin {
    /// Input that begins with what another run has read; `keep` it for one more.
    pub(crate) fn new(before: Taken, keep: bool) -> Self {
        let Taken { bytes, ended, .. } = before;
        Self { buffer: bytes, passed: 0, ended, taken: keep.then(Taken::default) }
    }

    /// What was read, if it was kept.
    pub(crate) fn taken(&mut self) -> Taken {
        self.taken.take().unwrap_or_default()
    }

    /// Whether more may be read.
    pub(crate) fn wants_input(&self) -> bool {
        !self.ended && self.buffer.is_empty()
    }

    /// Whether there is something for rank 0: bytes, or the end.
    pub(crate) fn has_output(&self) -> bool {
        self.ended || !self.buffer.is_empty()
    }

    /// Reads what is there.
    pub(crate) fn read(&mut self) {
        let mut bytes = [0; 16 * 1024];
        match std::io::stdin().lock().read(&mut bytes) {
            Ok(0) | Err(_) => self.end(),
            Ok(got) => self.take(&bytes[..got]),
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        if let Some(taken) = &mut self.taken {
            if taken.bytes.len() + bytes.len() > TAKEN_MAX {
                taken.overflowed = true;
                self.end();
                return;
            }
            taken.bytes.extend_from_slice(bytes);
        }
        self.buffer.extend_from_slice(bytes);
    }

    fn end(&mut self) {
        self.ended = true;
        if let Some(taken) = &mut self.taken {
            taken.ended = true;
        }
    }

    /// Passes on what fits; at the end, closes the rank's input.
    pub(crate) fn write(&mut self, process: &mut Process) {
        match process.feed(&self.buffer[self.passed..]) {
            Ok(written) => self.passed += written,
            Err(_) => {
                // The rank does not read any more. Without a pipe to it, nothing is read for it.
                process.stdin = None;
                return;
            }
        }
        if self.passed == self.buffer.len() {
            self.buffer.clear();
            self.passed = 0;
        }
        if self.ended && self.buffer.is_empty() {
            process.stdin = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;
    use crate::sys::{self, Guardian};

    #[test]
    fn a_rank_that_has_closed_its_input_is_given_no_more_and_the_next_one_is() {
        let mut guardian = Guardian::start().unwrap();
        let mut start = |script: &str| {
            let command = ["sh", "-c", script].map(OsString::from);
            Process::start(&command, &[], true, &mut guardian).unwrap()
        };
        let mut stdin = Stdin::new(Taken::default(), false);
        stdin.take(b"abc");
        let mut closes = start("exec <&-; sleep 1000");
        let pipe = closes.stdin.as_ref().unwrap();
        // An error is told even if nothing is asked for.
        poll(&mut [PollFd::new(pipe, PollFlags::empty())], None).unwrap();
        stdin.write(&mut closes);
        assert!(closes.stdin.is_none() && stdin.has_output() && !stdin.wants_input());
        let mut reads = start("read line");
        stdin.write(&mut reads);
        assert!(reads.stdin.is_some() && !stdin.has_output() && stdin.wants_input());
        for mut process in [closes, reads] {
            process.kill();
            while process.reap(&mut guardian).is_none() {
                sys::wait_readable(process.pidfds(), sys::LOOK);
            }
        }
    }

    #[test]
    fn a_second_run_begins_with_what_the_first_has_read() {
        let mut first = Stdin::new(Taken::default(), true);
        first.take(b"abc");
        let taken = first.taken();
        assert_eq!(taken, Taken { bytes: b"abc".to_vec(), ended: false, overflowed: false });
        let second = Stdin::new(taken, false);
        assert!(second.has_output() && !second.wants_input());
        assert_eq!(second.buffer, b"abc");
    }

    #[test]
    fn an_end_is_kept_as_a_terminal_gives_it_once() {
        let mut first = Stdin::new(Taken::default(), true);
        first.end();
        let mut second = Stdin::new(first.taken(), false);
        assert!(second.has_output() && !second.wants_input());
        assert_eq!(second.taken(), Taken::default(), "the last run keeps nothing");
    }

    #[test]
    fn more_than_is_kept_ends_the_input_and_is_told() {
        let mut stdin = Stdin::new(Taken::default(), true);
        let piece = vec![b'x'; TAKEN_MAX / 4];
        for _ in 0..4 {
            stdin.buffer.clear();
            stdin.take(&piece);
            assert!(!stdin.ended);
        }
        stdin.take(b"x");
        let taken = stdin.taken();
        assert!(taken.overflowed && taken.ended && stdin.ended);
        assert_eq!(taken.bytes.len(), TAKEN_MAX);
    }
}
