//! The end of a job: results collected, digested and published once, processes gone, a summary.
//!
//! Invariants: an output file is written aside and synced before the job is recorded as finished,
//! and renamed after; a digest covers exactly the bytes published. Deliberately absent: the
//! decision that the job is finished; `control` takes it.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mainstay_comm::layout::{Control, Counter};
use mainstay_types::{Epoch, Rank, Step, exit};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open};
use sha2::{Digest, Sha256};

use super::nodes::Nodes;
use super::{Outcome, Supervisor, Trace};
use crate::publish::{self, Aside};
use crate::shm::{Blob, Tape};
use crate::{procfs, sys};

/// Killed children are waited for this long; a longer wait in the kernel may never end.
const ORPHANS_WITHIN: Duration = Duration::from_secs(5);

/// What a rank has handed in.
#[derive(Debug)]
pub(crate) struct Handed {
    /// Its last step.
    pub(crate) step: Step,
    pub(crate) result: Blob,
    pub(crate) audit: Blob,
}

/// What the ranks have handed in.
#[derive(Debug)]
pub(crate) struct Results {
    kept: Vec<Option<Handed>>,
    output: Option<PathBuf>,
    report: Vec<(String, String)>,
    /// The results' digest, once the job is finished.
    digest: Option<String>,
    /// Why the output could not be published.
    failed: Option<String>,
}

impl Results {
    pub(crate) fn new(n: u32) -> Self {
        let kept = (0..n).map(|_| None).collect();
        Self { kept, output: None, report: Vec::new(), digest: None, failed: None }
    }

    pub(crate) fn keep(&mut self, rank: Rank, handed: Handed) {
        self.kept[rank.index()] = Some(handed);
    }

    /// Forgets the results of an older epoch.
    pub(crate) fn clear(&mut self) {
        self.kept.fill_with(|| None);
    }

    pub(crate) fn report(&mut self, key: String, value: String) {
        match self.report.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => self.report.push((key, value)),
        }
    }

    pub(crate) fn output(&mut self, path: PathBuf) {
        self.output = Some(path);
    }

    fn parts(&self) -> Vec<&[u8]> {
        self.kept.iter().flatten().map(|handed| &handed.result[..]).collect()
    }

    /// What is wrong if the ranks have not completed equally many steps.
    fn unequal_steps(&self) -> Option<String> {
        let steps: Vec<_> = self.kept.iter().flatten().map(|handed| handed.step).collect();
        unequal(&steps)
    }

    /// Digests the results and, unless nothing is to be published, writes them beside the output's
    /// final name.
    fn prepare(&mut self, publish: bool) -> Option<Aside> {
        let mut sha = Sha256::new();
        for part in self.parts() {
            sha.update(part);
        }
        self.digest = Some(sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        let path = self.output.clone().filter(|_| publish)?;
        match publish::aside(&path, &self.parts()) {
            Ok(aside) => Some(aside),
            Err(error) => {
                self.failed = Some(unpublished(&path, &error));
                None
            }
        }
    }

    fn audit(&self) -> Vec<Vec<u64>> {
        let words = |bytes: &[u8]| -> Vec<u64> {
            let chunks = bytes.as_chunks::<8>().0;
            chunks.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect()
        };
        self.kept.iter().flatten().map(|handed| words(&handed.audit)).collect()
    }
}

/// A sentence about ranks that have completed other numbers of steps than rank 0.
fn unequal(steps: &[Step]) -> Option<String> {
    let first = *steps.first()?;
    let (rank, other) = steps.iter().enumerate().find(|(_, step)| **step != first)?;
    Some(format!(
        "rank 0 came to step {first} and rank {rank} to step {other}: every rank has to call \
         `checkpoint` or `tick` equally often, as a version holds all ranks behind the same step"
    ))
}

fn unpublished(path: &std::path::Path, error: &std::io::Error) -> String {
    format!(
        "the job has finished, but its output {} cannot be written: {error}; mend that and resume \
         with the same arguments",
        path.display()
    )
}

