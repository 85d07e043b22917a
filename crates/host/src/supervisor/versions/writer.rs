//! The thread that writes versions, and how long it may take.
//!
//! Invariant: a write that hangs costs its version, never the job: it is told, then given up with
//! its thread, whose late reports nobody hears. No second thread is started beside one that hangs.
//! Deliberately absent: which version; the ledger decides.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use mainstay_types::Version;

use crate::directory::Directory;
use crate::supervisor::drain::{Drain, Report, Storing, WriteTask};

/// A write that takes longer is told of.
const SLOW: Duration = Duration::from_secs(30);
/// A write that takes longer is given up.
const TOO_LONG: Duration = Duration::from_secs(300);
/// How long the end of the thread is waited for.
const LAST: Duration = Duration::from_secs(10);
/// The same when somebody presses on.
const LAST_IN_HASTE: Duration = Duration::from_secs(1);

/// A version that is being written.
#[derive(Debug)]
struct Busy {
    version: Version,
    since: Duration,
    told: bool,
}

/// What is to be said of a write that takes long.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    Slow(Version, Duration),
    /// It is given up; the ledger is to know.
    GivenUp(Version, String),
}

#[derive(Debug, Default)]
pub(super) struct Writer {
    storing: Storing,
    drain: Option<Drain>,
    busy: Option<Busy>,
    /// A thread that was given up, with the version that it hangs on.
    stuck: Option<(Version, Drain)>,
}

impl Writer {
    pub(super) fn new(storing: Storing) -> Self {
        Self { storing, ..Self::default() }
    }

    pub(super) fn start(&mut self, directory: &Arc<Directory>) -> io::Result<()> {
        self.drain = Some(Drain::start(Arc::clone(directory), self.storing)?);
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn with(drain: Drain) -> Self {
        Self { drain: Some(drain), ..Self::default() }
    }

    pub(super) fn drain(&self) -> Option<&Drain> {
        self.drain.as_ref()
    }

    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.drain.as_ref().map(Drain::fd)
    }

    /// Hands a version to the thread; gives the reason if there is none to take it.
    pub(super) fn write(
        &mut self,
        task: WriteTask,
        directory: &Arc<Directory>,
        now: Duration,
    ) -> Result<(), String> {
        if let Some((version, stuck)) = &self.stuck {
            if !stuck.has_ended() {
                return Err(format!("the write of version {version} still hangs"));
            }
            self.stuck = None;
            self.start(directory).map_err(|error| no_thread(&error))?;
        }
        let Some(drain) = &self.drain else {
            return Err("there is no thread to write it".to_owned());
        };
        self.busy = Some(Busy { version: task.manifest.version, since: now, told: false });
        drain.write(task);
        Ok(())
    }

    /// Takes note of a report.
    pub(super) fn heard(&mut self, report: &Report) {
        let (Report::Published(ended, _) | Report::Failed(ended, _) | Report::Unread(ended, _)) =
            report
        else {
            return;
        };
        if self.busy.as_ref().is_some_and(|busy| busy.version == *ended) {
            self.busy = None;
        }
    }

    /// The job stood still for so long, and the thread with it.
    pub(super) fn suspended(&mut self, paused: Duration) {
        if let Some(busy) = &mut self.busy {
            busy.since += paused;
        }
    }

    /// Looks at the write under way.
    pub(super) fn look(&mut self, now: Duration) -> Option<Overdue> {
        let busy = self.busy.as_mut()?;
        let (version, took) = (busy.version, now.saturating_sub(busy.since));
        if took >= TOO_LONG {
            self.busy = None;
            let mut drain = self.drain.take()?;
            drain.abandon();
            self.stuck = Some((version, drain));
            let why = format!("its write has hung for {} s and is given up", took.as_secs());
            return Some(Overdue::GivenUp(version, why));
        }
        (took >= SLOW && !std::mem::replace(&mut busy.told, true))
            .then_some(Overdue::Slow(version, took))
    }

    /// Gives up what is under way; whether the thread has ended, and nothing is written any more.
    pub(super) fn end(&mut self, haste: bool, pressed: &mut dyn FnMut() -> bool) -> bool {
        let at_most = if haste { LAST_IN_HASTE } else { LAST };
        let last = self.drain.take().is_none_or(|mut drain| drain.end(at_most, pressed));
        let stuck = self.stuck.take().is_none_or(|(_, drain)| drain.has_ended());
        last && stuck
    }
}

/// The words for a thread that cannot be had.
pub(super) fn no_thread(error: &io::Error) -> String {
    format!("no thread to write checkpoints: {error}")
}
