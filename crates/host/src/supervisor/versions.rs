//! Versions under way: the ledger's effects on arenas, targets, the drain and the directory.
//!
//! Invariant: the memory of a version lives as long as the ledger may choose it or drain it.
//! Deliberately absent: decisions; `ckpt::ledger` and `control::target` take them.

mod archives;
mod capture;
mod choose;
mod disk;
mod guards;
mod inputs;
mod intervals;
mod room;
mod scrub;
#[cfg(test)]
mod tests;
mod tracked;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mainstay_ckpt::Identity;
use mainstay_ckpt::ledger::{Choice, Effect, Input, Ledger, VoidReason};
use mainstay_control::target::{Mode, Pace, Period, Terms, Why};
use mainstay_types::event::{Checkpoint, Event, Level, VersionState};
use mainstay_types::{Epoch, JobId, Rank, Step, Version};

pub(crate) use self::capture::Capture;
pub(crate) use self::choose::Source;
use self::intervals::Told;
use self::room::Room;
use self::scrub::Scrubbing;
use self::tracked::CopyingAll;
use self::writer::Writer;
use super::config::{Every, Plan, Refusal};
use super::member::ArenaMemory;
use super::nodes::Nodes;
use super::resume::Found;
use crate::directory::Directory;
use crate::shm::Blob;

/// What a version has in memory.
#[derive(Debug, Default)]
struct Memory {
    arenas: BTreeMap<Rank, ArenaMemory>,
    lates: BTreeMap<Rank, Arc<Blob>>,
    committed_at: Option<Duration>,
    /// Bytes of fields that were copied, of how many, if not simply all were.
    copied: Option<(u64, u64)>,
}

#[derive(Debug)]
pub(crate) struct Versions {
    n: u32,
    first: Epoch,
    /// The epoch in force.
    epoch: Epoch,
    /// The ranks that capture in this epoch.
    ready: BTreeSet<Rank>,
    own_directory: bool,
    directory: Option<Arc<Directory>>,
    /// Whether there is or may be a manifest in the directory, of whatever state.
    any_manifest: bool,
    writer: Writer,
    /// Where the memory of versions lies, if not here.
    pub(super) nodes: Option<Nodes>,
    ledger: Ledger,
    pace: Pace,
    room: Room,
    scrubbing: Scrubbing,
    /// Of which one version is kept for good.
    period: Option<Period>,
    /// The intervals and reasons that were told.
    told_intervals: Told,
    copying_all: CopyingAll,
    /// Why the version in capture was proposed.
    why: Why,
    /// When the job last stood still, from and until. A capture that was interrupted twice keeps the
    /// first pause in its time; what is planned with is a median.
    pause: Option<(Duration, Duration)>,
    /// When versions were committed, and whether they went to disk.
    commits: Vec<(Duration, bool)>,
    identity: Identity,
    program: Option<Arc<File>>,
    program_known: bool,
    /// The job that is resumed, until its program was compared.
    resumed: Option<Identity>,
    /// Inputs whose digests are not known yet.
    inputs: BTreeMap<String, Arc<Blob>>,
    memory: BTreeMap<Version, Memory>,
    choice: Option<Choice>,
    resumed_from: Option<Version>,
    told: BTreeMap<Version, Checkpoint>,
    /// The shards of each version that is or may be on disk.
    files: BTreeMap<Version, Vec<String>>,
    /// Versions in a row that could not be written.
    unwritten: u64,
    /// The last one that is not on disk as a node did not give its bytes.
    unread: Option<Version>,
    /// Versions that could not be removed.
    unpruned: u64,
    notes: Vec<String>,
}