impl Supervisor<'_> {
    /// All results of an epoch are in.
    pub(super) fn finish(&mut self, epoch: Epoch) {
        if let Some(text) = self.results.unequal_steps() {
            self.note(text);
        }
        let aside = self.results.prepare(!self.plan.is_twin);
        self.segment.control(Control::Finished).store(epoch.0.into(), Ordering::SeqCst);
        self.segment.ring_all();
        if let (Some(aside), Some(path)) = (aside, self.results.output.clone())
            && let Err(error) = aside.publish()
        {
            self.results.failed = Some(unpublished(&path, &error));
        }
        self.look_at_redo(sys::now());
    }

    /// Sees that nothing is left and tells how it went.
    pub(super) fn conclude(mut self) -> Outcome {
        self.end_the_dead();
        self.end_orphans();
        let (mut code, mut why) = self.end.take().unwrap_or_default();
        if let (exit::OK, Some(failed)) = (code, self.results.failed.take()) {
            self.note(failed.clone());
            (code, why) = (exit::DIRECTORY, failed);
        }
        if code == exit::OK && self.versions.is_unresumed() {
            why =
                "nothing was resumed: the program never joined the job, so it is another one than \
                   wrote the versions; give the same program, or start without --resume"
                    .to_owned();
            self.note(why.clone());
            code = exit::DATA;
        }
        self.measure.ended(sys::now(), &mut self.summary);
        self.summary.intervals = self.versions.advice(&self.summary.failures);
        let arenas = self.plan.config.storage.arenas;
        self.summary.stored = self.versions.stored(arenas, self.arenas().1);
        self.tell_unmet_wish();
        let signals = &mut self.signals;
        let ended = self.versions.end(code == exit::OK, &mut || signals.presses_on());
        for event in ended.events {
            self.tell(&event);
        }
        self.close_nodes();
        let job = self.versions.job();
        let mut summary = std::mem::take(&mut self.summary);
        summary.policy = self.plan.config.policy.name();
        summary.exit = code;
        summary.n = self.plan.config.n;
        summary.restarts = self.recovery.restarts();
        summary.not_injected = self.faults.not_injected(&self.segment);
        summary.held_back = self.held_back();
        summary.points = self.faults.passages(&self.segment);
        summary.checkpoints = ended.checkpoints;
        summary.lost += summary.checkpoints.iter().map(|c| c.blocked_max).sum();
        summary.resumed_from = ended.resumed_from;
        summary.report = std::mem::take(&mut self.results.report);
        if code == exit::OK {
            summary.result_digest = self.results.digest.take();
        }
        let audit = self.results.audit();
        let input = self.stdin.taken();
        let (kept, resumable) = (ended.kept, ended.resumable);
        let trace = (!self.tapes.is_empty()).then(|| Trace {
            started: self.started,
            tapes: self.tapes.iter().map(Tape::play).collect(),
        });
        Outcome { job, summary, why, kept, resumable, audit, input, trace }
    }

    /// Messages that waited for memory, over all ranks and incarnations.
    fn held_back(&self) -> u64 {
        let of = |rank| self.segment.counter(rank, Counter::Held).load(Ordering::Relaxed);
        Rank::all(self.plan.config.n).map(of).sum()
    }

    /// Kills processes that ranks started, that left their group and that we inherited.
    fn end_orphans(&mut self) {
        let until = sys::now() + ORPHANS_WITHIN;
        loop {
            let orphans: Vec<_> = self.orphans().into_iter().filter(end).collect();
            if orphans.is_empty() {
                return;
            }
            let now = sys::now();
            if now >= until || self.signals.presses_on() {
                let pids: Vec<_> = orphans.iter().map(|pid| pid.to_string()).collect();
                let pids = pids.join(", ");
                return self.note(format!("left behind, killed and still there: processes {pids}"));
            }
            let pidfds: Vec<_> = orphans
                .iter()
                .filter_map(|pid| pidfd_open(*pid, PidfdFlags::empty()).ok())
                .collect();
            sys::wait_readable(pidfds.iter().map(AsFd::as_fd), sys::LOOK.min(until - now));
        }
    }

    fn orphans(&self) -> Vec<Pid> {
        let nodes: Vec<_> = self.versions.nodes.iter().flat_map(Nodes::pids).collect();
        let known = |pid: &u32| self.not_ours.contains(pid) || nodes.contains(pid);
        let ours = |pid: &u32| !known(pid) && !self.guardian.is(*pid);
        let children = procfs::children().into_iter().filter(ours);
        children.filter_map(|pid| Pid::from_raw(pid.cast_signed())).collect()
    }
}

/// Kills a child; whether it is still there.
fn end(child: &Pid) -> bool {
    let _gone = rustix::process::kill_process(*child, Signal::KILL);
    matches!(rustix::process::waitpid(Some(*child), WaitOptions::NOHANG), Ok(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_with_other_steps_than_rank_0_is_named() {
        assert_eq!(unequal(&[]), None);
        assert_eq!(unequal(&[Step(7); 3]), None);
        let text = unequal(&[Step(7), Step(7), Step(6), Step(5)]).unwrap();
        assert!(text.starts_with("rank 0 came to step 7 and rank 2 to step 6: "), "{text}");
    }
}
