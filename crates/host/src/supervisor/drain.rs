//! The drain: a thread that writes committed versions to the checkpoint directory.
//!
//! Every byte is checked against the CRC taken from live memory in the pass that writes it.
//! Invariants: publication waits for the supervisor's word; a thread that hangs in the file system
//! holds nobody up. Deliberately absent: the order of operations and what is undone after a failure,
//! which `ckpt::commit` decides; which version, what to prune, and how long a write may take, which
//! ledger and `versions` decide.

mod digest;
mod pack;
mod part;
mod stored;
mod tend;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mainstay_ckpt::format::memory::ReadAt;
use mainstay_ckpt::{
    Commit, Content, Fault, Files, HEADER_BYTES, Image, Manifest, Next, Op, Outcome, PAGE_BYTES,
    Packing, Residency,
};
use mainstay_types::Version;
use mainstay_types::limits::CRC_CHUNK_BYTES;
use rustix::event::{EventfdFlags, eventfd};

pub(crate) use self::digest::{UNKNOWN, digest_of};
pub use self::pack::Storing;
use self::pack::{Codecs, Lineage};
pub(crate) use self::part::{Part, Remote, RemotePart};
use self::stored::{Writing, checked};
pub(crate) use self::tend::MendTask;
use crate::directory::{Carrier, Directory, STAGING_BYTES, Spent};
use crate::shm::Blob;
use crate::sys;

/// Why a version is not published that nobody waits for any more.
const ENDED: &str = "the job ended first";

/// What the drain takes of memory, for people: it writes a rank at a time, in pieces.
pub(super) fn memory() -> String {
    let bytes = STAGING_BYTES + CRC_CHUNK_BYTES;
    format!("{} MiB, and the table of one rank", bytes.div_ceil(1 << 20))
}

/// A version to be written.
#[derive(Debug)]
pub(crate) struct WriteTask {
    pub(crate) manifest: Manifest,
    /// The version that it may refer to.
    pub(crate) base: Option<Version>,
    /// Where each rank's image and late messages lie, by rank.
    pub(crate) parts: Vec<Part>,
    /// The program's file, if its digest is not in the manifest yet.
    pub(crate) program: Option<Arc<File>>,
    /// Inputs whose digests are not in the manifest yet, or not compared with it.
    pub(crate) inputs: Vec<(String, Arc<Blob>)>,
}

#[derive(Debug)]
enum Task {
    Write(Box<WriteTask>),
    /// The manifest that was written aside may be published.
    Publish,
    Prune(Files),
    /// The version is kept for good.
    Archive(Version),
    Mend(Box<MendTask>),
}

/// What the drain reports.
#[derive(Debug)]
pub(crate) enum Report {
    /// Shards and manifest are written aside; it waits for [`Drain::publish`]. How each shard is
    /// packed.
    Aside(Version, Vec<Option<Packing>>),
    /// It is published; the processor time that writing it took, without digests.
    Published(Version, Duration),
    /// It is not on disk, and why not.
    Failed(Version, String),
    /// It is not on disk, as a node that it is read from gives no bytes.
    Unread(Version, String),
    /// Nothing is left of one that failed when it was to be published.
    Undone(Version),
    /// The digest of the program's file.
    Program([u8; 32]),
    /// The digest of an input.
    Input(String, [u8; 32]),
    PruneFailed(String),
    /// A version is not marked as kept for good, and why not.
    ArchiveFailed(Version, String),
    /// A shard was written anew where it was bad, or why not.
    Mended(Result<(), String>),
}

/// The supervisor's end.
#[derive(Debug)]
pub(crate) struct Drain {
    tasks: Option<Sender<Task>>,
    reports: Receiver<Report>,
    ready: Arc<OwnedFd>,
    cancelled: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drain {
    pub(crate) fn start(directory: Arc<Directory>, storing: Storing) -> io::Result<Self> {
        Self::spawn(|done, ready, cancelled| {
            let worker = Worker {
                directory,
                storing,
                done,
                ready,
                cancelled,
                program: None,
                inputs: BTreeMap::new(),
                lineage: None,
                codecs: Codecs::default(),
                target: Spent::default(),
            };
            move |todo| worker.run(&todo)
        })
    }

    /// A thread that does whatever `make` makes of its end of the channels.
    fn spawn<F: FnOnce(Receiver<Task>) + Send + 'static>(
        make: impl FnOnce(Sender<Report>, Arc<OwnedFd>, Arc<AtomicBool>) -> F,
    ) -> io::Result<Self> {
        let (tasks, todo) = channel();
        let (done, reports) = channel();
        let ready = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let cancelled = Arc::new(AtomicBool::new(false));
        let work = make(done, Arc::clone(&ready), Arc::clone(&cancelled));
        let thread = std::thread::Builder::new()
            .name("mainstay-drain".to_owned())
            .spawn(move || work(todo))?;
        Ok(Self { tasks: Some(tasks), reports, ready, cancelled, thread: Some(thread) })
    }