impl Versions {
    /// Opens the directory and finds what is there; gives the first epoch.
    pub(crate) fn open(plan: &Plan) -> Result<(Self, Epoch), Refusal> {
        let found = Found::open(plan)?;
        let config = &plan.config;
        let first = found.epoch.next();
        let mut ledger = guards::guarded(archives::ledger(config, found.highest.next()), config)?;
        ledger.step(Input::EpochRaised(first), &mut Vec::new());
        let mut files = BTreeMap::new();
        for manifest in found.manifests {
            files.insert(manifest.version, manifest.part_names());
            let fits = !found.unfit.contains(&manifest.version);
            let (other, manifest) = (manifest.n() != config.n, Box::new(manifest));
            let input = match other {
                true => Input::AdoptOther { manifest, fits },
                false => Input::Adopt(manifest),
            };
            ledger.step(input, &mut Vec::new());
        }
        let period =
            archives::adopt(config, &mut ledger, found.directory.as_ref(), &found.archived);
        for (version, rank, why) in found.bad {
            let level = Level::Disk;
            ledger.step(Input::CopyBad { version, rank, level, why }, &mut Vec::new());
        }
        let mode = match config.every {
            Every::Auto => Mode::Auto,
            Every::Steps(steps) => Mode::Steps(steps),
            Every::Period(period) => Mode::Every(period),
        };
        let (mtbf, machine_mtbf) = (config.mtbf, config.machine_mtbf);
        let (disk, late) = (config.disk, config.storage.arenas == 1);
        let terms = Terms { mode, disk, mtbf, machine_mtbf, late, ends: plan.ends };
        let mut versions = Self {
            n: config.n,
            first,
            epoch: first,
            ready: BTreeSet::new(),
            own_directory: plan.own_directory,
            directory: found.directory.map(Arc::new),
            any_manifest: found.any_manifest,
            writer: Writer::new(config.storing),
            nodes: None,
            ledger,
            pace: Pace::new(terms),
            period,
            room: Room::default(),
            scrubbing: Scrubbing::new(config.storage.scrub_every),
            told_intervals: Told::default(),
            copying_all: CopyingAll::default(),
            why: Why::default(),
            pause: None,
            commits: Vec::new(),
            identity: found.identity,
            program: None,
            program_known: false,
            resumed: found.resumed,
            inputs: BTreeMap::new(),
            memory: BTreeMap::new(),
            choice: None,
            resumed_from: None,
            told: BTreeMap::new(),
            files,
            unwritten: 0,
            unread: None,
            unpruned: 0,
            notes: found.notes,
        };
        let there: Vec<Version> = versions.files.keys().copied().collect();
        for version in there {
            versions.arrived(version, Level::Disk);
        }
        Ok((versions, first))
    }

    pub(crate) fn start_drain(&mut self) {
        let without = self.start_scrub();
        self.notes.extend(without);
        if let Some(directory) = &self.directory
            && let Err(error) = self.writer.start(directory)
        {
            self.notes.push(writer::no_thread(&error));
        }
    }

    pub(crate) fn job(&self) -> JobId {
        self.identity.job
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.directory.as_ref().map(|directory| directory.path())
    }

