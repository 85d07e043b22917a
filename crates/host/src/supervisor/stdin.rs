//! Standard input, passed on to rank 0.
//!
//! Invariant: no more is read than fits a small buffer, so a program that does not read holds its
//! writer back. Deliberately absent: repetition; what a failed incarnation has read is gone, and
//! the handbook says so.

use std::io::Read;

use super::process::Process;

#[derive(Debug)]
pub(crate) struct Stdin {
    buffer: Vec<u8>,
    ended: bool,
}

impl Stdin {
    pub(crate) fn new() -> Self {
        Self { buffer: Vec::new(), ended: false }
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
            Ok(0) | Err(_) => self.ended = true,
            Ok(got) => self.buffer.extend_from_slice(&bytes[..got]),
        }
    }

    /// Passes on what fits; at the end, closes the rank's input.
    pub(crate) fn write(&mut self, process: &mut Process) {
        match process.feed(&self.buffer) {
            Ok(written) => drop(self.buffer.drain(..written)),
            // The rank does not read any more.
            Err(_) => self.buffer.clear(),
        }
        if self.ended && self.buffer.is_empty() {
            process.stdin = None;
        }
    }
}
