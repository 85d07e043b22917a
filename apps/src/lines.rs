//! Numbered lines of a text file, compressed or not.
//!
//! Invariants: memory is bounded by [`LINE_MAX`] whatever the file holds; the number of the current line is always known,
//! so that errors can name it. Deliberately absent: what a line means.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use crate::input_error::{Fault, InputError, SourceFault};
use crate::source::Source;

/// The longest line accepted, in bytes. Matrix Market allows 1,024; comments in the wild are longer.
pub const LINE_MAX: usize = 64 * 1024;

/// The lines of one file.
pub struct Lines {
    path: PathBuf,
    source: Source,
    number: u64,
    text: String,
}

impl Lines {
    /// Opens `path`, and looks whether it is compressed.
    ///
    /// # Errors
    /// If the file cannot be opened or its first bytes cannot be read.
    pub fn open(path: &Path) -> Result<Self, InputError> {
        let source = Source::open(path)?;
        Ok(Self { path: path.to_path_buf(), source, number: 0, text: String::new() })
    }

    /// Goes to the next line; `false` at the end of the file.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, is not text, or the line is too long.
    pub fn advance(&mut self) -> Result<bool, InputError> {
        let mut bytes = std::mem::take(&mut self.text).into_bytes();
        bytes.clear();
        self.number += 1;
        let limit = LINE_MAX as u64 + 2;
        let read = (&mut self.source.reader).take(limit).read_until(b'\n', &mut bytes);
        let read = read.map_err(|e| self.fault(self.source.classify(e)))?;
        while matches!(bytes.last(), Some(b'\n' | b'\r')) {
            bytes.pop();
        }
        if bytes.len() > LINE_MAX {
            return Err(self.fault(SourceFault::LongLine { max: LINE_MAX }));
        }
        self.text = String::from_utf8(bytes).map_err(|_| self.fault(SourceFault::NotText))?;
        Ok(read > 0)
    }

    /// The current line without its end.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The number of the current line, from 1; 0 before the first.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The most bytes of text that the file can hold, to judge what it claims about itself.
    #[must_use]
    pub fn bytes_max(&self) -> u64 {
        self.source.bytes_max
    }

    /// An error at the current line.
    pub fn fault(&self, fault: impl Into<Fault>) -> InputError {
        InputError::at_line(&self.path, self.number, fault)
    }

    /// An error about the whole file.
    pub fn file_fault(&self, fault: impl Into<Fault>) -> InputError {
        InputError::of_file(&self.path, fault)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::source::DEFLATE_GROWTH_MAX;
    use crate::testing::{gzip, scratch};

    fn all(path: &Path) -> Result<Vec<String>, InputError> {
        let mut lines = Lines::open(path)?;
        let mut found = Vec::new();
        while lines.advance()? {
            found.push(format!("{}:{}", lines.number(), lines.text()));
        }
        Ok(found)
    }

    #[test]
    fn numbers_lines_and_strips_either_kind_of_line_end() {
        let file = scratch("ends.txt", b"a\r\nb\n\nlast");
        assert_eq!(all(&file).unwrap(), ["1:a", "2:b", "3:", "4:last"]);
        assert!(all(&scratch("empty.txt", b"")).unwrap().is_empty());
    }

    #[test]
    fn gzip_is_known_by_its_content_even_in_several_members() {
        let mut two = gzip(b"a\n");
        two.extend(gzip(b"b\n"));
        assert_eq!(all(&scratch("named.mtx", &two)).unwrap(), ["1:a", "2:b"]);
        assert_eq!(all(&scratch("plain.gz", b"a\n")).unwrap(), ["1:a"]);
    }

    #[test]
    fn a_gzip_cut_anywhere_or_with_a_wrong_byte_is_an_error() {
        let text: Vec<u8> = (0..2000).flat_map(|i| format!("{}\n", i * i).into_bytes()).collect();
        let whole = gzip(&text);
        for cut in [2, 9, 10, 11, whole.len() / 2, whole.len() - 8, whole.len() - 1] {
            let error = all(&scratch("cut.gz", &whole[..cut])).unwrap_err().to_string();
            assert!(error.contains("the gzip data is cut short or damaged"), "{cut}: {error}");
        }
        let mut wrong = whole.clone();
        let last = wrong.len() - 6;
        wrong[last] ^= 1;
        let error = all(&scratch("wrong.gz", &wrong)).unwrap_err().to_string();
        assert!(error.contains("`gzip -t`"), "{error}");
    }

    #[test]
    fn long_lines_and_bytes_that_are_no_text_name_their_line() {
        let mut long = b"ok\n".to_vec();
        long.extend(vec![b'x'; LINE_MAX]);
        assert!(all(&scratch("fits.txt", &long)).is_ok());
        long.write_all(b"x\n").unwrap();
        let error = all(&scratch("long.txt", &long)).unwrap_err();
        assert_eq!(error.line(), Some(2));
        assert!(error.to_string().contains("longer than 65536 bytes"));
        let error = all(&scratch("binary.txt", b"a\nb\n\xff\xfe\n")).unwrap_err();
        assert_eq!(error.line(), Some(3));
    }

    #[test]
    fn missing_files_and_directories_are_named() {
        let error = all(Path::new("no/such/file.mtx")).unwrap_err().to_string();
        assert!(error.starts_with("no/such/file.mtx: cannot be opened ("), "{error}");
        let error = all(&std::env::temp_dir()).unwrap_err().to_string();
        assert!(error.contains("cannot be read ("), "{error}");
    }

    #[test]
    fn the_bound_on_content_follows_the_file() {
        let plain = scratch("bound.txt", &[b'\n'; 100]);
        assert_eq!(Lines::open(&plain).unwrap().bytes_max(), 100);
        let packed = gzip(&[b'\n'; 100]);
        let bound = Lines::open(&scratch("bound.gz", &packed)).unwrap().bytes_max();
        assert_eq!(bound, packed.len() as u64 * DEFLATE_GROWTH_MAX);
    }
}
