//! Entering the program: acknowledge the epoch, wait until it opens, take over channels and state.
//!
//! Invariant: after an acknowledgement nothing of shared memory is touched until the epoch opens.
//! Deliberately absent: leaving; the facade does that by returning from the closure.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use mainstay_ckpt::Late;
use mainstay_comm::layout::{Control, Status};
use mainstay_types::trace::What;
use mainstay_types::wire::{Reshape, Restore, ToRank, ToSupervisor};
use mainstay_types::{Epoch, Incarnation, Point, Rank as RankId, Step, Version};

use super::gather::Gathered;
use super::{ImageReader, Rank, RankError, Restoring};
use crate::endpoint::Resume;
use crate::sys;

/// What an entry begins with.
enum From {
    Start,
    Own(Restore),
    Others(Reshape),
}

impl From {
    fn version(&self) -> Option<(Version, Step)> {
        match self {
            Self::Start => None,
            Self::Own(restore) => Some((restore.version, restore.step)),
            Self::Others(reshape) => Some((reshape.version, reshape.step)),
        }
    }
}

impl Rank {
    /// Acknowledges the current epoch and returns when it is open, with the channels of the
    /// version to restore in place.
    ///
    /// # Errors
    /// [`RankError::LauncherGone`]; anything else that the supervisor refuses.
    pub fn enter(&mut self) -> Result<(), RankError> {
        self.segment.enter_call(self.id);
        let first = self.epoch == Epoch(0);
        let outcome = loop {
            self.begin();
            match self.open(first && self.epoch == Epoch(0)) {
                // A copy that could not be restored is replaced under the next epoch.
                Ok(false) => {}
                Ok(true) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.segment.leave_call(self.id);
        if matches!(outcome, Err(RankError::LauncherGone)) {
            self.orphaned();
        }
        outcome
    }

    /// Forgets the entry that is over.
    fn begin(&mut self) {
        self.restoring = None;
        self.restore_ns = 0;
        self.specs.clear();
        self.protects = false;
        self.told_ready = false;
        self.agreements.clear();
        self.hashes.clear();
        if let Some(written) = &mut self.written {
            written.forget();
        }
    }

    /// One epoch from its acknowledgement to its opening; `false` when its version is unusable.
    fn open(&mut self, first: bool) -> Result<bool, RankError> {
        let Some(link) = self.link.clone() else {
            self.epoch = Epoch(1);
            self.endpoint.begin_epoch(self.epoch, &[Incarnation(0)], None)?;
            return Ok(true);
        };
        if !first {
            self.acknowledge()?;
        }
        loop {
            match self.hear(|| link.hear())? {
                (ToRank::Raised { .. }, _) => self.acknowledge()?,
                (ToRank::Open { epoch, incarnations, restore }, fds) => {
                    self.epoch = epoch;
                    let from = restore.map_or(From::Start, From::Own);
                    return self.take_over(incarnations, &from, fds);
                }
                (ToRank::OpenReshaped { epoch, incarnations, reshape }, fds) => {
                    self.epoch = epoch;
                    return self.take_over(incarnations, &From::Others(reshape), fds);
                }
                (ToRank::Refused { why }, _) => return Err(RankError::Refused(why)),
                // An answer to a question of the entry that is over.
                (_, _) => {}
            }
        }
    }

    fn acknowledge(&mut self) -> Result<(), RankError> {
        let epoch = self.segment.control(Control::Epoch).load(Ordering::Acquire);
        let epoch = Epoch(u32::try_from(epoch).unwrap_or(u32::MAX));
        self.tell(&ToSupervisor::Ack { epoch })?;
        self.trace(|t| t.now(What::Acknowledge));
        self.injector.pass(Point::Acknowledged);
        Ok(())
    }

    fn take_over(
        &mut self,
        incarnations: Vec<u32>,
        from: &From,
        fds: Vec<OwnedFd>,
    ) -> Result<bool, RankError> {
        let incarnations: Vec<_> = incarnations.into_iter().map(Incarnation).collect();
        self.owes_restored = true;
        let version = from.version().map(|(version, _)| version);
        self.trace(|t| {
            t.enters(self.epoch);
            t.now(What::Enter { version });
        });
        let Some((version, step)) = from.version() else {
            self.set_step(Step(0));
            self.endpoint.begin_epoch(self.epoch, &incarnations, None)?;
            return Ok(true);
        };
        let started = sys::now_ns();
        let opened = self.open_version(&incarnations, from, fds);
        self.restore_ns = sys::now_ns() - started;
        match opened {
            Ok(reader) => {
                self.set_step(step);
                let left = reader.states();
                self.restoring = Some(Restoring { version, reader, left });
                Ok(true)
            }
            Err((part, why)) => {
                let epoch = self.epoch;
                self.tell(&ToSupervisor::RestoreFailed { epoch, version, part, why })?;
                self.wait_for_epoch()?;
                Ok(false)
            }
        }
    }

    /// Opens what the version is restored from, and takes over its channels. Those of a version that
    /// is put together are empty; the error names the part that is bad.
    fn open_version(
        &mut self,
        incarnations: &[Incarnation],
        from: &From,
        fds: Vec<OwnedFd>,
    ) -> Result<ImageReader, (RankId, String)> {
        let injector = std::rc::Rc::clone(&self.injector);
        let id = self.id;
        match from {
            From::Others(reshape) => {
                let gathered = Gathered::open(id, reshape, fds)?;
                let begun = self.endpoint.begin_epoch(self.epoch, incarnations, None);
                begun.map_err(|error| (RankId(0), error.to_string()))?;
                let fresh = self.arenas.is_empty();
                Ok(ImageReader::gathering(gathered, reshape.version, injector, fresh))
            }
            From::Own(restore) => {
                let whose = (self.id, self.n);
                let opened = ImageReader::open(whose, restore, fds, &mut self.arenas, injector);
                let (reader, late) = opened.map_err(|why| (id, why))?;
                self.take_channels(incarnations, restore, reader, late).map_err(|why| (id, why))
            }
            From::Start => Err((id, "no version was given".to_owned())),
        }
    }

    /// Puts the channels where the version has them.
    fn take_channels(
        &mut self,
        incarnations: &[Incarnation],
        restore: &Restore,
        reader: ImageReader,
        late: Late,
    ) -> Result<ImageReader, String> {
        let resume = Resume {
            version: restore.version,
            cut: reader.cut().cloned().unwrap_or_default(),
            late,
            suppress: restore.suppress.clone(),
            early: restore.early.clone(),
        };
        self.endpoint
            .begin_epoch(self.epoch, incarnations, Some(resume))
            .map_err(|error| error.to_string())?;
        Ok(reader)
    }

    pub(super) fn set_step(&mut self, step: Step) {
        self.step = step;
        self.segment.status(self.id, Status::Step).store(step.0, Ordering::SeqCst);
    }

    /// Ends a process whose launcher is gone: nobody is left to tell.
    pub fn orphaned(&self) -> ! {
        sys::die_of(libc::SIGKILL)
    }
}
