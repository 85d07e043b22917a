//! Writing past the page cache, for files that nobody reads soon.
//!
//! A version that goes through the page cache is copied once more, and the kernel then takes
//! processors from ranks to write it back. Memory for writes lies in large pages where there are any: a
//! request to the disk has a bounded number of pieces of memory, 254 on some, which are pages; with pages
//! of 4 KiB a write falls into more and smaller requests, and takes twice the time or more. Invariants: bytes reach the file in order and complete
//! once [`Direct::finish`] has returned; one write is under way at a time, while the next is filled, and its
//! failure is told by the next call; a file system that cannot do it gets ordinary writes.
//! Deliberately absent: syncing, which whoever created the file does.

use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use crate::shm::{LARGE_PAGE_BYTES, prefer_large_pages};
use crate::sys;

/// What offsets, lengths and memory are multiples of: at least any disk's block.
const ALIGN: usize = 4096;
/// Of one write. The kernel has as many requests of it under way as the disk takes.
const WRITE_BYTES: usize = 4 << 20;

/// What memory for writes takes.
pub(crate) const STAGING_BYTES: usize = 2 * BUFFER_BYTES;
const BUFFER_BYTES: usize = WRITE_BYTES + LARGE_PAGE_BYTES;

/// Memory for one write.
#[derive(Debug)]
struct Buffer {
    memory: Vec<u8>,
    /// The first byte of a large page.
    start: usize,
}

impl Buffer {
    fn new() -> Self {
        let memory = vec![0; BUFFER_BYTES];
        let start = memory.as_ptr().align_offset(LARGE_PAGE_BYTES).min(LARGE_PAGE_BYTES);
        // So much memory comes from the kernel as it is, so nothing of it was touched yet.
        prefer_large_pages(&memory[start..][..WRITE_BYTES]);
        Self { memory, start }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..][..WRITE_BYTES]
    }
}

/// What writing took, without syncing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) bytes: u64,
    /// Time of the writes, during which the next may have been filled.
    pub(crate) took: Duration,
    /// Processor time of the thread that wrote.
    pub(crate) cpu: Duration,
}

impl Spent {
    pub(crate) fn add(&mut self, more: Self) {
        self.bytes += more.bytes;
        self.took += more.took;
        self.cpu += more.cpu;
    }
}

/// A write, and whether its file is direct.
type Begun = (File, Buffer, bool);
/// Its memory, and whether the file still is.
type Written = (Buffer, io::Result<(bool, Spent)>);

/// Memory for writes, which may serve one file after another, and the thread that writes one half while
/// the other is filled.
#[derive(Debug)]
pub(crate) struct Staging {
    filling: Buffer,
    /// The other half, unless it is being written.
    idle: Option<Buffer>,
    writes: Sender<Begun>,
    written: Receiver<Written>,
}

impl Staging {
    /// # Errors
    /// When there can be no thread.
    pub(crate) fn new() -> io::Result<Self> {
        let (writes, todo) = channel::<Begun>();
        let (done, written) = channel();
        let work = move || {
            for (mut file, mut buffer, mut direct) in todo {
                let cpu = sys::thread_cpu();
                let mut spent = Spent::default();
                let spilt = spill(&mut file, buffer.bytes(), &mut direct, &mut spent);
                spent.cpu = sys::thread_cpu().saturating_sub(cpu);
                if done.send((buffer, spilt.map(|()| (direct, spent)))).is_err() {
                    break;
                }
            }
        };
        std::thread::Builder::new().name("mainstay-writer".to_owned()).spawn(work)?;
        Ok(Self { filling: Buffer::new(), idle: Some(Buffer::new()), writes, written })
    }

    /// Waits for the write under way, if there is one; whether its file is still direct.
    fn wait(&mut self) -> io::Result<Option<(bool, Spent)>> {
        if self.idle.is_some() {
            return Ok(None);
        }
        let (buffer, written) = self.written.recv().map_err(io::Error::other)?;
        self.idle = Some(buffer);
        written.map(Some)
    }

