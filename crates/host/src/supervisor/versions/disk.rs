//! A version on its way to disk, and the end of all versions.
//!
//! Invariant: a failed job waits for its newest version to become durable; one that succeeded does
//! not, and neither waits once somebody presses on. A directory that holds a manifest is never
//! removed by a job that failed. Deliberately absent: writing; the drain's thread does it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use mainstay_ckpt::ledger::{Input, Record};
use mainstay_ckpt::{Files, Manifest, manifest_name};
use mainstay_types::event::{Checkpoint, Event, Level, VersionState};
use mainstay_types::{Rank, Step, Version, exit};

use super::Versions;
use super::archives::unmarked;
use super::writer::Overdue;
use crate::supervisor::Supervisor;
use crate::supervisor::drain::{Drain, Part, RemotePart, Report, WriteTask};
use crate::supervisor::nodes::Nodes;
use crate::sys;

/// How long a failed job waits for its newest version to reach the disk.
const LAST_DRAIN: Duration = Duration::from_secs(60);

/// How long the end of a look at a copy is waited for.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// How the versions ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) events: Vec<Event>,
    pub(crate) checkpoints: Vec<Checkpoint>,
    pub(crate) resumed_from: Option<Version>,
    pub(crate) kept: Option<PathBuf>,
    pub(crate) resumable: Option<(Version, Step)>,
}

impl Versions {
    /// Hands a version to the drain. One that cannot be handed over has failed to be written: the
    /// ledger must not wait for it.
    pub(super) fn drain(&mut self, version: Version) -> Vec<Event> {
        let handed = self.task(version).and_then(|task| {
            let directory = self.directory.as_ref().ok_or("there is no directory")?;
            self.writer.write(task, directory, sys::now())
        });
        match handed {
            Ok(()) => Vec::new(),
            Err(why) => self.input(Input::WriteFailed { version, why }),
        }
    }

    pub(super) fn task(&mut self, version: Version) -> Result<WriteTask, String> {
        let manifest = self.ledger.manifest(version, self.identity.clone());
        let mut manifest: Manifest = manifest.ok_or("it is not committed")?;
        manifest.nodes = self.nodes.as_ref().and_then(Nodes::layout);
        self.files.insert(version, manifest.part_names());
        let memory = self.memory.get(&version).ok_or("its memory is gone")?;
        let slot = self.ledger.record(version).and_then(Record::slot);
        let part = |rank: Rank| match &self.nodes {
            None => Some(Part::Here(
                memory.arenas.get(&rank)?.clone(),
                memory.lates.get(&rank).cloned(),
            )),
            Some(nodes) => {
                let image_bytes = manifest.ranks.get(rank.index())?.image_bytes;
                let (remote, slot) = (nodes.remote(rank)?, slot?);
                Some(Part::There(RemotePart { remote, rank, slot, version, image_bytes }))
            }
        };
        let parts: Option<Vec<_>> = Rank::all(self.n).map(part).collect();
        let parts = parts.ok_or("an arena of it is gone")?;
        let program = if self.program_known { None } else { self.program.clone() };
        let inputs = self.inputs.iter().map(|(name, blob)| (name.clone(), Arc::clone(blob)));
        let base = self.ledger.base();
        Ok(WriteTask { manifest, base, parts, program, inputs: inputs.collect() })
    }

    /// Looks whether a write takes too long.
    pub(crate) fn look_at_drain(&mut self, now: Duration) -> Vec<Event> {
        match self.writer.look(now) {
            None => Vec::new(),
            Some(Overdue::Slow(version, took)) => vec![Event::Note {
                text: format!(
                    "version {version} has been on its way to disk for {} s; the job goes on",
                    took.as_secs()
                ),
            }],
            Some(Overdue::GivenUp(version, why)) => {
                let mut events = self.no_writer(&why);
                events.extend(self.input(Input::WriteFailed { version, why }));
                events
            }
        }
    }

    pub(super) fn prune(&mut self, version: Version) {
        self.went(version, Level::Disk);
        if let (Some(names), Some(drain)) = (self.files.remove(&version), self.writer.drain()) {
            drain.prune(Files::new(version, names));
        }
    }

    /// What the drain has done; the supervisor passes its points in between.
    pub(crate) fn reports(&mut self) -> Vec<Report> {
        self.writer.drain().map(Drain::reports).unwrap_or_default()
    }

    /// Takes one report in.
    pub(crate) fn report(&mut self, report: Report) -> Vec<Event> {
        self.writer.heard(&report);
        match report {
            Report::Aside(version, packings) => {
                let mut events = self.input(Input::Packed { version, packings });
                events.extend(self.input(Input::Written { version }));
                events
            }
            Report::Published(version, cpu) => {
                if let Some(checkpoint) = self.told.get_mut(&version) {
                    checkpoint.drain_cpu = Some(cpu);
                }
                let mut events = self.archive_if_due(sys::now());
                events.extend(self.input(Input::Published { version }));
                events
            }
            Report::Unread(version, why) => {
                self.unread = Some(version);
                self.report(Report::Failed(version, why))
            }
            Report::Failed(version, why) => {
                // Undone as far as that goes. What is left is the next start's.
                self.files.remove(&version);
                self.input(Input::WriteFailed { version, why })
            }
            Report::Undone(version) => self.input(Input::Undone { version }),
            Report::Program(sha256) => {
                self.identity.program.sha256 = sha256;
                self.program_known = true;
                Vec::new()
            }
            // Told by whoever drains while the job goes on; a digest that differs is never published.
            Report::Input(name, sha256) => {
                let _other = self.input_digest(&name, sha256);
                Vec::new()
            }
            Report::Mended(mended) => self.shard_mended(mended),
            Report::ArchiveFailed(version, why) => vec![unmarked(version, &why)],
            Report::PruneFailed(why) => {
                self.unpruned += 1;
                let text =
                    format!("{} old versions are not removed, the last: {why}", self.unpruned);
                let told = self.unpruned.is_power_of_two();
                told.then_some(Event::Note { text }).into_iter().collect()
            }
        }
    }

