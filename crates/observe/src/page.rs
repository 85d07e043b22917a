//! A trace as one HTML file that draws it: no network, no server, nothing beside it.
//!
//! The events become columns of numbers, compressed and in base64, behind a script that draws them.
//! Invariants: nothing of the trace stands in the page but in base64, so no text in it can be taken
//! for HTML or script; the page's own policy forbids it every connection. Deliberately absent: the
//! drawing; see `page.js` beside this file.

mod columns;
mod read;

use std::io::Write as _;

use columns::Columns;

const HEAD: &str = include_str!("page/head.html");
const STYLE: &str = include_str!("page/page.css");
const BODY: &str = include_str!("page/body.html");
const SCRIPTS: [&str; 3] =
    [include_str!("page/data.js"), include_str!("page/draw.js"), include_str!("page/page.js")];

/// Why no page can be made of a text.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// It is not JSON, or not such as a trace is made of.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// It is a trace of something else.
    #[error("it does not say `\"format\": \"mainstay trace\"`")]
    Foreign,
    /// It is of a version that is not known here.
    #[error("it is a trace of version {found}, and this is made for {known}")]
    Version {
        /// The version that it says.
        found: u64,
        /// The one known.
        known: u32,
    },
    /// It has more different lanes, names or shapes than a page can tell apart.
    #[error("it has more than {most} different {what}")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// Most that are possible.
        most: usize,
    },
}

/// A trace, read and ready to be written as a page.
#[derive(Debug)]
pub struct Page {
    packed: Vec<u8>,
    events: usize,
}

impl Page {
    /// Reads a trace that [`chrome`](crate::chrome()) wrote.
    ///
    /// # Errors
    /// [`PageError`].
    pub fn read(json: &[u8]) -> Result<Self, PageError> {
        let columns = read::read(json)?;
        Ok(Self { events: columns.events(), packed: pack(&columns) })
    }

    /// Events that the page shows.
    #[must_use]
    pub fn events(&self) -> usize {
        self.events
    }

    /// Writes the page, in pieces of text.
    ///
    /// # Errors
    /// What `out` returns; nothing is written after that.
    pub fn html<E>(&self, out: &mut dyn FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        for text in [HEAD, "<style>\n", STYLE, "</style>\n", BODY] {
            out(text)?;
        }
        out("<script type=\"application/octet-stream\" id=\"data\">")?;
        // A multiple of three: no piece but the last is padded.
        for piece in self.packed.chunks(3 << 14) {
            out(&base64(piece))?;
        }
        out("</script>\n<script>\n")?;
        SCRIPTS.iter().try_for_each(|script| out(script))?;
        out("</script>\n</html>\n")
    }
}

/// The columns, compressed. Writing to memory cannot fail.
fn pack(columns: &Columns) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(4));
    columns.write(&mut |bytes| {
        let _infallible = gzip.write_all(bytes);
    });
    gzip.finish().unwrap_or_default()
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xff, 0xfe, 0xfd]), "//79");
    }

    #[test]
    fn what_is_no_trace_is_refused_by_name() {
        let why = |text: &str| Page::read(text.as_bytes()).unwrap_err().to_string();
        assert!(why("").contains("EOF"), "{}", why(""));
        assert!(why("[]").contains("expected"), "{}", why("[]"));
        assert!(why("{}").contains("mainstay trace"));
        assert!(why("{\"otherData\":{\"format\":\"x\"},\"traceEvents\":[]}").contains("format"));
        let other = "{\"otherData\":{\"format\":\"mainstay trace\",\"v\":9},\"traceEvents\":[]}";
        assert_eq!(why(other), "it is a trace of version 9, and this is made for 1");
    }
}
