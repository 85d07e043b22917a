//! What the drain does beside writing versions: removing, marking and mending those that are there.
//!
//! Invariant: what is asked for first is done first, so that nothing of a version is made after its
//! removal. Deliberately absent: which version, and what may be removed; the ledger decides.

use std::ops::Range;

use mainstay_types::Rank;

use super::{Report, Task, Worker, WriteTask};
use crate::directory::DirectoryError;

/// A shard that is bad, of a version that lies in memory.
#[derive(Debug)]
pub(crate) struct MendTask {
    pub(crate) write: WriteTask,
    pub(crate) rank: Rank,
    /// The bytes of the file that are known to be bad.
    pub(crate) bad: Vec<Range<u64>>,
}

impl Worker {
    /// Does what needs no version to be written.
    pub(super) fn tend(&self, task: Task) {
        match task {
            Task::Prune(files) => {
                if let Err(error) = self.directory.prune(&files) {
                    self.report(Report::PruneFailed(error.to_string()));
                }
            }
            Task::Archive(version) => {
                if let Err(error) = self.directory.archive(version) {
                    self.report(Report::ArchiveFailed(version, error.to_string()));
                }
            }
            Task::Mend(task) => {
                let mended = self.mend(&task).map_err(|error| error.to_string());
                self.report(Report::Mended(mended));
            }
            Task::Write(_) | Task::Publish => {}
        }
    }

    /// Writes a shard anew where it is bad. The arena may be overwritten meanwhile: then a checksum
    /// tells, and nothing of that is written.
    fn mend(&self, task: &MendTask) -> Result<(), DirectoryError> {
        let MendTask { write, rank, bad } = task;
        let name = write.manifest.shard_names().nth(rank.index()).unwrap_or_default();
        self.directory.mend(&name, bad, |file| self.plain(write, rank.index(), file))
    }
}
