//! A job's versions on a file system that may fail or lose power, and what a start must find then.
//!
//! After each operation every state in which a crash may leave the disk is looked at. Each must give
//! the newest version whose commit had returned, or the one whose publication had begun; every
//! version that was published and is not being pruned must be whole; then the leftovers are removed,
//! which may be cut short by another crash in the same manner.

use std::collections::BTreeSet;
use std::rc::Rc;

use mainstay_ckpt::{
    Commit, Content, Fault, FileName, Files, Next, Op, Outcome, Removal, parse_name,
};
use mainstay_types::{Epoch, Version};

use crate::crash_disk::{Disk, Image};
use crate::crash_start::{Capture, Found, Starter, capture};
use crate::random::Random;

/// What goes wrong at an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    /// No room, for the rest of this version.
    Full,
    /// This operation fails, and was done all the same or not.
    Io { done: bool },
    /// This operation and all after it fail.
    Broken,
    /// Nothing can be changed from now on.
    ReadOnly,
}

/// Why a run was cut short.
#[derive(Debug)]
pub(crate) enum End {
    /// The process was killed, as was asked for.
    Killed,
    /// A start would find what it must not.
    Wrong(String),
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    /// Moments of a crash.
    pub(crate) points: u64,
    /// States of the disk, and those of them that differ from others of the same moment.
    pub(crate) images: u64,
    pub(crate) distinct: u64,
    /// States of the disk in a clean-up that was cut short.
    pub(crate) cleaning: u64,
}

/// What was promised so far.
#[derive(Clone, Debug, Default)]
struct Facts {
    /// Versions that were told as published, or that a job went on from.
    returned: BTreeSet<Version>,
    /// Those whose publication began and was not undone for certain.
    begun: BTreeSet<Version>,
    /// Those of which the removal began.
    withdrawn: BTreeSet<Version>,
}

pub(crate) struct World {
    pub(crate) disk: Disk,
    pub(crate) starter: Starter,
    pub(crate) random: Random,
    pub(crate) count: Count,
    /// All operations so far.
    pub(crate) trace: Vec<Op>,
    /// Whether the file system has to link where others rename without replacement.
    pub(crate) links: bool,
    /// What goes wrong, and at which operations.
    pub(crate) troubles: Vec<(usize, Trouble)>,
    /// A sync that does nothing and says that it did.
    pub(crate) lie: Option<usize>,
    /// The operation before which the process is killed.
    pub(crate) kill: Option<usize>,
    /// From which operation on crashes are tried.
    pub(crate) crashes_from: usize,
    /// How many samples are taken where not all subsets are tried, and whether they never are.
    pub(crate) samples: (usize, bool),
    facts: Facts,
    /// The version whose final name was just taken back.
    withdrawing: Option<Version>,
    is_troubled: bool,
    /// Whether a launch came upon a directory of which a sync had failed, which it could not know.
    inherited: bool,
    cleaned: BTreeSet<Vec<String>>,
    next: Version,
    epoch: Epoch,
}

impl World {
    pub(crate) fn new(links: bool) -> Self {
        Self {
            disk: Disk::default(),
            starter: Starter::default(),
            random: Random(1),
            count: Count::default(),
            trace: Vec::new(),
            links,
            troubles: Vec::new(),
            lie: None,
            kill: None,
            crashes_from: 0,
            samples: (64, false),
            facts: Facts::default(),
            withdrawing: None,
            is_troubled: false,
            inherited: false,
            cleaned: BTreeSet::new(),
            next: Version(1),
            epoch: Epoch(1),
        }
    }

    /// A launch: finds what is there, removes the leftovers, and takes up the numbers.
    pub(crate) fn launch(&mut self) -> Result<(), End> {
        let found = self.starter.start(&self.disk.seen()).map_err(End::Wrong)?;
        (self.next, self.epoch) = (found.next, found.epoch);
        self.inherited |= self.disk.is_in_doubt();
        let mut removal = Removal::of_leftovers(&found.leftovers);
        while let Some(op) = removal.next() {
            let outcome = self.perform(&op, None)?;
            removal.done(outcome);
            // What a job goes on from was made durable first, as far as a sync can know.
            let synced = op == Op::SyncNames && outcome == Outcome::Done;
            if synced && !self.disk.is_in_doubt() {
                self.facts.returned.extend(&found.whole);
            }
        }
        Ok(())
    }

    /// A crash with this state of the disk, and a launch after it.
    pub(crate) fn crash(&mut self, image: &Image) -> Result<(), End> {
        self.disk = Disk::of(image);
        let found = self.starter.start(image).map_err(End::Wrong)?;
        self.facts.returned.extend(&found.whole);
        self.facts.begun.clear();
        self.launch()
    }

