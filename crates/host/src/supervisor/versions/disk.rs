//! A version on its way to disk, and the end of all versions.
//!
//! Invariant: a failed job waits for its newest version to become durable; one that succeeded does
//! not. Deliberately absent: writing; the drain's thread does it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mainstay_ckpt::ledger::Input;
use mainstay_types::event::{Checkpoint, Event, Level, VersionState};
use mainstay_types::{Rank, Step, Version};

use super::Versions;
use crate::directory::Directory;
use crate::supervisor::Supervisor;
use crate::supervisor::drain::{Drain, Report, WriteTask};
use crate::sys;

/// How long a failed job waits for its newest version to reach the disk.
const LAST_DRAIN: Duration = Duration::from_secs(60);

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
    pub(super) fn drain(&mut self, version: Version) {
        let Some(manifest) = self.ledger.manifest(version, self.identity.clone()) else {
            return;
        };
        self.files.insert(version, manifest.shard_names().collect());
        let Some(memory) = self.memory.get(&version) else {
            return;
        };
        let part = |rank: Rank| {
            Some((memory.arenas.get(&rank)?.clone(), memory.lates.get(&rank).cloned()))
        };
        let parts: Option<Vec<_>> = Rank::all(self.n).map(part).collect();
        let (Some(parts), Some(drain)) = (parts, &self.drain) else {
            return;
        };
        let program = if self.program_known { None } else { self.program.clone() };
        drain.write(WriteTask { manifest, parts, program });
    }

    pub(super) fn prune(&mut self, version: Version) {
        if let (Some(names), Some(drain)) = (self.files.remove(&version), &self.drain) {
            drain.prune(version, names);
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
                vec![Event::Note { text: format!("an old version is not removed: {why}") }]
            }
        }
    }

    pub(super) fn published(&mut self, version: Version) -> Option<Event> {
        let committed_at = self.memory.get(&version).and_then(|memory| memory.committed_at);
        let checkpoint = self.told.get_mut(&version)?;
        checkpoint.level = Level::Disk;
        checkpoint.state = VersionState::Published;
        checkpoint.durable = committed_at.map(|at| sys::now().saturating_sub(at));
        if let Some(took) = checkpoint.durable {
            self.pace.drained(took);
        }
        Some(Event::Checkpoint(checkpoint.clone()))
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
        Ended { events, checkpoints, resumed_from, kept, resumable }
    }
}

impl Supervisor<'_> {
    /// The drain has something to report.
    pub(in crate::supervisor) fn drained(&mut self) {
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
