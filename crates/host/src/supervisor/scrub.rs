//! The thread that reads copies of versions again, at the lowest priority and no faster than it was told.
//!
//! Every byte read is compared with the checksum that was taken from live memory. Shards are read past
//! the page cache as far as the kernel goes along, since it is the disk that is in question. Invariants:
//! it changes nothing; whoever waits for its end waits for no more than a piece of a file system that
//! hangs. Deliberately absent: which copy is next (`ckpt::scrub`), what follows from a finding (the
//! ledger), and writing.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::ops::{ControlFlow, Range};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mainstay_ckpt::format::verify::{Finding, Part, Seen, audit_image, audit_shard};
use mainstay_ckpt::pack::{Stored, audit_packed};
use mainstay_ckpt::scrub::Copy;
use mainstay_ckpt::{Expected, Image, ReadAt, Residency, Unreadable, read_late};
use mainstay_types::crc32c;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{Advice, fadvise};

use super::member::ArenaMemory;
use crate::directory::Directory;
use crate::shm::Blob;
use crate::sys;

/// The least of all processes.
const NICENESS: i32 = 19;

/// Where a copy lies.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// In an arena, with its late messages beside it.
    Arena(ArenaMemory, Option<Arc<Blob>>),
    /// In a file of this name.
    Shard(String),
}

/// A copy, and what it has to be.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) copy: Copy,
    pub(crate) place: Place,
    pub(crate) expected: Expected,
    /// Bytes and checksum of its late messages.
    pub(crate) late: (u64, u32),
}

/// Something to be read.
#[derive(Debug)]
pub(crate) enum Work {
    /// All of a copy, at so many bytes a second.
    Check(Object, u64),
    /// A part of a copy that is to be whole, for another copy that is not.
    Fetch(Object, Part, Range<u64>),
}

/// What was read.
#[derive(Debug)]
pub(crate) enum Found {
    Checked(Checked),
    /// The bytes, and where they belong.
    Fetched(Result<(Part, u64, Vec<u8>), String>),
}

/// What reading a copy came to.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) copy: Copy,
    pub(crate) bytes: u64,
    pub(crate) cpu: Duration,
    pub(crate) findings: Vec<Finding>,
    /// Why nothing of it could be read.
    pub(crate) gone: Option<String>,
}

/// The supervisor's end.
#[derive(Debug)]
pub(crate) struct Scrubber {
    /// Dropped to end the thread.
    work: Option<(Sender<Work>, Sender<()>)>,
    found: Receiver<Found>,
    ready: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Scrubber {
    pub(crate) fn start(directory: Arc<Directory>) -> io::Result<Self> {
        let (work, todo) = channel();
        let (go_on, ended) = channel();
        let (done, found) = channel();
        let ready = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let worker = Worker { directory, done, ready: Arc::clone(&ready), ended };
        let thread = std::thread::Builder::new()
            .name("mainstay-scrub".to_owned())
            .spawn(move || worker.run(&todo))?;
        Ok(Self { work: Some((work, go_on)), found, ready, thread: Some(thread) })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }

    pub(crate) fn send(&self, work: Work) {
        if let Some((sender, _)) = &self.work {
            // The thread ends only when the sender is dropped.
            let _sent = sender.send(work);
        }
    }

    /// What was found since the last call.
    pub(crate) fn found(&self) -> Vec<Found> {
        let mut count = [0; 8];
        let _none_yet = rustix::io::read(&self.ready, &mut count);
        self.found.try_iter().collect()
    }

    /// Ends the thread and waits for that at most so long; whether it has ended.
    pub(crate) fn end(&mut self, at_most: Duration) -> bool {
        self.work = None;
        let until = Instant::now() + at_most;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.found.recv_timeout(left) {
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return false,
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed; nothing of it is needed here.
            let _panicked = thread.join();
        }
        true
    }
}

struct Worker {
    directory: Arc<Directory>,
    done: Sender<Found>,
    ready: Arc<OwnedFd>,
    /// Hung up when nobody wants to know any more.
    ended: Receiver<()>,
}

impl Worker {
    fn run(self, todo: &Receiver<Work>) {
        // Where that is refused it costs the ranks a little more.
        let _as_before =
            rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
        while let Ok(work) = todo.recv() {
            let found = match work {
                Work::Check(object, rate) => Found::Checked(self.check(&object, rate)),
                Work::Fetch(object, part, at) => Found::Fetched(self.fetch(&object, part, &at)),
            };
            self.report(found);
        }
    }

    #[expect(clippy::host_endian_bytes, reason = "the kernel reads the counter as this host does")]
    fn report(&self, found: Found) {
        // A supervisor that is gone needs no reports.
        let _gone = self.done.send(found);
        let _full = rustix::io::write(&self.ready, &1_u64.to_ne_bytes());
    }

    /// Opens what a copy lies in, to be read at so many bytes a second.
    fn open(&self, place: &Place, rate: u64) -> Result<Paced<'_>, String> {
        let (file, bytes) = match place {
            Place::Arena(arena, _) => {
                let fd = arena.fd.try_clone().map_err(|error| error.to_string())?;
                (File::from(fd), arena.bytes)
            }
            Place::Shard(name) => {
                let file = self.directory.open_file(name).map_err(|error| error.to_string())?;
                let bytes = file.metadata().map_err(|error| error.to_string())?.len();
                (file, bytes)
            }
        };
        let (on_disk, begun) = (matches!(place, Place::Shard(_)), Instant::now());
        let read = std::cell::Cell::new(0);
        Ok(Paced { file, bytes, on_disk, rate, begun, read, ended: &self.ended })
    }

