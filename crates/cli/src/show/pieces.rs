//! Lines of ranks that come in pieces because they are very long, put together again.
//!
//! Invariants: what one rank writes comes out byte by byte, and a newline is added only where
//! another rank's output would else go on in the same line. Deliberately absent: holding output
//! back.

use mainstay_types::Rank;
use mainstay_types::event::Stream;

/// On each stream, whose line has begun and not ended.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    stdout: Option<Rank>,
    stderr: Option<Rank>,
}

impl Pieces {
    /// The bytes to show for a line, or for a piece of one.
    pub(crate) fn join(
        &mut self,
        label: bool,
        (rank, stream): (Rank, Stream),
        line: &[u8],
        partial: bool,
    ) -> Vec<u8> {
        let open = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let before = std::mem::replace(open, partial.then_some(rank));
        let mut bytes = Vec::with_capacity(line.len() + 8);
        if before.is_some_and(|other| other != rank) {
            bytes.push(b'\n');
        }
        if label && before != Some(rank) {
            bytes.extend_from_slice(format!("[{rank}] ").as_bytes());
        }
        bytes.extend_from_slice(line);
        if !partial {
            bytes.push(b'\n');
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_in_pieces_is_whole_again_unless_another_rank_comes_between() {
        let mut pieces = Pieces::default();
        let out = |rank| (Rank(rank), Stream::Stdout);
        let mut text = Vec::new();
        text.extend(pieces.join(true, out(0), b"one ", true));
        let _other_stream = pieces.join(true, (Rank(1), Stream::Stderr), b"", false);
        text.extend(pieces.join(true, out(0), b"line", false));
        text.extend(pieces.join(true, out(1), b"cut ", true));
        text.extend(pieces.join(true, out(0), b"other", false));
        text.extend(pieces.join(true, out(1), b"short", false));
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text, "[0] one line\n[1] cut \n[0] other\n[1] short\n");
    }
}
