//! Copies that are read again while the job runs, and mended.
//!
//! What is found is told to the ledger at once: a copy that is bad is not restored from, and a version
//! of which a part has no good copy is void before anybody needs it. Then the bad bytes are written anew
//! from the other copy, the copy is read again, and only if it is whole the ledger counts on it again.
//! Invariants: an arena is written only while its version holds it, on the thread that gives arenas away;
//! one copy is mended at a time, and a copy that does not come right is given up. Deliberately absent:
//! which copy is next, and from where it can be mended; engines decide.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use mainstay_ckpt::Expected;
use mainstay_ckpt::format::verify::{Finding, Part};
use mainstay_ckpt::ledger::Input;
use mainstay_ckpt::scrub::{Copy, RATE_MAX, Scrub};
use mainstay_types::event::{Event, Level, Scrubbed};
use mainstay_types::{Rank, Version};

use super::Versions;
use crate::shm::Blob;
use crate::supervisor::drain::MendTask;
use crate::supervisor::scrub::{Checked, Found, Object, Place, Scrubber, Work};
use crate::sys;

#[cfg(test)]
mod tests;

/// How often a copy is read and mended before it is given up: without its header nothing is known of the
/// table, and without that nothing of the rest.
const ROUNDS: u32 = 4;

/// A copy that is being mended.
#[derive(Debug)]
struct Mending {
    copy: Copy,
    /// Parts of an arena that are still to be written.
    left: Vec<(Part, Range<u64>)>,
    rounds: u32,
    /// What was wrong.
    why: String,
}

/// Reading again, if that is wanted.
#[derive(Debug, Default)]
pub(crate) struct Scrubbing {
    engine: Option<Scrub>,
    thread: Option<Scrubber>,
    mending: Option<Mending>,
    pub(super) totals: Scrubbed,
}

impl Scrubbing {
    pub(super) fn new(every: Option<Duration>) -> Self {
        Self { engine: every.map(Scrub::new), ..Self::default() }
    }

    pub(super) fn suspended(&mut self, paused: Duration) {
        if let Some(engine) = &mut self.engine {
            engine.suspended(paused);
        }
    }

    /// Ends the thread and waits for it at most so long; whether it has ended.
    pub(super) fn end(&mut self, at_most: Duration) -> bool {
        self.thread.take().is_none_or(|mut thread| thread.end(at_most))
    }

    fn send(&self, work: Work) {
        if let Some(thread) = &self.thread {
            thread.send(work);
        }
    }
}

impl Versions {
    /// Starts the thread; gives what to say if there is none.
    pub(super) fn start_scrub(&mut self) -> Option<String> {
        let directory = self.directory.as_ref().filter(|_| self.scrubbing.engine.is_some())?;
        match Scrubber::start(Arc::clone(directory)) {
            Ok(thread) => {
                self.scrubbing.thread = Some(thread);
                None
            }
            Err(error) => {
                self.scrubbing.engine = None;
                Some(format!("versions are not read again, as there is no thread for it: {error}"))
            }
        }
    }

