//! Versions under way: the ledger's effects on arenas, targets, the drain and the directory.
//!
//! Invariant: the memory of a version lives as long as the ledger may choose it or drain it.
//! Deliberately absent: decisions; `ckpt::ledger` and `control::target` take them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use mainstay_ckpt::ledger::{Choice, Effect, Input, Ledger, VoidReason};
use mainstay_ckpt::{Identity, InputEntry};
use mainstay_comm::layout::{Control, Status};
use mainstay_control::target::words::Target;
use mainstay_control::target::{Mode, Pace};
use mainstay_types::event::{Checkpoint, Event, Level, VersionState};
use mainstay_types::wire::Early;
use mainstay_types::{Epoch, Incarnation, JobId, Rank, Step, Version};
use sha2::{Digest, Sha256};

use super::Supervisor;
use super::config::{Every, Plan, Refusal};
use super::drain::{Drain, Report, WriteTask};
use super::member::ArenaMemory;
use super::resume::{self, Found};
use crate::directory::Directory;
use crate::shm::{Blob, Segment};
use crate::sys;

/// Published versions that are kept.
const KEEP: usize = 2;
/// Most targets that are tried in one turn while ranks run away from them.
const TRIES: usize = 8;
/// How long a failed job waits for its newest version to reach the disk.
const LAST_DRAIN: Duration = Duration::from_secs(60);

/// A rank's part of a version, as it said.
#[derive(Debug)]
pub(crate) struct Capture {
    pub(crate) rank: Rank,
    pub(crate) incarnation: Incarnation,
    pub(crate) epoch: Epoch,
    pub(crate) version: Version,
    pub(crate) step: Step,
    pub(crate) image_bytes: u64,
    pub(crate) table_crc: u32,
    pub(crate) blocked: Duration,
    pub(crate) sent: Vec<u64>,
    pub(crate) delivered: Vec<u64>,
    pub(crate) early: Vec<Early>,
}

/// What a version has in memory.
#[derive(Debug, Default)]
struct Memory {
    arenas: BTreeMap<Rank, ArenaMemory>,
    lates: BTreeMap<Rank, Arc<Blob>>,
    committed_at: Option<Duration>,
}

/// How the versions ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) events: Vec<Event>,
    pub(crate) checkpoints: Vec<Checkpoint>,
    pub(crate) resumed_from: Option<Version>,
    pub(crate) kept: Option<PathBuf>,
    pub(crate) resumable: Option<(Version, Step)>,
}

#[derive(Debug)]
pub(crate) struct Versions {
    n: u32,
    first: Epoch,
    /// The epoch in force.
    epoch: Epoch,
    own_directory: bool,
    directory: Option<Arc<Directory>>,
    drain: Option<Drain>,
    ledger: Ledger,
    pace: Pace,
    identity: Identity,
    program: Option<Arc<File>>,
    program_known: bool,
    /// The job that is resumed, until its program was compared.
    resumed: Option<Identity>,
    memory: BTreeMap<Version, Memory>,
    choice: Option<Choice>,
    resumed_from: Option<Version>,
    told: BTreeMap<Version, Checkpoint>,
    /// The shards of each version that is or may be on disk.
    files: BTreeMap<Version, Vec<String>>,
    notes: Vec<String>,
}

