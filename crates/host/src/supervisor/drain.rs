//! The drain: a thread that writes committed versions to the checkpoint directory.
//!
//! Every byte is checked against the CRC taken from live memory in the pass that writes it.
//! Invariants: while shards of a version lie there and it is not published, so does its aside,
//! empty at first; shards are written and synced before the manifest, the manifest aside before it
//! is published, and publication waits for the supervisor's word; a failed write leaves no file
//! under a final name; a thread that hangs in the file system holds nobody up. Deliberately absent:
//! which version, what to prune, and how long a write may take; ledger and `versions` decide.

mod digest;

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
    HEADER_BYTES, Image, Manifest, PAGE_BYTES, Residency, aside_name, manifest_name,
};
use mainstay_types::limits::CRC_CHUNK_BYTES;
use mainstay_types::{Rank, Version};
use rustix::event::{EventfdFlags, eventfd};

pub(crate) use self::digest::{UNKNOWN, digest_of};
use super::member::ArenaMemory;
use crate::directory::{Direct, Directory, Staging};
use crate::shm::{Arena, Blob};
use crate::sys;

/// A version to be written.
#[derive(Debug)]
pub(crate) struct WriteTask {
    pub(crate) manifest: Manifest,
    /// Each rank's arena and late messages, by rank.
    pub(crate) parts: Vec<(ArenaMemory, Option<Arc<Blob>>)>,
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
    Prune(Version, Vec<String>),
}

/// What the drain reports.
#[derive(Debug)]
pub(crate) enum Report {
    /// Shards and manifest are written aside; it waits for [`Drain::publish`].
    Aside(Version),
    /// It is published; the processor time that writing it took, without digests.
    Published(Version, Duration),
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

    pub(crate) fn prune(&self, version: Version, names: Vec<String>) {
        self.send(Task::Prune(version, names));
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
                Task::Write(write) => {
                    let version = write.manifest.version;
                    let names: Vec<_> = write.manifest.shard_names().collect();
                    if let Err(why) = self.write(*write, todo) {
                        // Also if it was published and not synced. What is not removed now is
                        // ignored, and removed at the next start.
                        let aside = aside_name(version);
                        let _later = self.directory.withdraw(&manifest_name(version), &aside);
                        let _later = self.directory.remove(&names);
                        let _later = self.directory.remove(&[aside]);
                        self.report(Report::Failed(version, why));
                    }
                }
                Task::Prune(version, names) => self.prune(version, &names),
                Task::Publish => {}
            }
        }
    }

    fn prune(&self, version: Version, names: &[String]) {
        // Aside while its shards go, so that whoever finds the rest knows what it is.
        let aside = aside_name(version);
        let pruned = self
            .directory
            .withdraw(&manifest_name(version), &aside)
            .and_then(|()| self.directory.remove(names))
            .and_then(|()| self.directory.remove(&[aside]));
        if let Err(error) = pruned {
            self.report(Report::PruneFailed(error.to_string()));
        }
    }

    #[expect(clippy::host_endian_bytes, reason = "the kernel reads the counter as this host does")]
    fn report(&self, report: Report) {
        // A supervisor that is gone needs no reports.
        let _gone = self.done.send(report);
        let _full = rustix::io::write(&self.ready, &1_u64.to_ne_bytes());
    }

    fn write(&mut self, mut write: WriteTask, todo: &Receiver<Task>) -> Result<(), String> {
        if let Some(program) = write.program.take() {
            write.manifest.identity.program.sha256 = self.program_digest(&program)?;
        }
        for (name, blob) in &write.inputs {
            self.input_digest(&mut write.manifest, name, blob)?;
        }
        let manifest = write.manifest;
        let cpu = sys::thread_cpu();
        let aside = aside_name(manifest.version);
        // Before its shards: what a launcher leaves that dies in between is known by it.
        let declared = self.directory.write_new(&aside, |_| Ok(()));
        declared.and_then(|()| self.directory.sync()).map_err(|error| error.to_string())?;
        let mut staging = Staging::new();
        for ((rank, entry), (arena, late)) in
            Rank::all(manifest.n()).zip(&manifest.ranks).zip(&write.parts)
        {
            let name = entry.shard_name(manifest.version, rank);
            let fd = arena.fd.try_clone().map_err(|error| error.to_string())?;
            let memory = Arena::readable(fd, arena.bytes).map_err(|error| error.to_string())?;
            let fill = |file: &mut File| -> io::Result<()> {
                let mut file = Direct::new(file, &mut staging);
                self.image(&memory, entry.table_crc, &mut file)?;
                if let Some(late) = late.as_ref().filter(|late| !late.is_empty()) {
                    zeros(&mut file, entry.image_bytes, entry.late_at())?;
                    file.write_all(late)?;
                }
                file.finish()
            };
            self.directory.write_new(&name, fill).map_err(|error| error.to_string())?;
        }
        let bytes = manifest.encode();
        self.directory
            .rewrite(&aside, |file| file.write_all(&bytes))
            .map_err(|error| error.to_string())?;
        self.report(Report::Aside(manifest.version));
        loop {
            match todo.recv() {
                Ok(Task::Publish) => break,
                Ok(Task::Prune(version, names)) => self.prune(version, &names),
                Ok(Task::Write(_)) | Err(_) => return Err("the job ended first".to_owned()),
            }
        }
        self.directory
            .publish(&aside, &manifest_name(manifest.version))
            .map_err(|error| error.to_string())?;
        let cpu = sys::thread_cpu().saturating_sub(cpu);
        self.report(Report::Published(manifest.version, cpu));
        Ok(())
    }

    /// Writes an image chunk by chunk, each as it was checked.
    fn image(&self, memory: &Arena, table_crc: u32, file: &mut impl Write) -> io::Result<()> {
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
            true => Err(io::Error::other("the job ended first")),
            false => Ok(()),
        }
    }
}

/// Fills the gap from one offset to another with zeros; gives the other.
fn zeros(file: &mut impl Write, from: u64, to: u64) -> io::Result<u64> {
    io::copy(&mut io::repeat(0).take(to.saturating_sub(from)), file)?;
    Ok(to.max(from))
}