    pub(crate) fn scrub_fd(&self) -> Option<BorrowedFd<'_>> {
        self.scrubbing.thread.as_ref().map(Scrubber::fd)
    }

    /// How long until a copy is to be read.
    pub(crate) fn scrub_in(&self, now: Duration) -> Option<Duration> {
        self.scrubbing.thread.as_ref()?;
        self.scrubbing.engine.as_ref()?.due_in(now)
    }

    /// A version has come to a level, whole.
    pub(super) fn arrived(&mut self, version: Version, level: Level) {
        let now = sys::now();
        if let (Some(engine), Some(record)) =
            (&mut self.scrubbing.engine, self.ledger.record(version))
        {
            for rank in Rank::all(record.n()) {
                let part = record.part(rank);
                let bytes = part.map_or(0, |p| p.image_bytes.saturating_add(p.late_bytes));
                engine.appeared(Copy { version, level, rank }, bytes, now);
            }
        }
    }

    /// A version has gone from a level.
    pub(super) fn went(&mut self, version: Version, level: Level) {
        if let Some(engine) = &mut self.scrubbing.engine {
            engine.gone(version, level);
        }
    }

    /// Has a copy read that is due.
    pub(super) fn scrub(&mut self, now: Duration) {
        if self.scrubbing.thread.is_none() {
            return;
        }
        while let Some(check) = self.scrubbing.engine.as_mut().and_then(|e| e.due(now)) {
            if let Some(object) = self.object(check.copy) {
                return self.scrubbing.send(Work::Check(object, check.rate));
            }
            // It is gone without a word, or its memory is.
            self.done_with(Some(check.copy));
        }
    }

    /// A copy, and what it has to be; `None` if it is not there any more.
    fn object(&self, copy: Copy) -> Option<Object> {
        let Copy { version, level, rank } = copy;
        let record = self.ledger.record(version).filter(|r| r.lies_at(level))?;
        let part = record.part(rank)?;
        let place = match level {
            Level::Memory => {
                let memory = self.memory.get(&version)?;
                Place::Arena(memory.arenas.get(&rank)?.clone(), memory.lates.get(&rank).cloned())
            }
            Level::Disk => Place::Shard(part.shard_name(version, rank)),
            Level::Partner | Level::Parity => return None,
        };
        let expected = Expected {
            rank,
            n: record.n(),
            version,
            image_bytes: part.image_bytes,
            table_crc: match level {
                Level::Disk => part.stored_table_crc(),
                Level::Memory | Level::Partner | Level::Parity => part.table_crc,
            },
        };
        Some(Object { copy, place, expected, late: (part.late_bytes, part.late_crc) })
    }

    /// What the thread has found.
    pub(crate) fn scrubbed(&mut self) -> Vec<Event> {
        let found = self.scrubbing.thread.as_ref().map(Scrubber::found).unwrap_or_default();
        let mut events = Vec::new();
        for found in found {
            events.extend(match found {
                Found::Checked(checked) => self.checked(checked),
                Found::Fetched(fetched) => self.fetched(fetched),
            });
        }
        events
    }

    fn checked(&mut self, checked: Checked) -> Vec<Event> {
        let Checked { copy, bytes, cpu, findings, gone } = checked;
        let totals = &mut self.scrubbing.totals;
        totals.copies += 1;
        totals.bytes += bytes;
        totals.cpu += cpu;
        // An arena that was given away meanwhile holds something else by right.
        if self.object(copy).is_none() {
            self.scrubbing.mending = None;
            self.done_with(Some(copy));
            return Vec::new();
        }
        let first = findings.first().map(|finding| finding.error.to_string());
        match gone.or(first) {
            None => self.found_whole(copy),
            Some(why) => self.found_bad(copy, &findings, why),
        }
    }

    fn found_whole(&mut self, copy: Copy) -> Vec<Event> {
        let mending = self.scrubbing.mending.take();
        self.done_with(None);
        let Some(Mending { why, .. }) = mending else {
            return Vec::new();
        };
        self.scrubbing.totals.mended += 1;
        let Copy { version, level, rank } = copy;
        let mut events = self.input(Input::Mended { version, rank, level });
        let (place, other) = match level {
            Level::Memory | Level::Partner | Level::Parity => ("in memory", "on disk"),
            Level::Disk => ("on disk", "in memory"),
        };
        events.push(Event::Note {
            text: format!(
                "version {version} of rank {rank} {place} was damaged ({why}) and is mended from the \
                 copy {other}"
            ),
        });
        events
    }

    fn found_bad(&mut self, copy: Copy, findings: &[Finding], why: String) -> Vec<Event> {
        let Copy { version, level, rank } = copy;
        let mut events = Vec::new();
        let rounds = match self.scrubbing.mending.take() {
            Some(mending) => mending.rounds + 1,
            None => {
                self.scrubbing.totals.damaged += 1;
                let told = self.news_of(version, (rank, level), &why);
                events.extend(told.map(|text| Event::Note { text }));
                events.extend(self.copy_bad(rank, version, level, &why));
                0
            }
        };
        let from = self.ledger.mends_from(version, rank, level).filter(|_| rounds < ROUNDS);
        let left = findings.iter().map(|finding| (finding.part, finding.at.clone())).collect();
        let mending = Mending { copy, left, rounds, why };
        match from {
            Some(Level::Disk) => events.extend(self.mend_arena(mending)),
            Some(Level::Memory) => events.extend(self.mend_shard(mending)),
            Some(Level::Partner | Level::Parity) | None => self.done_with(Some(copy)),
        }
        events
    }

    /// Has the next part of an arena fetched from the shard, or the arena read again.
    fn mend_arena(&mut self, mut mending: Mending) -> Vec<Event> {
        let copy = mending.copy;
        let shard = self.object(Copy { level: Level::Disk, ..copy });
        let (Some(arena), Some(shard)) = (self.object(copy), shard) else {
            self.done_with(Some(copy));
            return Vec::new();
        };
        let work = match mending.left.pop() {
            Some((part, at)) => Work::Fetch(shard, part, at),
            None => Work::Check(arena, RATE_MAX),
        };
        self.scrubbing.mending = Some(mending);
        self.scrubbing.send(work);
        Vec::new()
    }

    /// A part of the good copy has come: it is written into the arena, if that still holds the version.
    fn fetched(&mut self, fetched: Result<(Part, u64, Vec<u8>), String>) -> Vec<Event> {
        let Some(mending) = self.scrubbing.mending.take() else {
            return Vec::new();
        };
        let written = match fetched {
            Ok((part, at, bytes)) => self.rewrite(mending.copy, part, at, &bytes),
            Err(why) => Err(why),
        };
        match written {
            Ok(()) => self.mend_arena(mending),
            Err(why) => self.given_up(mending.copy, &why),
        }
    }

    fn rewrite(&mut self, copy: Copy, part: Part, at: u64, bytes: &[u8]) -> Result<(), String> {
        let Some(Object { place: Place::Arena(arena, _), .. }) = self.object(copy) else {
            return Err("it is not there any more".to_owned());
        };
        if part == Part::Late {
            let blob = Blob::create("mainstay-late", &[bytes]).map_err(|e| e.to_string())?;
            let memory = self.memory.get_mut(&copy.version).ok_or("its memory is gone")?;
            memory.lates.insert(copy.rank, Arc::new(blob));
            return Ok(());
        }
        let mut written = 0;
        while written < bytes.len() {
            let more = rustix::io::pwrite(&arena.fd, &bytes[written..], at + written as u64);
            written += more.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Has a shard written anew from the arena, behind what the drain has to do.
    fn mend_shard(&mut self, mending: Mending) -> Vec<Event> {
        let Copy { version, rank, .. } = mending.copy;
        let task = self.task(version);
        match (task, self.writer.drain()) {
            (Ok(write), Some(drain)) => {
                let bad = mending.left.iter().map(|(_, at)| at.clone()).collect();
                drain.mend(MendTask { write, rank, bad });
                self.scrubbing.mending = Some(mending);
                Vec::new()
            }
            (Err(why), _) => self.given_up(mending.copy, &why),
            (Ok(_), None) => self.given_up(mending.copy, "nothing can be written"),
        }
    }

    /// A shard was written anew, or could not be.
    pub(super) fn shard_mended(&mut self, mended: Result<(), String>) -> Vec<Event> {
        let Some(copy) = self.scrubbing.mending.as_ref().map(|mending| mending.copy) else {
            return Vec::new();
        };
        match (mended, self.object(copy)) {
            (Ok(()), Some(object)) => {
                self.scrubbing.send(Work::Check(object, RATE_MAX));
                Vec::new()
            }
            (Ok(()), None) => {
                self.scrubbing.mending = None;
                self.done_with(Some(copy));
                Vec::new()
            }
            (Err(why), _) => self.given_up(copy, &why),
        }
    }

    /// The thread that writes is given up, and what it was to mend with it.
    pub(super) fn no_writer(&mut self, why: &str) -> Vec<Event> {
        let waits = self.scrubbing.mending.as_ref().filter(|m| m.copy.level == Level::Disk);
        match waits.map(|mending| mending.copy) {
            Some(copy) => self.given_up(copy, why),
            None => Vec::new(),
        }
    }

    /// A copy that cannot be mended stays bad.
    fn given_up(&mut self, copy: Copy, why: &str) -> Vec<Event> {
        self.scrubbing.mending = None;
        self.done_with(Some(copy));
        let place = match copy.level {
            Level::Memory | Level::Partner | Level::Parity => "in memory",
            Level::Disk => "on disk",
        };
        let (version, rank) = (copy.version, copy.rank);
        let text = format!("version {version} of rank {rank} {place} is not mended: {why}");
        vec![Event::Note { text }]
    }

    /// The copy that was looked at is done with; one that is bad or gone is not looked at again.
    fn done_with(&mut self, lost: Option<Copy>) {
        if let Some(engine) = &mut self.scrubbing.engine {
            engine.checked(sys::now());
            if let Some(copy) = lost {
                engine.bad(copy);
            }
        }
    }
}