    /// Begins to write the half that was filled. Nothing is under way.
    fn submit(&mut self, file: &File, direct: bool) -> io::Result<()> {
        let Some(idle) = self.idle.take() else {
            return Err(io::Error::other("a write is under way"));
        };
        let filled = std::mem::replace(&mut self.filling, idle);
        self.writes.send((file.try_clone()?, filled, direct)).map_err(io::Error::other)
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
    spent: Spent,
}

impl<'a> Direct<'a> {
    /// Of a file that is empty. One that is smaller than a write goes through the page cache.
    pub(crate) fn new(file: &'a mut File, staging: &'a mut Staging) -> Self {
        // What is under way is of a file that was given up, for whatever reason is told there.
        let _given_up = staging.wait();
        Self { file, staging, filled: 0, direct: false, asked: false, spent: Spent::default() }
    }

    /// Writes what is left; says what all of it took.
    ///
    /// # Errors
    /// As any write.
    pub(crate) fn finish(mut self) -> io::Result<Spent> {
        self.wait()?;
        let whole = if self.direct { self.filled / ALIGN * ALIGN } else { 0 };
        let (whole, rest) = self.staging.filling.bytes()[..self.filled].split_at(whole);
        spill(self.file, whole, &mut self.direct, &mut self.spent)?;
        set_direct(self.file, false, &mut self.direct)?;
        spill(self.file, rest, &mut self.direct, &mut self.spent)?;
        Ok(self.spent)
    }

    fn wait(&mut self) -> io::Result<()> {
        if let Some((direct, spent)) = self.staging.wait()? {
            self.direct = direct;
            self.spent.add(spent);
        }
        Ok(())
    }
}

/// Writes all of it, directly if that works.
fn spill(file: &mut File, bytes: &[u8], direct: &mut bool, spent: &mut Spent) -> io::Result<()> {
    let (mut written, since) = (0, Instant::now());
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Some file systems say only now that they cannot, or want greater multiples.
            Err(error) if *direct && Errno::from_io_error(&error) == Some(Errno::INVAL) => {
                set_direct(file, false, direct)?;
            }
            Err(error) => return Err(error),
        }
    }
    spent.bytes += bytes.len() as u64;
    spent.took += since.elapsed();
    Ok(())
}

/// Switches a file, whatever descriptors it has.
fn set_direct(file: &File, on: bool, direct: &mut bool) -> io::Result<()> {
    if *direct != on {
        let mut flags = fcntl_getfl(file)?;
        flags.set(OFlags::DIRECT, on);
        fcntl_setfl(file, flags)?;
        *direct = on;
    }
    Ok(())
}

impl Write for Direct<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = &mut self.staging.filling.bytes()[self.filled..];
        let taken = bytes.len().min(room.len());
        room[..taken].copy_from_slice(&bytes[..taken]);
        self.filled += taken;
        if self.filled == WRITE_BYTES {
            self.wait()?;
            if !std::mem::replace(&mut self.asked, true) {
                // Refused by a file system without it, which then gets ordinary writes.
                let _ordinary = set_direct(self.file, true, &mut self.direct);
            }
            self.staging.submit(self.file, self.direct)?;
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
        direct.wait().unwrap();
        let was_direct = direct.direct;
        direct.finish().unwrap();
        assert!(fs::read(path).unwrap() == bytes, "{} bytes in {}", bytes.len(), path.display());
        was_direct
    }

    #[test]
    fn any_length_arrives_whole_and_past_the_page_cache_where_that_works() {
        let mut staging = Staging::new().unwrap();
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
        let mut staging = Staging::new().unwrap();
        for half in [Some(&mut staging.filling), staging.idle.as_mut()].into_iter().flatten() {
            half.start = (half.start + 1) % LARGE_PAGE_BYTES;
        }
        let path = std::env::temp_dir().join(format!("mainstay-odd-{}", std::process::id()));
        writes(&path, &bytes(2 * WRITE_BYTES + 5000), &mut staging);
        fs::remove_file(&path).unwrap();
    }

    /// Nobody asks for its error behind the end, when the file would pass for whole.
    #[test]
    fn a_write_that_fails_while_under_way_fails_its_own_file_and_no_other() {
        let mut staging = Staging::new().unwrap();
        let path = std::env::temp_dir().join(format!("mainstay-full-{}", std::process::id()));
        for given_up in [false, true] {
            let mut full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
            let mut direct = Direct::new(&mut full, &mut staging);
            direct.write_all(&bytes(WRITE_BYTES)).unwrap();
            if !given_up {
                assert_eq!(direct.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
            }
            writes(&path, &bytes(WRITE_BYTES + 7), &mut staging);
        }
        fs::remove_file(&path).unwrap();
    }
}
