//! The job as one entry of the program sees it.
//!
//! Invariant: a [`Job`] and all that comes from it belong to one entry; once that is over, every
//! call returns an interruption and touches nothing, and once the job is finished, an error of its
//! own. Deliberately absent: what outlives an entry; [`Core`] keeps it.

use std::any::Any;
use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::rc::Rc;

use mainstay_host::rank::{Rank, RankError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::protected::{self, Initial, Protected};
use crate::{Comm, Error, Input, Plain, Result, State, input};

/// What a process keeps over all entries.
pub(crate) struct Core {
    pub(crate) rank: Rank,
    /// The number of the current entry, from 1.
    pub(crate) entry: u64,
    /// States of an entry that is over, whose memory the next one restores into.
    pub(crate) stash: BTreeMap<String, Box<dyn Any>>,
    /// Names protected in this entry, in order.
    pub(crate) protected: Vec<String>,
    /// Inputs that were loaded, by name.
    pub(crate) inputs: BTreeMap<String, Rc<dyn Any>>,
    /// Whether an initialiser runs, in which communication is an error.
    pub(crate) initialising: bool,
}

impl Core {
    pub(crate) fn new(rank: Rank) -> Self {
        Self {
            rank,
            entry: 0,
            stash: BTreeMap::new(),
            protected: Vec::new(),
            inputs: BTreeMap::new(),
            initialising: false,
        }
    }

    /// Begins the next entry: acknowledges the epoch and waits until it opens.
    pub(crate) fn enter(&mut self) -> Result<()> {
        self.rank.enter()?;
        self.entry += 1;
        Ok(())
    }

    /// Ends the entry: its handles are stale from here on.
    pub(crate) fn leave(&mut self) {
        self.entry += 1;
        self.protected.clear();
        self.initialising = false;
    }
}

/// The way from a handle to its process, valid for one entry.
#[derive(Clone)]
pub(crate) struct Handle {
    core: Rc<RefCell<Core>>,
    entry: u64,
}

impl Handle {
    /// The process, if the entry is not over.
    #[inline]
    pub(crate) fn core(&self) -> Result<RefMut<'_, Core>> {
        let Ok(core) = self.core.try_borrow_mut() else {
            return Err(busy());
        };
        if core.entry != self.entry {
            return Err(RankError::Interrupted.into());
        }
        core.rank.check()?;
        Ok(core)
    }

    /// As [`Handle::core`], for calls that talk to other ranks.
    #[inline]
    pub(crate) fn communicating(&self) -> Result<RefMut<'_, Core>> {
        let core = self.core()?;
        match core.initialising {
            true => Err(alone()),
            false => Ok(core),
        }
    }

    /// The process, whether or not the entry is over.
    pub(crate) fn any_time(&self) -> Option<RefMut<'_, Core>> {
        self.core.try_borrow_mut().ok()
    }
}

#[cold]
fn busy() -> Error {
    Error::msg("`State::fields` calls Mainstay; it may only name its fields")
}

#[cold]
fn alone() -> Error {
    Error::msg(
        "a closure given to `protect` or `input` communicates; not every rank runs it, so \
         communicate before or after instead",
    )
}

/// The job, in one entry of the program.
pub struct Job {
    pub(crate) handle: Handle,
    rank: usize,
    size: usize,
}

impl Job {
    pub(crate) fn new(core: Rc<RefCell<Core>>) -> Self {
        let (entry, rank, size) = {
            let core = core.borrow();
            (core.entry, core.rank.rank().index(), core.rank.size())
        };
        Self { handle: Handle { core, entry }, rank, size }
    }

    /// This rank, `0..size`.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many ranks the job has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// The communicator of all ranks.
    #[must_use]
    pub fn world(&self) -> Comm {
        Comm::world(self.handle.clone(), self.rank, self.size)
    }