impl Versions {
    /// Opens the directory and finds what is there; gives the first epoch.
    pub(crate) fn open(plan: &Plan) -> Result<(Self, Epoch), Refusal> {
        let found = Found::look(plan)?;
        let config = &plan.config;
        let first = found.epoch.next();
        let mut ledger = Ledger::new(config.n, found.highest.next(), KEEP);
        ledger.step(Input::EpochRaised(first), &mut Vec::new());
        let mut files = BTreeMap::new();
        for manifest in found.manifests {
            files.insert(manifest.version, manifest.shard_names().collect());
            ledger.step(Input::Adopt(Box::new(manifest)), &mut Vec::new());
        }
        for (version, rank, why) in found.bad {
            let level = Level::Disk;
            ledger.step(
                Input::CopyBad {
                    version,
                    rank,
                    level,
                    why,
                },
                &mut Vec::new(),
            );
        }
        let mode = match config.every {
            Every::Auto => Mode::Auto,
            Every::Steps(steps) => Mode::Steps(steps),
            Every::Period(period) => Mode::Every(period),
        };
        let versions = Self {
            n: config.n,
            first,
            epoch: first,
            own_directory: plan.own_directory,
            directory: found.directory.map(Arc::new),
            drain: None,
            ledger,
            pace: Pace::new(mode, config.mtbf),
            identity: found.identity,
            program: None,
            program_known: false,
            resumed: found.resumed,
            memory: BTreeMap::new(),
            choice: None,
            resumed_from: None,
            told: BTreeMap::new(),
            files,
            notes: found.notes,
        };
        Ok((versions, first))
    }

    pub(crate) fn start_drain(&mut self) {
        if let Some(directory) = &self.directory {
            match Drain::start(Arc::clone(directory)) {
                Ok(drain) => self.drain = Some(drain),
                Err(error) => self
                    .notes
                    .push(format!("no thread to write checkpoints: {error}")),
            }
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
        self.drain.as_ref().map(Drain::fd)
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
        let level = if record.slot().is_some() {
            Level::Memory
        } else {
            Level::Disk
        };
        Some((version, record.step(), level))
    }

    /// Whether entering this epoch restores something.
    pub(crate) fn is_recovery(&self, epoch: Epoch) -> bool {
        epoch > self.first || self.choice.is_some()
    }

    /// The version that a rank was given, and from where.
    pub(crate) fn restored_from(&self, rank: Rank) -> (Option<Version>, Option<Level>) {
        let choice = self.choice.as_ref();
        let level = choice
            .and_then(|c| c.ranks.get(rank.index()))
            .map(|source| source.level);
        (choice.map(|choice| choice.version), level)
    }

    /// How long until a version is due, if one can be taken.
    pub(crate) fn due_in(&self, now: Duration) -> Option<Duration> {
        if self.directory.is_none() || !self.ledger.may_propose() {
            return None;
        }
        self.pace.due_in(now)
    }

    pub(crate) fn failed(&mut self, now: Duration) {
        self.pace.failed(now);
    }

    /// Withdraws the target.
    pub(crate) fn withdraw(&self, segment: &Segment) {
        target(segment).withdraw();
    }

    /// The epoch was raised.
    pub(crate) fn raised(&mut self, epoch: Epoch) -> Vec<Event> {
        self.epoch = epoch;
        self.pace.raised();
        self.input(Input::EpochRaised(epoch))
    }

    /// The epoch was opened.
    pub(crate) fn opened(&mut self, now: Duration) {
        self.pace.opened(now);
    }

    /// Proposes a target if one is due.
    pub(crate) fn propose(&mut self, now: Duration, segment: &Segment) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..TRIES {
            if self.due_in(now) != Some(Duration::ZERO) {
                break;
            }
            let steps: Vec<_> = words(segment, self.n)
                .map(|word| Step(word.load(std::sync::atomic::Ordering::SeqCst)))
                .collect();
            let Some(step) = self.pace.due(now, &steps) else {
                break;
            };
            let mut effects = Vec::new();
            self.ledger.step(
                Input::Propose {
                    epoch: self.epoch,
                    step,
                },
                &mut effects,
            );
            let proposed = effects.iter().find_map(|effect| match effect {
                Effect::Proposed { version, slot, .. } => Some((*version, *slot)),
                _ => None,
            });
            events.extend(self.apply(effects));
            let Some((version, slot)) = proposed else {
                self.pace.dropped();
                break;
            };
            let target = target(segment);
            target.publish(version, slot, step);
            if Target::holds(step, words(segment, self.n)) {
                self.pace.held();
                break;
            }
            target.withdraw();
            self.pace.void();
            events.extend(self.input(Input::Drop {
                version,
                why: VoidReason::Missed,
            }));
        }
        events
    }

