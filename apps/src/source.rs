//! The bytes of an input file, compressed or not.
//!
//! gzip is recognised by its first two bytes, not by the name of the file. Invariant: the bound on
//! the content follows from the size of the file, so that what a file claims of itself can be
//! judged before memory is taken for it. Deliberately absent: what the bytes mean.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::input_error::{InputError, SourceFault};

/// No deflate stream grows by more than this factor.
///
/// # Source
/// zlib, technical details: 1032:1 is the limit of the format.
pub(crate) const DEFLATE_GROWTH_MAX: u64 = 1032;

/// Bytes read at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// An open file.
pub(crate) struct Source {
    /// Its content, decompressed.
    pub(crate) reader: Box<dyn BufRead>,
    /// The most bytes that the content can have.
    pub(crate) bytes_max: u64,
    gzip: bool,
}

impl Source {
    /// Opens `path`, and looks whether it is compressed.
    pub(crate) fn open(path: &Path) -> Result<Self, InputError> {
        let failed = |e| InputError::of_file(path, SourceFault::Open(e));
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let file_bytes = if metadata.is_file() { metadata.len() } else { u64::MAX };
        let mut plain = BufReader::with_capacity(BUFFER_BYTES, file);
        let magic =
            plain.fill_buf().map_err(|e| InputError::of_file(path, SourceFault::Read(e)))?;
        let gzip = magic.starts_with(&[0x1f, 0x8b]);
        let growth = if gzip { DEFLATE_GROWTH_MAX } else { 1 };
        let reader: Box<dyn BufRead> = if gzip {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(plain)))
        } else {
            Box::new(plain)
        };
        Ok(Self { reader, bytes_max: file_bytes.saturating_mul(growth), gzip })
    }

    /// Tells damaged compression from a failure to read.
    pub(crate) fn classify(&self, error: io::Error) -> SourceFault {
        let damaged = matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
        );
        if self.gzip && damaged { SourceFault::Gzip(error) } else { SourceFault::Read(error) }
    }
}
