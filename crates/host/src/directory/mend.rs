//! A published file that is written anew where it is bad, in its place.
//!
//! Invariants: nothing is written but blocks that hold bytes known to be bad, and those with what the
//! file held when it was published; it is synced once, and a failed sync is the end of it. Deliberately
//! absent: why that is safe and which blocks it are (`ckpt::commit`), and what the file has to hold.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use mainstay_ckpt::commit::{PATCH_BYTES, patches};
use rustix::fs::{Mode, OFlags, openat};

use super::{Directory, DirectoryError};

/// Bytes that are compared at once.
const BUFFER_BYTES: usize = 64 * PATCH_BYTES;

/// A file under way. What is written to it is compared with what is there.
#[derive(Debug)]
pub(crate) struct Mender<'a> {
    file: &'a File,
    bad: &'a [Range<u64>],
    /// Where the buffer belongs.
    at: u64,
    buffer: Vec<u8>,
}

impl Mender<'_> {
    /// Compares the buffer with what is there, and writes blocks that are bad.
    fn compare(&mut self) -> io::Result<()> {
        let mut found = vec![0; self.buffer.len()];
        match read_up_to(self.file, &mut found, self.at) {
            Ok(bytes) => self.patch(0..self.buffer.len(), Some(&found[..bytes]))?,
            // A block that cannot be read keeps its neighbours from being read with it.
            Err(_) => {
                for from in (0..self.buffer.len()).step_by(PATCH_BYTES) {
                    let block = from..self.buffer.len().min(from + PATCH_BYTES);
                    let old = &mut found[block.clone()];
                    let read = read_up_to(self.file, old, self.at + from as u64);
                    let read = read.ok().map(|bytes| old[..bytes].to_vec());
                    self.patch(block, read.as_deref())?;
                }
            }
        }
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn patch(&self, part: Range<usize>, found: Option<&[u8]>) -> io::Result<()> {
        let (at, truth) = (self.at + part.start as u64, &self.buffer[part]);
        for block in patches(at, truth, found, self.bad).map_err(io::Error::other)? {
            self.file.write_all_at(&truth[block.clone()], at + block.start as u64)?;
        }
        Ok(())
    }

    /// Ends the file where what was written ends.
    fn finish(mut self) -> io::Result<()> {
        self.compare()?;
        if self.file.metadata()?.len() > self.at {
            self.file.set_len(self.at)?;
        }
        self.file.sync_data()
    }
}

/// Reads what there is, up to the end of the file.
fn read_up_to(file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < into.len() {
        match file.read_at(&mut into[read..], at + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

impl Write for Mender<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BUFFER_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == BUFFER_BYTES {
            self.compare()?;
        }
        Ok(taken)
    }

    /// Nothing: what is no whole buffer waits for the end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Directory {
    /// Mends a published file, of which these bytes are known to be bad; `fill` writes all that it has to
    /// hold. One that is missing is made anew.
    ///
    /// # Errors
    /// When it cannot be written, or would change where it is not bad. It is then as bad as before.
    pub(crate) fn mend(
        &self,
        name: &str,
        bad: &[Range<u64>],
        fill: impl FnOnce(&mut Mender<'_>) -> io::Result<()>,
    ) -> Result<(), DirectoryError> {
        let mend = || -> io::Result<()> {
            if self.is_in_its_place() != Some(true) {
                return Err(io::ErrorKind::NotFound.into());
            }
            self.make_place(name)?;
            let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let there = openat(&self.handle, name, flags, Mode::empty());
            let (file, is_new) = match there {
                Err(rustix::io::Errno::NOENT) => {
                    let flags = flags | OFlags::CREATE | OFlags::EXCL;
                    (openat(&self.handle, name, flags, Mode::RUSR | Mode::WUSR)?, true)
                }
                there => (there?, false),
            };
            let file = File::from(file);
            if !file.metadata()?.is_file() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a regular file"));
            }
            let buffer = Vec::with_capacity(BUFFER_BYTES);
            let mut mender = Mender { file: &file, bad, at: 0, buffer };
            fill(&mut mender)?;
            mender.finish()?;
            if is_new { self.sync_names() } else { Ok(()) }
        };
        mend().map_err(|source| self.failed(name, "mend", source))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::directory::tests::scratch;

    #[test]
    fn a_file_is_mended_where_it_is_bad_and_left_alone_where_that_would_change_it() {
        let path = scratch("mend");
        let dir = Directory::open(&path).unwrap();
        let truth: Vec<u8> = (0..700_000_u32).map(|i| (i * 31 % 251) as u8).collect();
        let file = path.join("shard");
        let fill = |to: &mut Mender<'_>| to.write_all(&truth);
        let mut rotten = truth.clone();
        (rotten[5], rotten[300_000]) = (!truth[5], !truth[300_000]);
        fs::write(&file, &rotten).unwrap();
        let bad = [0..64, 299_000..301_000];
        let error = dir.mend("shard", &bad[..1], fill).unwrap_err().to_string();
        assert!(error.contains("300000 are not known to be bad"), "{error}");
        dir.mend("shard", &bad, fill).unwrap();
        assert!(fs::read(&file).unwrap() == truth);
        // Cut, too long, and gone.
        fs::write(&file, &truth[..400_001]).unwrap();
        dir.mend("shard", &[], fill).unwrap();
        assert!(fs::read(&file).unwrap() == truth);
        fs::write(&file, [&truth[..], b"more"].concat()).unwrap();
        dir.mend("shard", &[], fill).unwrap();
        assert!(fs::read(&file).unwrap() == truth);
        fs::remove_file(&file).unwrap();
        dir.mend("shard", &[], fill).unwrap();
        assert!(fs::read(&file).unwrap() == truth);
        // A link leads who knows where.
        fs::rename(&file, path.join("other")).unwrap();
        std::os::unix::fs::symlink("other", &file).unwrap();
        assert!(dir.mend("shard", &[], fill).is_err());
        dir.destroy().unwrap();
    }
}