    /// A rank has captured its part.
    pub(crate) fn captured(
        &mut self,
        capture: Capture,
        arenas: &[Option<ArenaMemory>; 2],
    ) -> Vec<Event> {
        let current = self
            .ledger
            .capturing()
            .filter(|record| record.version() == capture.version);
        if let Some(slot) = current.and_then(|record| record.slot())
            && let Some(arena) = &arenas[usize::from(slot)]
        {
            let memory = self.memory.entry(capture.version).or_default();
            memory.arenas.insert(capture.rank, arena.clone());
        }
        self.input(Input::Captured {
            rank: capture.rank,
            epoch: capture.epoch,
            version: capture.version,
            step: capture.step,
            incarnation: capture.incarnation,
            image_bytes: capture.image_bytes,
            table_crc: capture.table_crc,
            blocked: capture.blocked,
            sent: capture.sent,
            delivered: capture.delivered,
            early: capture.early,
        })
    }

    /// A rank has handed in its late messages.
    pub(crate) fn late(
        &mut self,
        rank: Rank,
        epoch: Epoch,
        version: Version,
        blob: Blob,
        crc: u32,
    ) -> Vec<Event> {
        let bytes = blob.len() as u64;
        if self
            .ledger
            .capturing()
            .is_some_and(|record| record.version() == version)
        {
            self.memory
                .entry(version)
                .or_default()
                .lates
                .insert(rank, Arc::new(blob));
        }
        self.input(Input::Late {
            rank,
            epoch,
            version,
            bytes,
            crc,
        })
    }

    /// A copy turned out to be bad.
    pub(crate) fn copy_bad(&mut self, rank: Rank, version: Version, level: Level, why: &str) {
        let why = why.to_owned();
        let events = self.input(Input::CopyBad {
            version,
            rank,
            level,
            why,
        });
        // What is void now is told when the next choice is.
        drop(events);
    }

    /// A rank is in `finish`.
    pub(crate) fn finishing(&mut self, segment: &Segment, rank: Rank, step: Step) -> Vec<Event> {
        if self.pace.finishing(step) {
            self.withdraw(segment);
        }
        self.input(Input::RankEnded { rank, step })
    }

    /// Keeps an input's digest; gives the reason if the resumed job had another.
    pub(crate) fn input_loaded(&mut self, name: &str, blob: &Blob, crc: u32) -> Option<String> {
        let bytes = blob.len() as u64;
        let sha256 = Sha256::digest(&blob[..]).into();
        let entry = InputEntry {
            name: name.to_owned(),
            bytes,
            crc,
            sha256,
        };
        if let Some(was) = self
            .identity
            .inputs
            .iter_mut()
            .find(|input| input.name == name)
        {
            let same = *was == entry;
            return (!same).then(|| {
                format!(
                    "input `{name}` has other bytes than in the job that is resumed: give the \
                     input of that job, or start without --resume"
                )
            });
        }
        self.identity.inputs.push(entry);
        self.identity.inputs.sort_by(|a, b| a.name.cmp(&b.name));
        None
    }

    /// The version to open with; `None` is the start of the job.
    pub(crate) fn choose(&mut self) -> Result<Option<&Choice>, String> {
        if let Some(was) = self.resumed.take() {
            resume::check_program(&was, self.program.as_deref())?;
        }
        self.choice = self.ledger.choose();
        // Nothing was committed in this launch yet: whatever there is comes from an earlier one.
        if self.identity.launch > 1 && self.told.is_empty() {
            let Some(choice) = &self.choice else {
                let path = self
                    .path()
                    .map_or_else(String::new, |path| path.display().to_string());
                return Err(format!(
                    "no version in {path} can be restored: every one is damaged; start without \
                     --resume"
                ));
            };
            self.resumed_from = Some(choice.version);
        }
        Ok(self.choice.as_ref())
    }

