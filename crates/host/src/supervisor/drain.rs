//! The drain: a thread that writes committed versions to the checkpoint directory.
//!
//! Every byte is checked against the CRC taken from live memory in the pass that writes it.
//! Invariants: publication waits for the supervisor's word; a thread that hangs in the file system
//! holds nobody up. Deliberately absent: the order of operations and what is undone after a failure,
//! which `ckpt::commit` decides; which version, what to prune, and how long a write may take, which
//! ledger and `versions` decide.

mod digest;
mod part;

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
    Residency,
};
use mainstay_types::limits::CRC_CHUNK_BYTES;
use mainstay_types::{Version, crc32c_append};
use rustix::event::{EventfdFlags, eventfd};

pub(crate) use self::digest::{UNKNOWN, digest_of};
pub(crate) use self::part::{Part, Remote, RemotePart};
use crate::directory::{Carrier, Direct, Directory, Staging};
use crate::guard::Sources;
use crate::shm::{Arena, Blob};
use crate::sys;

/// Why a version is not published that nobody waits for any more.
const ENDED: &str = "the job ended first";

/// A version to be written.
#[derive(Debug)]
pub(crate) struct WriteTask {
    pub(crate) manifest: Manifest,
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
}

/// What the drain reports.
#[derive(Debug)]
pub(crate) enum Report {
    /// Shards and manifest are written aside; it waits for [`Drain::publish`].
    Aside(Version),
    /// It is published; the processor time that writing it took, without digests.
    Published(Version, Duration),
    /// It is not on disk, and why not.
    Failed(Version, String),
    /// The digest of the program's file.
    Program([u8; 32]),
    /// The digest of an input.
    Input(String, [u8; 32]),
    PruneFailed(String),
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
    pub(crate) fn start(directory: Arc<Directory>) -> io::Result<Self> {
        Self::spawn(|done, ready, cancelled| {
            let (program, inputs) = (None, BTreeMap::new());
            let worker = Worker { directory, done, ready, cancelled, program, inputs };
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
    done: Sender<Report>,
    ready: Arc<OwnedFd>,
    cancelled: Arc<AtomicBool>,
    /// The digest of the program's file, once computed.
    program: Option<[u8; 32]>,
    /// Those of inputs.
    inputs: BTreeMap<String, [u8; 32]>,
}

impl Worker {
    fn run(mut self, todo: &Receiver<Task>) {
        while let Ok(task) = todo.recv() {
            match task {
                Task::Write(mut write) => match self.identify(&mut write) {
                    Ok(()) => self.write(&mut write, todo),
                    Err(why) => {
                        let version = write.manifest.version;
                        self.report(Report::Failed(version, why));
                    }
                },
                Task::Prune(files) => self.prune(&files),
                Task::Publish => {}
            }
        }
    }

    fn prune(&self, files: &Files) {
        if let Err(error) = self.directory.prune(files) {
            self.report(Report::PruneFailed(error.to_string()));
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

    fn write(&self, write: &mut WriteTask, todo: &Receiver<Task>) {
        let version = write.manifest.version;
        let cpu = sys::thread_cpu();
        let mut commit = Commit::new(Files::of(&write.manifest));
        let mut carrier = Carrier::new(&self.directory);
        let mut staging = Staging::new();
        let mut ended = None;
        while let Some(next) = commit.next() {
            let outcome = match next {
                Next::Do(Op::Ask) => {
                    self.report(Report::Aside(version));
                    let word = self.word(todo);
                    ended = word.err();
                    if ended.is_none() { Outcome::Done } else { Outcome::Failed(Fault::Other) }
                }
                Next::Do(Op::Write(name, content)) => carrier.fill(&name, |file| match content {
                    Content::Part(i) if i >= write.parts.len() => self.guard(write, &name, file),
                    Content::Part(i) => self.part(write, i, Direct::new(file, &mut staging)),
                    Content::Manifest => file.write_all(&write.manifest.encode()),
                }),
                Next::Do(op) => carrier.carry_out(&op),
                Next::Published => {
                    let cpu = sys::thread_cpu().saturating_sub(cpu);
                    self.report(Report::Published(version, cpu));
                    continue;
                }
                Next::Failed(_) => {
                    let error = carrier.take_error().map(|error| error.to_string());
                    let why = ended.take().map(str::to_owned).or(error).unwrap_or_default();
                    self.report(Report::Failed(version, why));
                    continue;
                }
            };
            commit.done(outcome);
        }
    }

    /// Waits for the word that a version may be published, and prunes others meanwhile.
    fn word(&self, todo: &Receiver<Task>) -> Result<(), &'static str> {
        loop {
            match todo.recv() {
                Ok(Task::Publish) => return Ok(()),
                Ok(Task::Prune(files)) => self.prune(&files),
                Ok(Task::Write(_)) | Err(_) => return Err(ENDED),
            }
        }
    }

    /// Writes a rank's image and its late messages.
    fn part(&self, write: &WriteTask, i: usize, mut file: Direct<'_>) -> io::Result<()> {
        let missing = || io::Error::other("it has no arena");
        let part = write.parts.get(i).ok_or_else(missing)?;
        let entry = write.manifest.ranks.get(i).ok_or_else(missing)?;
        match part {
            Part::Here(arena, _) => {
                let memory = Arena::readable(arena.fd.try_clone()?, arena.bytes)?;
                self.image(&memory, entry.table_crc, &mut file)?;
            }
            Part::There(remote) => self.image(remote, entry.table_crc, &mut file)?,
        }
        if entry.late_bytes > 0 {
            zeros(&mut file, entry.image_bytes, entry.late_at())?;
            part.write_late(entry, &mut file)?;
        }
        file.finish()
    }

    /// Writes what a node holds for others, from the shards that were written before it.
    fn guard(&self, write: &mut WriteTask, name: &str, file: &mut File) -> io::Result<()> {
        let of_node = write.manifest.guard_names().find(|(_, guard)| guard == name);
        let (node, _) = of_node.ok_or_else(|| io::Error::other("it is of no node"))?;
        let ring = write.manifest.nodes.as_ref().map(|nodes| nodes.ring);
        let ring = ring.ok_or_else(|| io::Error::other("there are no nodes"))?;
        let fetch = ring.guard(node, &write.manifest.node_lengths());
        let mut crc = 0;
        let mut out = io::BufWriter::with_capacity(1 << 20, file);
        Sources::new(self.directory.path(), &write.manifest).carry_out(fetch, &mut |bytes| {
            self.go_on()?;
            crc = crc32c_append(crc, bytes);
            out.write_all(bytes)
        })?;
        out.flush()?;
        if let Some(layout) = &mut write.manifest.nodes {
            layout.guard_crcs[node.index()] = crc;
        }
        Ok(())
    }

    /// Writes an image chunk by chunk, each as it was checked.
    fn image(&self, memory: &impl ReadAt, table_crc: u32, file: &mut impl Write) -> io::Result<()> {
        let image = Image::open(memory).map_err(io::Error::other)?;
        if image.header.table_crc != table_crc {
            return Err(io::Error::other("the arena holds another image than was captured"));
        }
        file.write_all(&image.header.encode())?;
        let mut at = zeros(file, HEADER_BYTES as u64, PAGE_BYTES)?;
        let mut buffer = vec![0; CRC_CHUNK_BYTES];
        for field in &image.table.fields {
            at = zeros(file, at, field.at)?;
            let end = field.at + field.spec.bytes().unwrap_or(0);
            for (i, stored) in field.crcs.iter().enumerate() {
                self.go_on()?;
                let len = usize::try_from(end - at)
                    .map_or(CRC_CHUNK_BYTES, |left| left.min(CRC_CHUNK_BYTES));
                let part = &mut buffer[..len];
                let found =
                    memory.read_at(at, part, Residency::Cached).map_err(io::Error::other)?;
                if found != *stored {
                    let name = field.spec.full_name();
                    return Err(io::Error::other(format!(
                        "chunk {i} of {name} changed in the arena after its capture"
                    )));
                }
                file.write_all(part)?;
                at += len as u64;
            }
        }
        zeros(file, at, image.header.table_at)?;
        let len = usize::try_from(image.header.table_bytes).map_err(io::Error::other)?;
        let mut table = vec![0; len];
        let found = memory.read_at(image.header.table_at, &mut table, Residency::Cached);
        if found.map_err(io::Error::other)? != table_crc {
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
