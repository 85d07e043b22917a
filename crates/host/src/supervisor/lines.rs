//! Whole lines from a stream that arrives in pieces.
//!
//! Invariant: every byte is given out once, in order; a line longer than the limit is given in
//! pieces, marked as such, rather than kept. Deliberately absent: decoding.

/// Longest line that is kept whole, bytes.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// A line, or a piece of one, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) bytes: Vec<u8>,
    /// Whether the line goes on in the next piece.
    pub(crate) partial: bool,
}

/// The unfinished line of one stream.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    rest: Vec<u8>,
    /// Whether a piece of the line was given out.
    begun: bool,
}

impl Lines {
    /// Adds what arrived and gives each line that is now whole.
    pub(crate) fn push(&mut self, bytes: &[u8], mut line: impl FnMut(Line)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(piece);
            if self.rest.last() == Some(&b'\n') {
                self.rest.pop();
                self.begun = false;
                line(Line { bytes: std::mem::take(&mut self.rest), partial: false });
            } else if self.rest.len() >= LINE_BYTES_MAX {
                self.begun = true;
                line(Line { bytes: std::mem::take(&mut self.rest), partial: true });
            }
        }
    }

    /// The last, unended line, when the stream ends; empty if all of it was given out in pieces.
    pub(crate) fn end(&mut self) -> Option<Line> {
        let bytes = std::mem::take(&mut self.rest);
        let begun = std::mem::take(&mut self.begun);
        (begun || !bytes.is_empty()).then_some(Line { bytes, partial: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> Line {
        Line { bytes: bytes.to_vec(), partial: false }
    }

    #[test]
    fn pieces_become_lines_and_nothing_is_lost() {
        let mut lines = Lines::default();
        let mut got = Vec::new();
        for piece in ["a", "b\nc", "\n\nd"] {
            lines.push(piece.as_bytes(), |line| got.push(line));
        }
        got.extend(lines.end());
        assert_eq!(got, [whole(b"ab"), whole(b"c"), whole(b""), whole(b"d")]);
        assert_eq!(lines.end(), None);
    }

    #[test]
    fn a_line_that_is_too_long_to_keep_is_marked_until_its_end() {
        let mut lines = Lines::default();
        let mut got = Vec::new();
        let arrives = vec![b'x'; LINE_BYTES_MAX / 4];
        for _ in 0..9 {
            lines.push(&arrives, |line| got.push(line));
        }
        lines.push(b"\nnext\n", |line| got.push(line));
        let shape: Vec<_> = got.iter().map(|line| (line.bytes.len(), line.partial)).collect();
        let most = LINE_BYTES_MAX;
        assert_eq!(shape, [(most, true), (most, true), (most / 4, false), (4, false)]);
    }

    #[test]
    fn a_line_that_ends_right_after_a_piece_ends_with_an_empty_one() {
        let mut lines = Lines::default();
        let mut got = Vec::new();
        lines.push(&vec![b'x'; LINE_BYTES_MAX], |line| got.push(line.partial));
        lines.push(b"\n", |line| got.push(line.partial));
        assert_eq!(got, [true, false]);
        assert_eq!(lines.end(), None);
        lines.push(&vec![b'x'; LINE_BYTES_MAX], |line| got.push(line.partial));
        assert_eq!(lines.end(), Some(whole(b"")), "what follows begins a line");
        assert_eq!(lines.end(), None);
    }
}