    /// The descriptors that a rank needs to restore the chosen version.
    pub(crate) fn sources(&self, choice: &Choice, rank: Rank) -> Result<Vec<Source>, String> {
        let source = &choice.ranks[rank.index()];
        match source.level {
            Level::Memory => {
                let memory = self
                    .memory
                    .get(&choice.version)
                    .ok_or("its memory is gone")?;
                let arena = memory.arenas.get(&rank).ok_or("its arena is gone")?;
                let mut sources = vec![Source::Arena(arena.clone())];
                sources.extend(memory.lates.get(&rank).cloned().map(Source::Late));
                Ok(sources)
            }
            Level::Disk => {
                let directory = self.directory.as_ref().ok_or("there is no directory")?;
                let name = choice.shard_name(rank);
                let open = || {
                    directory
                        .open_file(&name)
                        .map_err(|error| error.to_string())
                };
                Ok(vec![Source::Shard(open()?), Source::Shard(open()?)])
            }
        }
    }

    /// What the drain has done; the supervisor passes its points in between.
    pub(crate) fn reports(&mut self) -> Vec<Report> {
        self.drain.as_ref().map(Drain::reports).unwrap_or_default()
    }

    /// Takes one report in.
    pub(crate) fn report(&mut self, report: Report) -> Vec<Event> {
        match report {
            Report::Aside(version) => self.input(Input::Written { version }),
            Report::Published(version) => self.input(Input::Published { version }),
            Report::Failed(version, why) => self.input(Input::WriteFailed { version, why }),
            Report::Program(sha256) => {
                self.identity.program.sha256 = sha256;
                self.program_known = true;
                Vec::new()
            }
            Report::PruneFailed(why) => {
                vec![Event::Note {
                    text: format!("an old version is not removed: {why}"),
                }]
            }
        }
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
                Effect::Freed { version } => drop(self.memory.remove(&version)),
                Effect::Committed { version } => events.extend(self.committed(version)),
                Effect::Drain { version } => self.drain(version),
                Effect::Publish { .. } => {
                    if let Some(drain) = &self.drain {
                        drain.publish();
                    }
                }
                Effect::Published { version } => events.extend(self.published(version)),
                Effect::MemoryOnly { version, why } => events.push(Event::Note {
                    text: format!(
                        "version {version} is not on disk: {why}; the job goes on with versions in \
                         memory alone"
                    ),
                }),
                Effect::DiskAgain { version } => events.push(Event::Note {
                    text: format!("version {version} is on disk: writing succeeds again"),
                }),
                Effect::Discard { version } | Effect::Prune { version } => self.prune(version),
                Effect::Void { version, why } => events.extend(self.void(version, &why)),
            }
        }
        events
    }

    fn committed(&mut self, version: Version) -> Option<Event> {
        let now = sys::now();
        let record = self.ledger.record(version)?;
        self.memory.entry(version).or_default().committed_at = Some(now);
        let checkpoint = Checkpoint {
            version,
            step: record.step(),
            level: Level::Memory,
            bytes: record.bytes(),
            blocked_max: record.blocked_max(),
            durable: None,
            state: VersionState::Committed,
        };
        self.pace.committed(checkpoint.blocked_max);
        self.told.insert(version, checkpoint.clone());
        Some(Event::Checkpoint(checkpoint))
    }

    fn published(&mut self, version: Version) -> Option<Event> {
        let committed_at = self
            .memory
            .get(&version)
            .and_then(|memory| memory.committed_at);
        let checkpoint = self.told.get_mut(&version)?;
        checkpoint.level = Level::Disk;
        checkpoint.state = VersionState::Published;
        checkpoint.durable = committed_at.map(|at| sys::now().saturating_sub(at));
        if let Some(took) = checkpoint.durable {
            self.pace.drained(took);
        }
        Some(Event::Checkpoint(checkpoint.clone()))
    }

    fn void(&mut self, version: Version, why: &VoidReason) -> Option<Event> {
        self.memory.remove(&version);
        // A target that came too late, or after the last step, was never a version to anybody.
        match why {
            VoidReason::Missed | VoidReason::RankEnded { .. } => return None,
            VoidReason::EpochRaised(_) => self.pace.dropped(),
            VoidReason::Contradiction { .. } | VoidReason::CopyBad { .. } => self.pace.dropped(),
        }
        if let Some(checkpoint) = self.told.get_mut(&version) {
            checkpoint.state = VersionState::Void;
            return Some(Event::Checkpoint(checkpoint.clone()));
        }
        matches!(why, VoidReason::Contradiction { .. }).then(|| Event::Note {
            text: format!("version {version} is void: {why}"),
        })
    }

    fn drain(&mut self, version: Version) {
        let Some(manifest) = self.ledger.manifest(version, self.identity.clone()) else {
            return;
        };
        self.files.insert(version, manifest.shard_names().collect());
        let Some(memory) = self.memory.get(&version) else {
            return;
        };
        let part = |rank: Rank| {
            Some((
                memory.arenas.get(&rank)?.clone(),
                memory.lates.get(&rank).cloned(),
            ))
        };
        let parts: Option<Vec<_>> = Rank::all(self.n).map(part).collect();
        let (Some(parts), Some(drain)) = (parts, &self.drain) else {
            return;
        };
        let program = if self.program_known {
            None
        } else {
            self.program.clone()
        };
        drain.write(WriteTask {
            manifest,
            parts,
            program,
        });
    }

    fn prune(&mut self, version: Version) {
        if let (Some(names), Some(drain)) = (self.files.remove(&version), &self.drain) {
            drain.prune(version, names);
        }
    }

    /// Ends the drain and disposes of the directory.
    pub(crate) fn end(&mut self, success: bool) -> Ended {
        let mut events = Vec::new();
        let until = sys::now() + LAST_DRAIN;
        while !success && self.ledger.is_draining() {
            let left = until.saturating_sub(sys::now());
            let Some(report) = self.drain.as_ref().and_then(|drain| drain.wait(left)) else {
                break;
            };
            events.extend(self.report(report));
        }
        self.drain = None;
        let resumable = self
            .ledger
            .newest_published()
            .and_then(|version| Some((version, self.ledger.record(version)?.step())));
        let mut kept = self.path().map(Path::to_owned);
        if self.own_directory && (success || resumable.is_none()) {
            kept = None;
            let only = self.directory.take().and_then(Arc::into_inner);
            if let Some(Err(error)) = only.map(Directory::destroy) {
                let text = format!("the job's directory is not removed: {error}");
                events.push(Event::Note { text });
            }
        }
        let checkpoints = self.told.values().cloned().collect();
        let resumed_from = self.resumed_from;
        Ended {
            events,
            checkpoints,
            resumed_from,
            kept,
            resumable,
        }
    }
}