    /// A thread that hangs until `released` says or drops something, then ends like another.
    #[cfg(test)]
    pub(crate) fn hanging(released: Receiver<()>) -> io::Result<Self> {
        Self::spawn(|done, ready, cancelled| {
            move |todo| {
                let _released = released.recv();
                drop((done, ready, cancelled, todo));
            }
        })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }

    pub(crate) fn write(&self, write: WriteTask) {
        self.send(Task::Write(Box::new(write)));
    }

    pub(crate) fn publish(&self) {
        self.send(Task::Publish);
    }

    pub(crate) fn prune(&self, files: Files) {
        self.send(Task::Prune(files));
    }

    pub(crate) fn archive(&self, version: Version) {
        self.send(Task::Archive(version));
    }

    pub(crate) fn mend(&self, task: MendTask) {
        self.send(Task::Mend(Box::new(task)));
    }

    fn send(&self, task: Task) {
        if let Some(tasks) = &self.tasks {
            // The worker ends only when the sender is dropped.
            let _sent = tasks.send(task);
        }
    }

    /// What was done since the last call.
    pub(crate) fn reports(&self) -> Vec<Report> {
        let mut count = [0; 8];
        let _none_yet = rustix::io::read(&self.ready, &mut count);
        self.reports.try_iter().collect()
    }

    /// Waits for the next report, at most so long.
    pub(crate) fn wait(&self, at_most: Duration) -> Result<Report, RecvTimeoutError> {
        self.reports.recv_timeout(at_most)
    }

    /// Gives up what is under way. The thread ends by itself, if the file system lets it.
    pub(crate) fn abandon(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
        self.tasks = None;
    }