    /// The steps completed in the current logical history: completed calls of
    /// [`checkpoint`](Job::checkpoint) and [`tick`](Job::tick). It goes back with a rollback.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.handle.any_time().map_or(0, |core| core.rank.step().0)
    }

    /// The version that this entry of the program was restored from; `None` at the job's start.
    #[must_use]
    pub fn restored_version(&self) -> Option<u64> {
        self.handle.any_time()?.rank.restored_version().map(|version| version.0)
    }

    /// Large input that never changes: loaded by rank 0, once a job, and kept by the supervisor for
    /// all ranks and all entries. Rank 0 also has the launcher's standard input, so that may be what
    /// is loaded. Collective.
    ///
    /// # Errors
    /// What `load` returns, on rank 0; an interruption on the others.
    pub fn input<T, E>(&self, name: &str, load: impl FnOnce() -> Result<T, E>) -> Result<Input<T>>
    where
        T: Serialize + DeserializeOwned + 'static,
        E: Into<Error>,
    {
        input::input(&self.handle, name, load)
    }

    /// State that survives failures: made by `initial` at first, restored from a version later.
    /// Collective; `initial` must not communicate.
    ///
    /// What is exchanged before it is exchanged again at each entry, and is received before it. A
    /// restored program stands right behind a [`checkpoint`](Job::checkpoint): what it sends next
    /// must be what followed that, so set-up that communicates comes before `protect`.
    ///
    /// # Errors
    /// What `initial` returns, a field whose type differs from the version's, or an interruption.
    pub fn protect<I: Initial>(
        &self,
        name: &str,
        initial: impl FnOnce() -> I,
    ) -> Result<Protected<I::State>> {
        protected::protect(&self.handle, name, initial)
    }

    /// Completes one step of the job and, when the job decided so, captures the protected state.
    /// Every rank calls it equally often; it costs some tens of nanoseconds when nothing is captured.
    ///
    /// # Errors
    /// An interruption, or requests that are not complete.
    pub fn checkpoint<T: State>(&self, state: &mut Protected<T>) -> Result<()> {
        protected::checkpoint(&self.handle, &mut [state])
    }

    /// As [`checkpoint`](Job::checkpoint), for a program that protects several states. All of
    /// them are given, in any order.
    ///
    /// # Errors
    /// As [`checkpoint`](Job::checkpoint); also when a protected state is missing.
    pub fn checkpoint_all(&self, states: &mut [&mut dyn protected::Captured]) -> Result<()> {
        protected::checkpoint(&self.handle, states)
    }

    /// Completes one step of a program without protected state. No version is captured of such a
    /// program: after a failure it begins at the start.
    ///
    /// # Errors
    /// An interruption; or when there is protected state, which would go back without it.
    pub fn tick(&self) -> Result<()> {
        protected::checkpoint(&self.handle, &mut [])
    }

    /// A value for the report of the run, under a key such as `residual`. The last value counts.
    ///
    /// Report after the last step, right before [`finish`](Job::finish). Values are no part of a
    /// version: a rollback does not take back what was reported before it, and a run with
    /// `--resume` knows nothing of what an earlier run reported.
    ///
    /// A key is ASCII letters, digits, spaces and `_-./`, begins with a letter, and is none of the
    /// report's own, such as `lost time`. The report shows a value in one line, with control
    /// characters escaped; `--json` has it as it is.
    ///
    /// # Errors
    /// An interruption, such a key, or a key of more than 256 or a value of more than 4,096 bytes.
    pub fn report(&self, key: &str, value: impl fmt::Display) -> Result<()> {
        Ok(self.handle.core()?.rank.report(key, &value.to_string())?)
    }

    /// Has the results of all ranks, in rank order, published in this file when the job finishes:
    /// written aside, synced, then renamed, once. To be called in every entry, best at its start: a
    /// place that cannot be written ends the job at once.
    ///
    /// # Errors
    /// An interruption, or a path that is too long or not text.
    pub fn output(&self, path: impl AsRef<Path>) -> Result<()> {
        Ok(self.handle.core()?.rank.output(path.as_ref())?)
    }

    /// Commits the job's results. No rank returns before all results are safe with the supervisor
    /// and the job is recorded as finished; after that no death fails the job. Collective, and the
    /// last call of the program: once it has returned `Ok`, every other call is an error that says
    /// so and does nothing.
    ///
    /// # Errors
    /// An interruption, also here: a peer may die before the decision. Requests that are not
    /// complete.
    pub fn finish<T: Plain>(&self, results: impl AsRef<[T]>) -> Result<()> {
        let bytes = bytemuck::cast_slice(results.as_ref());
        Ok(self.handle.communicating()?.rank.finish(bytes)?)
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("rank", &self.rank).field("size", &self.size).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fields;

    struct Nothing;

    impl State for Nothing {
        fn fields(&mut self, f: &mut Fields<'_>) {
            f.value("zero", &mut 0_u8);
        }
    }

    #[test]
    fn nothing_is_called_after_finish() {
        let misused = |outcome: Result<()>| {
            let error = outcome.unwrap_err();
            assert!(!error.is_interrupted());
            assert!(error.to_string().contains("`job.finish`, which is the last one"), "{error}");
        };
        crate::run(|job| {
            let world = job.world();
            let mut state = job.protect("state", || Nothing)?;
            let request = world.isend(&[1_u8], 0, 0)?;
            let received = world.irecv::<u8>(0, 0)?;
            assert!(job.finish([1_u8]).unwrap_err().to_string().contains("not complete"));
            assert_eq!((request.wait()?, received.wait()?), (vec![], vec![1]));
            job.checkpoint(&mut state)?;
            job.finish([1_u8])?;
            misused(job.finish([2_u8]));
            misused(job.checkpoint(&mut state));
            misused(job.tick());
            misused(world.send(&[1_u8], 0, 0));
            misused(world.recv(&mut [0_u8], 0, 0).map(drop));
            misused(world.irecv::<u8>(0, 0).map(drop));
            misused(world.barrier());
            misused(world.allreduce(&mut [1.0], crate::Op::Sum));
            misused(job.report("key", 1));
            misused(job.output("nowhere"));
            misused(job.input("input", || Ok::<_, Error>(1)).map(drop));
            misused(job.protect("other", || Nothing).map(drop));
            assert_eq!(job.step(), 1);
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn a_report_takes_words_as_keys_and_no_line_of_its_own() {
        crate::run(|job| {
            job.report("residual", 1e-9)?;
            job.report("forged", "1\nbit-identical: yes")?;
            for key in ["bit-identical", "Result Digest", "a\nb", "a: b", "\x1b[2J", ""] {
                let error = job.report(key, 1).unwrap_err().to_string();
                assert!(error.contains("cannot be a key of the report"), "{error}");
            }
            let long = "v".repeat(4097);
            assert!(job.report("long", long).unwrap_err().to_string().contains("4097 bytes"));
            job.finish([0_u8])
        })
        .unwrap();
    }
}