/// A descriptor for a rank that restores.
#[derive(Debug)]
pub(crate) enum Source {
    Arena(ArenaMemory),
    Late(Arc<Blob>),
    Shard(File),
}

fn target(segment: &Segment) -> Target<&AtomicU64> {
    Target {
        step: segment.control(Control::Target),
        version: segment.control(Control::TargetVersion),
        slot: segment.control(Control::TargetSlot),
    }
}

fn words(segment: &Segment, n: u32) -> impl Iterator<Item = &AtomicU64> {
    Rank::all(n).map(|rank| segment.status(rank, Status::Step))
}

impl Supervisor<'_> {
    /// Proposes a target if one is due.
    pub(super) fn propose(&mut self, now: Duration) {
        let events = self.versions.propose(now, &self.segment);
        self.committed(events);
    }

    /// The drain has something to report.
    pub(super) fn drained(&mut self) {
        use mainstay_types::Point;
        for report in self.versions.reports() {
            let point = match report {
                Report::Aside(_) => {
                    self.pass(Point::ManifestWritten);
                    None
                }
                Report::Published(_) => Some(Point::Published),
                _ => None,
            };
            let events = self.versions.report(report);
            self.committed(events);
            if let Some(point) = point {
                self.pass(point);
            }
        }
    }
}
