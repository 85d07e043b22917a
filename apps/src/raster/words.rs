//! The words of a text, each with its line and column, and the bytes behind them.
//!
//! Invariants: a word has at most [`WORD_MAX`] bytes and no white space; memory does not grow with
//! the length of a line. Deliberately absent: what a word means.

use std::io::BufRead;
use std::path::Path;

use super::{RasterFault, shown};
use crate::InputError;
use crate::input_error::{Fault, SourceFault};
use crate::source::Source;

/// The longest word accepted, in bytes: a double written out has up to 25.
const WORD_MAX: usize = 400;

/// The words of one file.
pub(super) struct Words<'a> {
    path: &'a Path,
    source: Source,
    word: String,
    /// Where the current word begins: line and column, from 1.
    at: (u64, u64),
    /// Where the next byte is: line and column, from 1.
    next: (u64, u64),
    /// How many bytes are read.
    byte: u64,
}

impl<'a> Words<'a> {
    pub(super) fn new(path: &'a Path, source: Source) -> Self {
        Self { path, source, word: String::new(), at: (1, 1), next: (1, 1), byte: 0 }
    }

    /// Goes to the next word; `false` at the end of the file. With `comments`, what stands between
    /// `#` and the end of a line is passed over.
    pub(super) fn advance(&mut self, comments: bool) -> Result<bool, InputError> {
        let mut bytes = std::mem::take(&mut self.word).into_bytes();
        bytes.clear();
        let mut in_comment = false;
        while let Some(byte) = self.peek()? {
            let is_space = byte.is_ascii_whitespace();
            let ends = is_space || (comments && byte == b'#');
            if !bytes.is_empty() && ends {
                break;
            }
            in_comment = (in_comment || (comments && byte == b'#')) && byte != b'\n';
            if !in_comment && !is_space {
                if bytes.is_empty() {
                    self.at = self.next;
                }
                bytes.push(byte);
                if bytes.len() > WORD_MAX {
                    return Err(self.fault(RasterFault::LongWord { max: WORD_MAX }));
                }
            }
            self.take(byte);
        }
        if bytes.is_empty() {
            self.at = self.next;
        }
        self.word = String::from_utf8(bytes).map_err(|_| self.fault(SourceFault::NotText))?;
        Ok(!self.word.is_empty())
    }

    /// The current word.
    pub(super) fn word(&self) -> &str {
        &self.word
    }

    /// The current word for a message.
    pub(super) fn found(&self) -> String {
        shown(&self.word)
    }

    /// Takes the one byte of white space that ends the header of a binary file.
    pub(super) fn end_header(&mut self) -> Result<bool, InputError> {
        let next = self.peek()?.filter(u8::is_ascii_whitespace);
        if let Some(byte) = next {
            self.take(byte);
        }
        Ok(next.is_some())
    }

    /// Fills `block` as far as the file goes; gives the number of bytes.
    pub(super) fn read(&mut self, block: &mut [u8]) -> Result<usize, InputError> {
        let mut filled = 0;
        while filled < block.len() {
            match self.source.reader.read(&mut block[filled..]) {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(InputError::of_file(self.path, self.source.classify(e))),
            }
        }
        self.byte += filled as u64;
        Ok(filled)
    }

    /// The number of bytes read so far.
    pub(super) fn byte(&self) -> u64 {
        self.byte
    }

    /// The most bytes of content that the file can have.
    pub(super) fn bytes_max(&self) -> u64 {
        self.source.bytes_max
    }

    /// Where the current word begins: line and column.
    pub(super) fn at(&self) -> (u64, u64) {
        self.at
    }

    /// An error at the current word.
    pub(super) fn fault(&self, fault: impl Into<Fault>) -> InputError {
        self.fault_at(self.at, fault)
    }

    /// An error at a place that was passed.
    pub(super) fn fault_at(
        &self,
        (line, column): (u64, u64),
        fault: impl Into<Fault>,
    ) -> InputError {
        InputError::at_line(self.path, line, fault).at_column(column)
    }

    /// An error about the whole file.
    pub(super) fn file_fault(&self, fault: impl Into<Fault>) -> InputError {
        InputError::of_file(self.path, fault)
    }

    fn peek(&mut self) -> Result<Option<u8>, InputError> {
        loop {
            match self.source.reader.fill_buf() {
                Ok(buffer) => return Ok(buffer.first().copied()),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => {
                    let fault = self.source.classify(e);
                    return Err(self.fault_at(self.next, fault));
                }
            }
        }
    }

    fn take(&mut self, byte: u8) {
        self.source.reader.consume(1);
        self.byte += 1;
        self.next = match (byte, self.next) {
            (b'\n', (line, _)) => (line + 1, 1),
            (_, (line, column)) => (line, column + 1),
        };
    }
}