    pub(crate) fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    pub(crate) fn drain_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.writer.fd()
    }

    /// The program of the job, by the process of the first rank that joins.
    pub(crate) fn program(&mut self, pid: u32) {
        if self.program.is_none() {
            self.program = File::open(format!("/proc/{pid}/exe")).ok().map(Arc::new);
        }
    }

    /// The newest version that can be restored.
    pub(crate) fn newest(&self) -> Option<(Version, Step, Level)> {
        let version = self.ledger.newest_restorable()?;
        let record = self.ledger.record(version)?;
        let level = if record.slot().is_some() { Level::Memory } else { Level::Disk };
        Some((version, record.step(), level))
    }

    /// Whether entering this epoch restores something.
    pub(crate) fn is_recovery(&self, epoch: Epoch) -> bool {
        epoch > self.first || self.choice.is_some()
    }

    /// How long until a version is due, if one can be taken.
    pub(crate) fn due_in(&self, now: Duration) -> Option<Duration> {
        if self.directory.is_none() || !self.all_ready() || !self.ledger.may_propose() {
            return None;
        }
        self.pace.due_in(now)
    }

    pub(crate) fn failed(&mut self, now: Duration) {
        self.pace.failed(now);
    }

    /// The job stood still from then until now.
    pub(crate) fn suspended(&mut self, from: Duration, until: Duration) {
        let paused = until.saturating_sub(from);
        self.pause = Some((from, until));
        self.pace.suspended(paused);
        self.writer.suspended(paused);
        self.room.suspended(paused);
        self.scrubbing.suspended(paused);
        if let Some(nodes) = &mut self.nodes {
            nodes.suspended(paused);
        }
        if let Some(period) = &mut self.period {
            period.suspended(paused);
        }
        for at in self.memory.values_mut().filter_map(|memory| memory.committed_at.as_mut()) {
            *at += paused;
        }
        for (at, _) in &mut self.commits {
            *at += paused;
        }
    }

    /// The epoch was raised.
    pub(crate) fn raised(&mut self, epoch: Epoch) -> Vec<Event> {
        self.epoch = epoch;
        self.ready.clear();
        self.pace.raised();
        self.input(Input::EpochRaised(epoch))
    }

    /// A rank has protected state, and captures from its next step on. Before all do, a target
    /// would be passed by one that does not know yet what to capture.
    pub(crate) fn ready(&mut self, rank: Rank, epoch: Epoch) {
        if epoch == self.epoch {
            self.ready.insert(rank);
        }
    }

    /// Whether all ranks capture in this epoch.
    pub(crate) fn all_ready(&self) -> bool {
        self.ready.len() == self.n as usize
    }

    /// The epoch was opened.
    pub(crate) fn opened(&mut self, now: Duration) -> Vec<Event> {
        self.pace.opened(now);
        if self.nodes.is_some() { self.input(Input::NodesWhole) } else { Vec::new() }
    }

    /// A copy turned out to be bad; tells of what is void now.
    pub(crate) fn copy_bad(
        &mut self,
        rank: Rank,
        version: Version,
        level: Level,
        why: &str,
    ) -> Vec<Event> {
        let why = why.to_owned();
        self.input(Input::CopyBad { version, rank, level, why })
    }

    /// Whether there is a job to be gone on with, and nobody has asked for its state.
    pub(crate) fn is_unresumed(&self) -> bool {
        self.resumed.is_some()
    }

    fn input(&mut self, input: Input) -> Vec<Event> {
        let mut effects = Vec::new();
        self.ledger.step(input, &mut effects);
        self.apply(effects)
    }

    fn apply(&mut self, effects: Vec<Effect>) -> Vec<Event> {
        let mut events = Vec::new();
        for effect in effects {
            match effect {
                Effect::Proposed { .. } | Effect::Dropped { .. } => {}
                Effect::DrainCancelled { .. } => {}
                Effect::Freed { version } => {
                    self.went(version, Level::Memory);
                    self.free(version);
                }
                Effect::Guard { version, attempt } => events.extend(self.guard(version, attempt)),
                Effect::Unguarded { version, why } => events.push(Event::Note {
                    text: format!("version {version} is not guarded by other nodes: {why}"),
                }),
                Effect::Committed { version } => events.extend(self.committed(version)),
                Effect::Drain { version } => events.extend(self.drain(version)),
                Effect::Publish { .. } => {
                    self.any_manifest = true;
                    if let Some(drain) = self.writer.drain() {
                        drain.publish();
                    }
                }
                Effect::Published { version } => {
                    events.extend(self.published(version));
                    events.extend(self.answer(version));
                }
                Effect::MemoryOnly { version, why } => events.extend(self.unwritten(version, &why)),
                Effect::DiskAgain { version } => {
                    let missed = std::mem::take(&mut self.unwritten);
                    events.push(Event::Note {
                        text: format!(
                            "version {version} is on disk: writing succeeds again, {missed} versions \
                             before it are not there"
                        ),
                    });
                }
                Effect::Archive { version } => self.archive(version),
                Effect::Discard { version } | Effect::Prune { version } => self.prune(version),
                Effect::Void { version, why } => events.extend(self.void(version, &why)),
            }
        }
        events.extend(self.new_intervals());
        events
    }

    /// A version could not be written: told the first time, and again as their number doubles.
    fn unwritten(&mut self, version: Version, why: &str) -> Option<Event> {
        self.unwritten += 1;
        let goes_on = match self.unread.take_if(|unread| *unread == version) {
            Some(_) => "later ones are written as before",
            None => "the job goes on with versions in memory alone",
        };
        let count = match self.unwritten {
            1 => String::new(),
            count => format!(", as {} before it are not", count - 1),
        };
        self.unwritten.is_power_of_two().then(|| Event::Note {
            text: format!("version {version} is not on disk{count}: {why}; {goes_on}"),
        })
    }

    /// Nothing of a version in memory is needed any more.
    fn free(&mut self, version: Version) {
        self.memory.remove(&version);
        if let Some(nodes) = &mut self.nodes {
            nodes.freed(version);
        }
    }

    fn void(&mut self, version: Version, why: &VoidReason) -> Option<Event> {
        self.free(version);
        self.went(version, Level::Memory);
        self.went(version, Level::Disk);
        // A target that came too late, or after the last step, was never a version to anybody.
        match why {
            VoidReason::Missed | VoidReason::RankEnded { .. } => return None,
            VoidReason::EpochRaised(_) => self.pace.dropped(),
            VoidReason::NodeLost(_)
            | VoidReason::Contradiction { .. }
            | VoidReason::CopyBad { .. } => self.pace.dropped(),
        }
        if let Some(checkpoint) = self.told.get_mut(&version) {
            checkpoint.state = VersionState::Void;
            return Some(Event::Checkpoint(checkpoint.clone()));
        }
        matches!(why, VoidReason::Contradiction { .. })
            .then(|| Event::Note { text: format!("version {version} is void: {why}") })
    }
}