    /// A shard, with those that it refers to.
    fn stored<'a>(&'a self, shard: Paced<'a>, rate: u64) -> Result<Stored<Paced<'a>>, String> {
        let open = |name: &str| self.open(&Place::Shard(name.to_owned()), rate);
        Stored::open(shard, open).map_err(|error| error.to_string())
    }

    fn check(&self, object: &Object, rate: u64) -> Checked {
        let Object { copy, place, expected, late } = object;
        let cpu = sys::thread_cpu();
        let (mut findings, mut gone) = (Vec::new(), None);
        let mut bytes = 0;
        match self.open(place, rate) {
            Err(why) => gone = Some(why),
            Ok(paced) => {
                let see = &mut |seen| {
                    match seen {
                        Seen::Bytes(more) => bytes += more,
                        Seen::Wrong(finding) => findings.push(finding),
                    }
                    match has_ended(&self.ended) {
                        true => ControlFlow::Break(()),
                        false => ControlFlow::Continue(()),
                    }
                };
                match place {
                    Place::Arena(..) => {
                        let _to_the_end = audit_image(&paced, expected, see);
                    }
                    Place::Shard(_) => match self.stored(paced, rate) {
                        Err(why) => gone = Some(why),
                        Ok(shard) => {
                            let stored = audit_packed(&shard, see);
                            if stored.is_continue() {
                                let _to_the_end = audit_shard(&shard, expected, *late, see);
                            }
                        }
                    },
                }
            }
        }
        if let Place::Arena(_, blob) = place {
            bytes += late.0;
            findings.extend(late_finding(blob.as_deref(), *late));
        }
        let cpu = sys::thread_cpu().saturating_sub(cpu);
        Checked { copy: *copy, bytes, cpu, findings, gone }
    }

    /// Reads a part of a copy, as far as it is whole.
    fn fetch(
        &self,
        object: &Object,
        part: Part,
        at: &Range<u64>,
    ) -> Result<(Part, u64, Vec<u8>), String> {
        let paced = self.stored(self.open(&object.place, u64::MAX)?, u64::MAX)?;
        if part == Part::Late {
            let (bytes, crc) = object.late;
            let late_at = paced.bytes().saturating_sub(bytes);
            let mut late = vec![0; usize::try_from(bytes).map_err(|error| error.to_string())?];
            let found = paced.read_at(late_at, &mut late, Residency::Cached);
            return match found.map_err(|error| error.to_string())? == crc {
                true => Ok((part, 0, late)),
                false => Err("its late messages are damaged, too".to_owned()),
            };
        }
        let image = Image::open_expected(&paced, &object.expected);
        let image = image.map_err(|error| error.to_string())?;
        let bytes = image.part(&paced, part, at).map_err(|error| error.to_string())?;
        Ok((part, image.part_at(part, at), bytes))
    }
}

/// What is wrong with late messages that lie apart.
fn late_finding(blob: Option<&Blob>, (bytes, crc): (u64, u32)) -> Option<Finding> {
    if bytes == 0 {
        return None;
    }
    let late: &[u8] = blob.map_or(&[], |blob| blob);
    let error = read_late(late, 0, bytes, crc).err()?;
    Some(Finding { part: Part::Late, field: None, at: 0..bytes, error })
}

/// A file that is read at so many bytes a second.
struct Paced<'a> {
    file: File,
    bytes: u64,
    on_disk: bool,
    rate: u64,
    begun: Instant,
    read: std::cell::Cell<u64>,
    ended: &'a Receiver<()>,
}

/// Whether nobody wants to know any more.
fn has_ended(ended: &Receiver<()>) -> bool {
    ended.try_recv() == Err(std::sync::mpsc::TryRecvError::Disconnected)
}

impl Paced<'_> {
    /// Waits until so many more bytes may be read.
    fn wait(&self, more: u64) {
        let read = self.read.get();
        self.read.set(read.saturating_add(more));
        let due = Duration::from_secs_f64(read as f64 / self.rate.max(1) as f64);
        let early = due.saturating_sub(self.begun.elapsed());
        if !early.is_zero() {
            // The end of the job ends the wait, too.
            let _passed = self.ended.recv_timeout(early);
        }
    }

    /// Has the kernel forget what it keeps of these bytes, so that they come from the disk.
    fn forget(&self, at: u64, bytes: u64) {
        if self.on_disk {
            let _still_kept = fadvise(&self.file, at, NonZeroU64::new(bytes), Advice::DontNeed);
        }
    }
}

impl ReadAt for Paced<'_> {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, at: u64, into: &mut [u8], _hint: Residency) -> Result<u32, Unreadable> {
        let bytes = into.len() as u64;
        let unreadable = |why: String| Unreadable { at, bytes, why };
        if at.checked_add(bytes).is_none_or(|end| end > self.bytes) {
            return Err(unreadable(format!("it ends at {}", self.bytes)));
        }
        self.wait(bytes);
        self.forget(at, bytes);
        self.file.read_exact_at(into, at).map_err(|error| unreadable(error.to_string()))?;
        self.forget(at, bytes);
        Ok(crc32c(into))
    }
}
