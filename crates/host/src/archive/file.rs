//! A file of a checkpoint directory that is read by ranges.
//!
//! Invariant: what could block, as a pipe would, is never read. Deliberately absent: what the bytes
//! mean.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use mainstay_ckpt::catalogue::Fault;
use mainstay_ckpt::{ReadAt, Residency, Unreadable};

/// An open file.
#[derive(Debug)]
pub(super) struct ShardFile {
    file: File,
    bytes: u64,
}

impl ShardFile {
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
        let open = || -> io::Result<(File, std::fs::Metadata)> {
            let mut options = OpenOptions::new();
            let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
            let data = file.metadata()?;
            Ok((file, data))
        };
        match open() {
            Ok((file, data)) if data.is_file() => Ok(Self { file, bytes: data.len() }),
            Ok(_) => Err(Fault::NotAFile),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Fault::Missing),
            Err(error) => Err(Fault::Unreadable { why: error.to_string() }),
        }
    }

    /// All its bytes, of which there may be so many.
    pub(super) fn all(&self, most: u64) -> Result<Vec<u8>, Fault> {
        let unreadable = |why: String| Fault::Unreadable { why };
        if self.bytes > most {
            return Err(unreadable(format!("it has {} bytes, and {most} at most", self.bytes)));
        }
        let len = usize::try_from(self.bytes).map_err(|error| unreadable(error.to_string()))?;
        let mut bytes = vec![0; len];
        match self.file.read_exact_at(&mut bytes, 0) {
            Ok(()) => Ok(bytes),
            Err(error) => Err(unreadable(error.to_string())),
        }
    }
}

impl ReadAt for ShardFile {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, at: u64, into: &mut [u8], _hint: Residency) -> Result<u32, Unreadable> {
        let bytes = into.len() as u64;
        if at.checked_add(bytes).is_none_or(|end| end > self.bytes) {
            let why = format!("the file ends at {}", self.bytes);
            return Err(Unreadable { at, bytes, why });
        }
        self.file.read_exact_at(into, at).map_err(|error| Unreadable {
            at,
            bytes,
            why: error.to_string(),
        })?;
        Ok(mainstay_types::crc32c(into))
    }
}