    /// Whether the thread has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Gives up what is under way and waits for the thread's end, at most so long and not once
    /// `pressed` says so; whether it has ended.
    pub(crate) fn end(&mut self, at_most: Duration, pressed: &mut dyn FnMut() -> bool) -> bool {
        self.abandon();
        let until = Instant::now() + at_most;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.wait(left.min(sys::LOOK)) {
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) if left.is_zero() || pressed() => return false,
                Err(RecvTimeoutError::Timeout) => {}
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

impl Drop for Drain {
    fn drop(&mut self) {
        self.abandon();
    }
}

struct Worker {
    directory: Arc<Directory>,
    storing: Storing,
    done: Sender<Report>,
    ready: Arc<OwnedFd>,
    cancelled: Arc<AtomicBool>,
    /// The digest of the program's file, once computed.
    program: Option<[u8; 32]>,
    /// Those of inputs.
    inputs: BTreeMap<String, [u8; 32]>,
    /// The version that was published last, if it may be referred to.
    lineage: Option<Lineage>,
    codecs: Codecs,
    /// What the last version took to be written.
    target: Spent,
}

impl Worker {
    fn run(mut self, todo: &Receiver<Task>) {
        while let Ok(task) = todo.recv() {
            match task {
                Task::Write(mut write) => match self.identify(&mut write) {
                    Ok(()) => self.write(&write, todo),
                    Err(why) => {
                        let version = write.manifest.version;
                        self.report(Report::Failed(version, why));
                    }
                },
                Task::Publish => {}
                other => self.tend(other),
            }
        }
    }

    #[expect(clippy::host_endian_bytes, reason = "the kernel reads the counter as this host does")]
    fn report(&self, report: Report) {
        // A supervisor that is gone needs no reports.
        let _gone = self.done.send(report);
        let _full = rustix::io::write(&self.ready, &1_u64.to_ne_bytes());
    }

    /// Puts the digests of program and inputs into the manifest.
    fn identify(&mut self, write: &mut WriteTask) -> Result<(), String> {
        if let Some(program) = write.program.take() {
            write.manifest.identity.program.sha256 = self.program_digest(&program)?;
        }
        for (name, blob) in &write.inputs {
            self.input_digest(&mut write.manifest, name, blob)?;
        }
        Ok(())
    }

    fn write(&mut self, task: &WriteTask, todo: &Receiver<Task>) {
        let version = task.manifest.version;
        let cpu = sys::thread_cpu();
        let mut commit = Commit::new(Files::of(&task.manifest));
        let directory = Arc::clone(&self.directory);
        let mut carrier = Carrier::new(&directory);
        let mut staging = None;
        let (manifest, spent) = (task.manifest.clone(), Spent::default());
        let mut writing = Writing { task, manifest, maps: Vec::new(), spent };
        self.find_base(task.base);
        let (mut ended, mut asked) = (None, false);
        while let Some(next) = commit.next() {
            let outcome = match next {
                Next::Do(Op::Ask) => {
                    let ranks = writing.manifest.ranks.iter();
                    let packings = ranks.map(|rank| rank.packing.clone()).collect();
                    self.report(Report::Aside(version, packings));
                    asked = true;
                    let word = self.word(todo);
                    ended = word.err();
                    if ended.is_none() { Outcome::Done } else { Outcome::Failed(Fault::Other) }
                }
                Next::Do(Op::Write(name, content)) => carrier.fill(&name, |file| match content {
                    Content::Part(i) => self.fill(&mut writing, i, file, &mut staging),
                    Content::Manifest => file.write_all(&writing.manifest.encode()),
                }),
                Next::Do(op @ Op::Sync(_)) => {
                    let since = Instant::now();
                    let outcome = carrier.carry_out(&op);
                    writing.spent.took += since.elapsed();
                    outcome
                }
                Next::Do(op) => carrier.carry_out(&op),
                Next::Published => {
                    let maps = std::mem::take(&mut writing.maps);
                    self.lineage = pack::lineage(&writing.manifest, maps);
                    self.target = writing.spent;
                    let cpu = sys::thread_cpu().saturating_sub(cpu) + writing.spent.cpu;
                    self.report(Report::Published(version, cpu));
                    continue;
                }
                Next::Failed(failure) => {
                    let error = carrier.take_error().map(|error| error.to_string());
                    let why = ended.take().map(str::to_owned).or(error).unwrap_or_default();
                    let unread = task.parts.iter().find_map(Part::failed);
                    self.report(match unread {
                        Some(why) => Report::Unread(version, why),
                        None => Report::Failed(version, why),
                    });
                    // What a failed sync of names leaves, nobody can tell for sure.
                    if asked && failure.clean && failure.op != Op::SyncNames {
                        self.report(Report::Undone(version));
                    }
                    continue;
                }
            };
            commit.done(outcome);
        }
    }

    /// Waits for the word that a version may be published, and tends others meanwhile.
    fn word(&self, todo: &Receiver<Task>) -> Result<(), &'static str> {
        loop {
            match todo.recv() {
                Ok(Task::Publish) => return Ok(()),
                Ok(Task::Write(_)) | Err(_) => return Err(ENDED),
                Ok(other) => self.tend(other),
            }
        }
    }

    /// Writes an image chunk by chunk, each as it was checked.
    fn image(&self, memory: &dyn ReadAt, image: &Image, file: &mut impl Write) -> io::Result<()> {
        file.write_all(&image.header.encode())?;
        let mut at = zeros(file, HEADER_BYTES as u64, PAGE_BYTES)?;
        let mut buffer = vec![0; CRC_CHUNK_BYTES];
        for field in &image.table.fields {
            at = zeros(file, at, field.at)?;
            for (i, stored) in field.crcs.iter().enumerate() {
                self.go_on()?;
                let part = checked(memory, field, (i, *stored), &mut buffer)?;
                file.write_all(part)?;
                at += part.len() as u64;
            }
        }
        zeros(file, at, image.header.table_at)?;
        let len = usize::try_from(image.header.table_bytes).map_err(io::Error::other)?;
        let mut table = vec![0; len];
        let found = memory.read_at(image.header.table_at, &mut table, Residency::Cached);
        if found.map_err(io::Error::other)? != image.header.table_crc {
            return Err(io::Error::other("the table changed in the arena after its capture"));
        }
        file.write_all(&table)
    }

    /// Fails once the job does not want to be written any more.
    fn go_on(&self) -> io::Result<()> {
        match self.cancelled.load(Ordering::Relaxed) {
            true => Err(io::Error::other(ENDED)),
            false => Ok(()),
        }
    }
}

/// Fills the gap from one offset to another with zeros; gives the other.
fn zeros(file: &mut impl Write, from: u64, to: u64) -> io::Result<u64> {
    io::copy(&mut io::repeat(0).take(to.saturating_sub(from)), file)?;
    Ok(to.max(from))
}
