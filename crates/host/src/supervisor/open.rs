//! Opening an epoch: nobody touches shared memory, so channels are emptied, a version is chosen
//! once, and every rank is told.
//!
//! Invariant: a rank gets its descriptors or its copy counts as bad and another choice is made.
//! Deliberately absent: whether the epoch may open; `control` decided that.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;

use mainstay_ckpt::ledger::Choice;
use mainstay_comm::layout::Status;
use mainstay_control::Input;
use mainstay_types::wire::{Reshape, ToRank};
use mainstay_types::{Epoch, Rank, Step};

use super::Supervisor;
use super::versions::Source;
use crate::sys;

impl Supervisor<'_> {
    pub(super) fn open(&mut self, epoch: Epoch) {
        self.segment.reset_channels();
        let (choice, sources) = match self.choose() {
            Ok(chosen) => chosen,
            Err(why) => return self.feed(Input::NoVersion { why }),
        };
        let step = choice.as_ref().map_or(Step(0), |choice| choice.step);
        // Until a rank has taken its state over, its step is the version's.
        for rank in Rank::all(self.plan.config.n) {
            self.segment.status(rank, Status::Step).store(step.0, Ordering::SeqCst);
        }
        let incarnations: Vec<u32> =
            self.recovery.incarnations().into_iter().map(|incarnation| incarnation.0).collect();
        let n = self.plan.config.n;
        for (rank, sources) in Rank::all(n).zip(sources) {
            let incarnations = incarnations.clone();
            let message = match &choice {
                Some(choice) if choice.n() != n => {
                    let (version, step, ranks) = (choice.version, choice.step, choice.n());
                    let reshape = Reshape { version, step, ranks };
                    ToRank::OpenReshaped { epoch, incarnations, reshape }
                }
                choice => {
                    let restore = choice.as_ref().map(|choice| choice.restore(rank));
                    ToRank::Open { epoch, incarnations, restore }
                }
            };
            let fds: Vec<BorrowedFd<'_>> = sources.iter().map(Source::as_fd).collect();
            self.answer_with(rank, &message, &fds);
        }
        let now = sys::now();
        self.faults.start(now);
        self.versions.opened(now);
        let version = choice.map(|choice| choice.version);
        self.feed(Input::Opened { epoch, version, step });
    }

    /// A version whose descriptors could all be had, with them.
    fn choose(&mut self) -> Result<(Option<Choice>, Vec<Vec<Source>>), String> {
        loop {
            let n = self.plan.config.n;
            let Some(choice) = self.versions.choose()?.cloned() else {
                return Ok((None, Rank::all(n).map(|_| Vec::new()).collect()));
            };
            let mut sources = Vec::new();
            let mut bad = None;
            for rank in Rank::all(n) {
                match self.versions.sources(&choice, rank) {
                    Ok(found) => sources.push(found),
                    Err(why) => {
                        bad = Some((rank, why));
                        break;
                    }
                }
            }
            let Some((rank, why)) = bad else {
                return Ok((Some(choice), sources));
            };
            // Of a version of other ranks it is the directory or the manifest, and so any part.
            let rank = self.versions.bad_part(rank, rank);
            let level = choice.ranks[rank.index()].level;
            let version = choice.version;
            if let Some(text) = self.versions.news_of(version, (rank, level), &why) {
                self.note(text);
            }
            let events = self.versions.copy_bad(rank, version, level, &why);
            self.tell_all(events);
        }
    }
}

impl Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Arena(memory) => memory.fd.as_fd(),
            Self::Late(blob) => blob.as_fd(),
            Self::Shard(file) | Self::Directory(file) | Self::Manifest(file) => file.as_fd(),
        }
    }
}
