//! Whole lines from a stream that arrives in pieces.
//!
//! Invariant: every byte is given out once, in order; a line longer than the limit is given in
//! pieces rather than kept. Deliberately absent: decoding.

/// Longest line that is kept whole, bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// The unfinished line of one stream.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Adds what arrived and gives each line that is now whole, without its end.
    pub(crate) fn push(&mut self, bytes: &[u8], mut line: impl FnMut(Vec<u8>)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(piece);
            if self.rest.last() == Some(&b'\n') {
                self.rest.pop();
                line(std::mem::take(&mut self.rest));
            } else if self.rest.len() >= LINE_BYTES_MAX {
                line(std::mem::take(&mut self.rest));
            }
        }
    }

    /// The last, unended line, when the stream ends.
    pub(crate) fn end(&mut self) -> Option<Vec<u8>> {
        (!self.rest.is_empty()).then(|| std::mem::take(&mut self.rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_lines_and_nothing_is_lost() {
        let mut lines = Lines::default();
        let mut got = Vec::new();
        for piece in ["a", "b\nc", "\n\nd"] {
            lines.push(piece.as_bytes(), |line| got.push(line));
        }
        got.extend(lines.end());
        assert_eq!(got, [b"ab".to_vec(), b"c".to_vec(), b"".to_vec(), b"d".to_vec()]);
        assert_eq!(lines.end(), None);
        let mut bytes = 0;
        lines.push(&vec![b'x'; 3 * LINE_BYTES_MAX], |line| bytes += line.len());
        assert_eq!(bytes + lines.end().map_or(0, |line| line.len()), 3 * LINE_BYTES_MAX);
    }
}