    /// Commits the next version, and prunes those beyond the newest `keep`.
    pub(crate) fn version(&mut self, keep: usize) -> Result<(), End> {
        let (version, parent) = (self.next, self.facts.returned.last().copied());
        self.next = version.next();
        let capture = Rc::new(capture(version, self.epoch, parent));
        self.starter.truth.entry(version).or_default().push(Rc::clone(&capture));
        let files = Files::of(&capture.manifest);
        let mut commit = Commit::new(files.clone());
        while let Some(next) = commit.next() {
            match next {
                Next::Do(op) => commit.done(self.perform(&op, Some(capture.as_ref()))?),
                Next::Published => {
                    self.facts.returned.insert(version);
                    self.crashes()?;
                }
                // What is left of it is the next launch's.
                Next::Failed(_) => {}
            }
        }
        let now = self.trace.len();
        self.troubles.retain(|(at, trouble)| !matches!(trouble, Trouble::Full if *at < now));
        let kept = self.facts.returned.iter().rev().nth(keep - 1).copied();
        let pruned = |v: &&Version| kept.is_some_and(|kept| **v < kept);
        let gone: Vec<_> = self.starter.truth.keys().filter(pruned).copied().collect();
        for version in gone {
            if self.facts.returned.remove(&version) {
                let captures = &self.starter.truth[&version];
                let last = captures.last().map(|capture| Files::of(&capture.manifest));
                self.remove(Removal::prune(&last.unwrap()))?;
            }
        }
        Ok(())
    }

    fn remove(&mut self, mut removal: Removal) -> Result<(), End> {
        while let Some(op) = removal.next() {
            removal.done(self.perform(&op, None)?);
        }
        Ok(())
    }

    /// Carries out an operation, and tries every crash after it.
    fn perform(&mut self, op: &Op, capture: Option<&Capture>) -> Result<Outcome, End> {
        let at = self.trace.len();
        if self.kill == Some(at) {
            return Err(End::Killed);
        }
        self.trace.push(op.clone());
        match op {
            Op::Publish { manifest, .. } => drop(self.facts.begun.insert(version_of(manifest))),
            Op::Withdraw { manifest, .. } => {
                let version = version_of(manifest);
                self.facts.withdrawn.insert(version);
                self.facts.returned.remove(&version);
            }
            _ => {}
        }
        let outcome = self.troubled(at, op, capture);
        // Withdrawn, and durably so.
        if let (Op::SyncNames, Outcome::Done, Some(version)) = (op, outcome, self.withdrawing) {
            self.facts.begun.remove(&version);
        }
        self.withdrawing = match op {
            Op::Withdraw { manifest, .. } if !matches!(outcome, Outcome::Failed(_)) => {
                Some(version_of(manifest))
            }
            _ => None,
        };
        if at >= self.crashes_from {
            self.crashes()?;
        }
        Ok(outcome)
    }

    fn troubled(&mut self, at: usize, op: &Op, capture: Option<&Capture>) -> Outcome {
        let is_due = |(from, trouble): &&(usize, Trouble)| match trouble {
            Trouble::Io { .. } => *from == at,
            _ => *from <= at,
        };
        let trouble = self.troubles.iter().find(is_due).copied();
        let is_sync = matches!(op, Op::Sync(_) | Op::SyncNames);
        if is_sync && self.lie == Some(at) {
            return Outcome::Done;
        }
        self.is_troubled |= trouble.is_some();
        let (outcome, done) = match trouble {
            None => return self.apply(op, capture, usize::MAX),
            Some((_, Trouble::Full)) => match op {
                Op::Create(_) => return Outcome::Failed(Fault::Full),
                // The first block was written, or nothing at the end of the room.
                Op::Write(..) | Op::Sync(_) => (Outcome::Failed(Fault::Full), true),
                _ => return self.apply(op, capture, usize::MAX),
            },
            Some((_, Trouble::Io { done })) => (Outcome::Failed(Fault::Io), done),
            Some((_, Trouble::Broken)) => (Outcome::Failed(Fault::Io), false),
            Some((_, Trouble::ReadOnly)) => (Outcome::Failed(Fault::ReadOnly), false),
        };
        match op {
            Op::Sync(name) => drop(self.disk.sync(Some(name), true)),
            Op::SyncNames => drop(self.disk.sync(None, true)),
            _ if done => drop(self.apply(op, capture, 4096)),
            _ => {}
        }
        outcome
    }

