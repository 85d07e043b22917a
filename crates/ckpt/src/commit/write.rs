//! Writing a version and publishing it, and what is undone when that fails.
//!
//! Invariants: the mark is durable before the first shard is made; shards, manifest and the shards'
//! names are durable before the manifest is published; the version is told as published only when
//! its final name is durable. After a failure nothing is tried again: what was made is removed or,
//! where the final name may be there for good, left alone under its name.

use super::removal::Removal;
use super::{Content, Fault, Files, Op, Outcome};

/// What a commit wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// This operation. [`Commit::done`] takes its outcome.
    Do(Op),
    /// Tell that the version is published: a later launch finds it, whatever happens now.
    Published,
    /// Tell that it failed, and has been undone as far as that goes.
    Failed(Failure),
}

/// Why a version is not on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The operation that failed first.
    pub op: Op,
    /// What came of it.
    pub outcome: Outcome,
    /// Whether all of it is gone. What is left is the next start's: this launch does not touch it
    /// again, as what a failed sync has lost could not be told from what is durable.
    pub clean: bool,
}

/// Where a commit stands: at the operation to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
enum At {
    Mark,
    SyncMark,
    Create(usize),
    Write(usize),
    Sync(usize),
    WriteManifest,
    SyncManifest,
    SyncParts,
    Ask,
    Publish,
    SyncPublished,
    Published,
    RemoveAside,
    Undo(Removal),
    Failed,
    Over,
}

/// The commit of one version.
#[derive(Clone, Debug)]
pub struct Commit {
    files: Files,
    at: At,
    /// Whether the manifest goes by two names.
    copied: bool,
    failure: Option<Failure>,
}

impl Commit {
    /// Of a version of which nothing is there yet.
    #[must_use]
    pub fn new(files: Files) -> Self {
        Self { files, at: At::Mark, copied: false, failure: None }
    }

    /// What to do or tell next; `None` at the end. What is to be done stays next until
    /// [`done`](Self::done).
    #[expect(clippy::should_implement_trait, reason = "it waits for outcomes, no iterator does")]
    pub fn next(&mut self) -> Option<Next> {
        if let At::Undo(removal) = &mut self.at {
            if let Some(op) = removal.next() {
                return Some(Next::Do(op));
            }
            let clean = removal.is_clean();
            self.failed(clean);
        }
        match self.at {
            At::Published => {
                self.at = if self.copied { At::RemoveAside } else { At::Over };
                Some(Next::Published)
            }
            At::Failed => {
                self.at = At::Over;
                self.failure.take().map(Next::Failed)
            }
            _ => self.op().map(Next::Do),
        }
    }

    fn op(&self) -> Option<Op> {
        let Files { aside, manifest, parts } = &self.files;
        let aside = || aside.clone();
        Some(match &self.at {
            At::Mark => Op::Create(aside()),
            At::SyncMark | At::SyncParts | At::SyncPublished => Op::SyncNames,
            At::Create(i) => Op::Create(parts[*i].clone()),
            At::Write(i) => Op::Write(parts[*i].clone(), Content::Part(*i)),
            At::Sync(i) => Op::Sync(parts[*i].clone()),
            At::WriteManifest => Op::Write(aside(), Content::Manifest),
            At::SyncManifest => Op::Sync(aside()),
            At::Ask => Op::Ask,
            At::Publish => Op::Publish { aside: aside(), manifest: manifest.clone() },
            At::RemoveAside => Op::Remove(aside()),
            At::Undo(removal) => return removal.next(),
            At::Published | At::Failed | At::Over => return None,
        })
    }

    /// Takes what came of the operation that was next. Without one it changes nothing.
    pub fn done(&mut self, outcome: Outcome) {
        match (&mut self.at, outcome) {
            (At::Undo(removal), _) => removal.done(outcome),
            // Whether the second name is gone changes nothing: the next start removes it.
            (At::RemoveAside, _) => self.at = At::Over,
            (At::Publish, Outcome::Done | Outcome::Copied) => {
                self.copied = outcome == Outcome::Copied;
                self.at = At::SyncPublished;
            }
            (_, Outcome::Done) => self.advance(),
            _ => self.fail(outcome),
        }
    }

    fn advance(&mut self) {
        let part =
            |i: usize| if i < self.files.parts.len() { At::Create(i) } else { At::WriteManifest };
        self.at = match self.at {
            At::Mark => At::SyncMark,
            At::SyncMark => part(0),
            At::Create(i) => At::Write(i),
            At::Write(i) => At::Sync(i),
            At::Sync(i) => part(i + 1),
            At::WriteManifest => At::SyncManifest,
            At::SyncManifest => At::SyncParts,
            At::SyncParts => At::Ask,
            At::Ask => At::Publish,
            At::SyncPublished => At::Published,
            _ => return,
        };
    }

    fn fail(&mut self, outcome: Outcome) {
        let Some(op) = self.op() else {
            return;
        };
        self.failure = Some(Failure { op, outcome, clean: false });
        let exists = outcome == Outcome::AlreadyExists;
        let made = match self.at {
            At::Mark if exists => return self.failed(true),
            // Whoever has the final name has a version there, or has our own by a request that was
            // carried out twice. Either way its shards are not to be touched.
            At::Publish if exists => return self.failed(false),
            At::Mark | At::SyncMark => 0,
            At::Create(i) => i + usize::from(!exists),
            At::Write(i) | At::Sync(i) => i + 1,
            _ => self.files.parts.len(),
        };
        if outcome == Outcome::Failed(Fault::ReadOnly) {
            return self.failed(false);
        }
        let published = matches!(self.at, At::Publish | At::SyncPublished);
        self.at = At::Undo(Removal::undo(&self.files, made, published));
    }

    fn failed(&mut self, clean: bool) {
        if let Some(failure) = &mut self.failure {
            failure.clean = clean;
        }
        self.at = At::Failed;
    }
}