    pub(super) fn published(&mut self, version: Version) -> Option<Event> {
        self.arrived(version, Level::Disk);
        let committed_at = self.memory.get(&version).and_then(|memory| memory.committed_at);
        let checkpoint = self.told.get_mut(&version)?;
        checkpoint.level = Level::Disk;
        checkpoint.state = VersionState::Published;
        checkpoint.durable = committed_at.map(|at| sys::now().saturating_sub(at));
        if let (Some(took), Some(cpu)) = (checkpoint.durable, checkpoint.drain_cpu) {
            self.pace.drained(took, cpu);
        }
        Some(Event::Checkpoint(checkpoint.clone()))
    }

    /// Hands the newest version to the drain, if it was to stay in memory, which ends now.
    fn keep_newest(&mut self) -> Vec<Event> {
        let newest = self.ledger.newest_restorable();
        let spare =
            |version: &Version| self.ledger.record(*version).is_some_and(|r| !r.is_durable());
        match newest.filter(spare) {
            Some(version) => self.input(Input::Keep { version }),
            None => Vec::new(),
        }
    }

    /// Waits until the newest version is on disk; whether somebody pressed on meanwhile.
    fn wait_for_last(
        &mut self,
        events: &mut Vec<Event>,
        pressed: &mut dyn FnMut() -> bool,
    ) -> bool {
        let until = sys::now() + LAST_DRAIN;
        while self.ledger.is_draining() {
            let haste = pressed();
            let left = until.saturating_sub(sys::now());
            if haste || left.is_zero() {
                let text = "the newest version is not on disk, and is not waited for any longer";
                events.push(Event::Note { text: text.to_owned() });
                return haste;
            }
            let Some(drain) = self.writer.drain() else {
                return false;
            };
            match drain.wait(left.min(sys::LOOK)) {
                Ok(report) => events.extend(self.report(report)),
                // The main loop, which looks at nodes, is over.
                Err(RecvTimeoutError::Timeout) => events.extend(self.end_stopped_nodes()),
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        false
    }

    /// Ends the drain and disposes of the directory. `pressed` tells whether somebody wants the end
    /// now.
    pub(crate) fn end(&mut self, success: bool, pressed: &mut dyn FnMut() -> bool) -> Ended {
        let mut events = if success { Vec::new() } else { self.keep_newest() };
        let haste = !success && self.wait_for_last(&mut events, pressed);
        // What is read of nodes from now on is of no use: a node that is stopped holds nobody up.
        if let Some(nodes) = &self.nodes {
            nodes.kill_all();
        }
        // What it reads changes nothing, so it holds nobody up.
        let _hangs = self.scrubbing.end(if haste { LAST_LOOK / 20 } else { LAST_LOOK });
        if !self.writer.end(haste, pressed) {
            let text = "a write to the checkpoint directory hangs and is left behind; files of it \
                        are removed at the next start there";
            events.push(Event::Note { text: text.to_owned() });
        }
        let is_there = |version: &Version| {
            self.path().is_some_and(|path| path.join(manifest_name(*version)).exists())
        };
        let resumable = self
            .ledger
            .newest_published()
            .filter(is_there)
            .and_then(|version| Some((version, self.ledger.record(version)?.step())));
        let mut kept = self.path().map(Path::to_owned);
        if self.own_directory && (success || !self.any_manifest) {
            let path = kept.take().unwrap_or_default();
            let destroyed = match self.directory.take().map(Arc::into_inner) {
                None => Ok(()),
                Some(None) => Err(format!("{} is still written to", path.display())),
                Some(Some(only)) => only.destroy().map_err(|error| error.to_string()),
            };
            if let Err(why) = destroyed {
                let text = format!("the job's directory is not removed: {why}");
                events.push(Event::Note { text });
            }
        }
        let checkpoints = self.told.values().cloned().collect();
        let resumed_from = self.resumed_from;
        Ended { events, checkpoints, resumed_from, kept, resumable }
    }
}

impl Supervisor<'_> {
    /// The drain has something to report.
    pub(in crate::supervisor) fn drained(&mut self) {
        use mainstay_types::Point;
        for report in self.versions.reports() {
            if let Report::Input(name, sha256) = &report {
                if let Some(why) = self.versions.input_digest(name, *sha256) {
                    self.feed(mainstay_control::Input::GiveUp { code: exit::DATA, why });
                }
                continue;
            }
            let point = match report {
                Report::Aside(..) => {
                    self.pass(Point::ManifestWritten);
                    None
                }
                Report::Published(..) => Some(Point::Published),
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