    /// Carries out an operation; of a file, so many bytes are written at most.
    fn apply(&mut self, op: &Op, capture: Option<&Capture>, most: usize) -> Outcome {
        let disk = &mut self.disk;
        match op {
            Op::Create(name) => disk.create(name),
            Op::Write(name, content) => {
                let capture = capture.expect("only a version has content");
                let bytes = match content {
                    Content::Part(i) => capture.shards[*i].clone(),
                    Content::Manifest => capture.manifest.encode(),
                };
                disk.write(name, &bytes[..most.min(bytes.len())])
            }
            Op::Sync(name) => disk.sync(Some(name), false),
            Op::SyncNames => disk.sync(None, false),
            Op::Ask => Outcome::Done,
            Op::Publish { aside, manifest } if self.links => disk.link(aside, manifest),
            Op::Publish { aside, manifest } => disk.rename(aside, manifest, false),
            Op::Withdraw { manifest, aside } => {
                let renamed = disk.rename(manifest, aside, true);
                disk.remove(manifest);
                renamed
            }
            Op::Remove(name) => disk.remove(name),
        }
    }

    /// Tries every crash at this moment.
    pub(crate) fn crashes(&mut self) -> Result<(), End> {
        self.count.points += 1;
        let disk = std::mem::take(&mut self.disk);
        let mut random = Random(self.random.next());
        let mut distinct = BTreeSet::new();
        let seen = disk.crash(self.samples, &mut random, &mut |image| {
            self.count.images += 1;
            let file = |(name, content): (&String, &Rc<_>)| (name.clone(), Rc::as_ptr(content));
            let is_new = distinct.insert(image.iter().map(file).collect::<Vec<_>>());
            if is_new { self.check(&image) } else { Ok(()) }
        });
        self.count.distinct += distinct.len() as u64;
        self.disk = disk;
        seen.map_err(End::Wrong)
    }

    /// Whether a start finds on an image what it must.
    fn check(&mut self, image: &Image) -> Result<(), String> {
        let found = self.starter.start(image)?;
        let Facts { returned, begun, withdrawn, .. } = &self.facts;
        let last = returned.last().copied();
        let under_way = found.newest.is_some_and(|v| begun.contains(&v) && Some(v) > last);
        let names = || image.keys().cloned().collect::<Vec<_>>();
        if found.newest != last && !under_way {
            return Err(format!("{:?} where {last:?} was promised: {:?}", found.newest, names()));
        }
        if let Some(lost) = returned.difference(&found.whole).next() {
            return Err(format!("version {lost} is lost: {:?}", names()));
        }
        // Only a sync that failed, or lied, lets a version go by parts.
        let excused = |v: &Version| self.is_troubled && withdrawn.contains(v);
        let damaged = found.damaged.iter().find(|v| !excused(v));
        if let Some(damaged) = damaged {
            return Err(format!("version {damaged} is published in part: {:?}", names()));
        }
        if !found.leftovers.bereft.is_empty() && !self.inherited {
            return Err(format!("shards without manifest and mark: {:?}", names()));
        }
        if !found.leftovers.is_empty() && self.cleaned.insert(names()) {
            self.clean(image, &found)?;
        }
        Ok(())
    }

    /// Removes the leftovers of an image, crashing after each operation.
    fn clean(&mut self, image: &Image, found: &Found) -> Result<(), String> {
        let mut disk = Disk::of(image);
        let mut removal = Removal::of_leftovers(&found.leftovers);
        while let Some(op) = removal.next() {
            removal.done(match &op {
                Op::Remove(name) => disk.remove(name),
                Op::SyncNames => disk.sync(None, false),
                _ => return Err(format!("{op:?} in a clean-up")),
            });
            let mut random = Random(self.random.next());
            disk.crash(self.samples, &mut random, &mut |image| {
                self.count.cleaning += 1;
                let then = self.starter.start(&image)?;
                let same = then.newest == found.newest && then.whole == found.whole;
                if same && then.leftovers.bereft.len() == found.leftovers.bereft.len() {
                    return Ok(());
                }
                let names: Vec<_> = image.keys().collect();
                Err(format!("after the clean-up {then:?}: {names:?}"))
            })?;
        }
        let left = self.starter.start(&disk.seen())?.leftovers;
        if left.is_empty() { Ok(()) } else { Err(format!("left after the clean-up: {left:?}")) }
    }

    /// A crash that keeps anything, and the launch after it.
    pub(crate) fn crash_somehow(&mut self) -> Result<(), End> {
        let image = self.disk.crash_somehow(&mut self.random);
        self.check(&image).map_err(End::Wrong)?;
        self.crash(&image)
    }
}

fn version_of(name: &str) -> Version {
    match parse_name(name) {
        Some(FileName::Manifest { version }) => version,
        other => panic!("{other:?} is no manifest"),
    }
}
