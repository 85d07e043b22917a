//! Writing past the page cache, for files that nobody reads soon.
//!
//! A version that goes through the page cache is copied once more, and the kernel then takes
//! processors from ranks to write it back. Invariants: bytes reach the file in order and complete
//! once [`Direct::finish`] has returned; a file system that cannot do it gets ordinary writes.
//! Deliberately absent: syncing, which whoever created the file does.

use std::fs::File;
use std::io::{self, Write};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

/// What offsets, lengths and memory are multiples of: at least any disk's block.
const ALIGN: usize = 4096;
/// Of one write. The kernel has as many requests of it under way as the disk takes.
const WRITE_BYTES: usize = 4 << 20;

/// What memory for writes takes.
pub(crate) const STAGING_BYTES: usize = WRITE_BYTES + ALIGN;

/// Memory for writes, which may serve one file after another.
#[derive(Debug)]
pub(crate) struct Staging {
    memory: Vec<u8>,
    /// The first aligned byte.
    start: usize,
}

impl Staging {
    pub(crate) fn new() -> Self {
        let memory = vec![0; STAGING_BYTES];
        let start = memory.as_ptr().align_offset(ALIGN).min(ALIGN);
        Self { memory, start }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..][..WRITE_BYTES]
    }
}

/// A new file on its way to the disk.
#[derive(Debug)]
pub(crate) struct Direct<'a> {
    file: &'a mut File,
    staging: &'a mut Staging,
    filled: usize,
    /// Whether writes are direct now.
    direct: bool,
    /// Whether it was found out if they can be. A file system is asked once a file.
    asked: bool,
}

impl<'a> Direct<'a> {
    /// Of a file that is empty. One that is smaller than a write goes through the page cache.
    pub(crate) fn new(file: &'a mut File, staging: &'a mut Staging) -> Self {
        Self { file, staging, filled: 0, direct: false, asked: false }
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// As any write.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        let whole = if self.direct { self.filled / ALIGN * ALIGN } else { 0 };
        self.spill(whole)?;
        self.set_direct(false)?;
        self.file.write_all(&self.staging.bytes()[whole..self.filled])
    }

    /// Writes so many bytes from the start of the staging memory, directly if that works.
    fn spill(&mut self, bytes: usize) -> io::Result<()> {
        let mut written = 0;
        while written < bytes {
            match self.file.write(&self.staging.bytes()[written..bytes]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Some file systems say only now that they cannot, or want greater multiples.
                Err(error) if self.direct && Errno::from_io_error(&error) == Some(Errno::INVAL) => {
                    self.set_direct(false)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn set_direct(&mut self, on: bool) -> io::Result<()> {
        if self.direct != on {
            let mut flags = fcntl_getfl(&*self.file)?;
            flags.set(OFlags::DIRECT, on);
            fcntl_setfl(&*self.file, flags)?;
            self.direct = on;
        }
        Ok(())
    }
}

impl Write for Direct<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = &mut self.staging.bytes()[self.filled..];
        let taken = bytes.len().min(room.len());
        room[..taken].copy_from_slice(&bytes[..taken]);
        self.filled += taken;
        if self.filled == WRITE_BYTES {
            if !std::mem::replace(&mut self.asked, true) {
                // Refused by a file system without it, which then gets ordinary writes.
                let _ordinary = self.set_direct(true);
            }
            self.spill(WRITE_BYTES)?;
            self.filled = 0;
        }
        Ok(taken)
    }

    /// Nothing: what is no whole write waits for [`Direct::finish`].
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;

    use super::*;

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i * 31 % 251) as u8).collect()
    }

    /// Whether all arrived, and whether it was still direct before its end.
    fn writes(path: &Path, bytes: &[u8], staging: &mut Staging) -> bool {
        let mut file = File::create(path).unwrap();
        let mut direct = Direct::new(&mut file, staging);
        for part in bytes.chunks(100_003) {
            direct.write_all(part).unwrap();
        }
        let was_direct = direct.direct;
        direct.finish().unwrap();
        assert!(fs::read(path).unwrap() == bytes, "{} bytes in {}", bytes.len(), path.display());
        was_direct
    }

    #[test]
    fn any_length_arrives_whole_and_past_the_page_cache_where_that_works() {
        let mut staging = Staging::new();
        for folder in [std::env::temp_dir(), "/dev/shm".into()] {
            let path = folder.join(format!("mainstay-direct-{}", std::process::id()));
            File::create(&path).unwrap();
            let mut options = fs::OpenOptions::new();
            let can = options.write(true).custom_flags(OFlags::DIRECT.bits().cast_signed());
            let can = can.open(&path).is_ok();
            for length in [0, 1, ALIGN, WRITE_BYTES - 1] {
                assert!(!writes(&path, &bytes(length), &mut staging), "small files are not");
            }
            for length in [WRITE_BYTES, WRITE_BYTES + ALIGN + 7, 3 * WRITE_BYTES + 5000] {
                let was_direct = writes(&path, &bytes(length), &mut staging);
                assert_eq!(was_direct, can, "{length} bytes in {}", folder.display());
            }
            fs::remove_file(&path).unwrap();
        }
    }

    /// Memory at an odd address is what a disk refuses at the write.
    #[test]
    fn what_is_refused_at_the_write_is_written_all_the_same() {
        let mut staging = Staging::new();
        staging.start = (staging.start + 1).min(ALIGN - 1);
        let path = std::env::temp_dir().join(format!("mainstay-odd-{}", std::process::id()));
        writes(&path, &bytes(2 * WRITE_BYTES + 5000), &mut staging);
        fs::remove_file(&path).unwrap();
    }
}
