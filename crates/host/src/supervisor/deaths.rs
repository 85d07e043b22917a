//! The ends of processes: of ranks, of wrappers around them, of the guardian, and those that do not
//! come.
//!
//! Invariants: before a rank is reported dead, everything that it had sent is taken in; no process
//! holds the job's end up for ever without a word. Deliberately absent: what a death means;
//! `control` judges and decides.

use std::time::Duration;

use mainstay_control::{Ending, Endings, Input, classify, ending_of};
use mainstay_types::{Rank, Step, duration};

use super::Supervisor;
use super::process::Process;
use crate::{procfs, sys};

/// A wrapper may tell the exit code of a program that has failed within this time.
const LINGER: Duration = Duration::from_millis(500);
/// A person is told of a process that goes on after this time.
const TOLD_AFTER: Duration = Duration::from_secs(5);
/// A killed process that nothing but the job's end waits for is left behind after this time.
pub(super) const LEFT_AFTER: Duration = Duration::from_secs(10);

/// A wrapper whose program has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lingering {
    /// Something is to be done about it at this time.
    Until(Duration),
    /// It was done.
    Noted,
}

impl Lingering {
    /// When something is to be done.
    pub(crate) fn due(self) -> Option<Duration> {
        match self {
            Self::Until(due) => Some(due),
            Self::Noted => None,
        }
    }
}

impl Supervisor<'_> {
    /// Reports every rank of which nothing is left.
    pub(super) fn reap_all(&mut self) {
        let guardian = &mut self.guardian;
        self.ending.retain_mut(|process| process.reap(guardian).is_none());
        for i in 0..self.members.len() {
            let Some(process) = &mut self.members[i].process else { continue };
            if let Some(endings) = process.reap(&mut self.guardian) {
                self.dead(i, endings);
                self.members[i].process = None;
            } else if process.wrapper_lingers() {
                self.lingers(i);
            }
        }
    }

    /// The program of a rank has ended, the wrapper around it has not.
    fn lingers(&mut self, i: usize) {
        let now = sys::now();
        let goes_on = self.recovery.lets_wrappers_go_on();
        let member = &mut self.members[i];
        let (rank, Some(process)) = (member.rank, &member.process) else { return };
        let wait = if goes_on { TOLD_AFTER } else { LINGER };
        let until = *member.lingering.get_or_insert(Lingering::Until(now + wait));
        if until.due().is_none_or(|due| now < due) {
            return;
        }
        member.lingering = Some(Lingering::Noted);
        if goes_on {
            let pid = process.started_pid();
            let name = procfs::name(pid).unwrap_or_default();
            self.note(format!(
                "rank {rank}: its program has ended, and `{name}` around it (pid {pid}) goes on; \
                 the job ends when that does, or by Ctrl-C"
            ));
        } else {
            process.kill();
        }
    }

    /// The threads that own these lanes have ended. If a signal ended their processes, nothing of
    /// them can touch shared memory any more, though the kernel still takes it down: that is as good
    /// as reaped, and milliseconds earlier.
    pub(super) fn owners_died(&mut self) {
        let died = self.early.as_ref().map(super::early::Early::reports).unwrap_or_default();
        if self.recovery.lets_wrappers_go_on() {
            return;
        }
        for i in died.into_iter().map(Rank::index) {
            let Some(process) = &self.members[i].process else { continue };
            let Some(status) = procfs::exit_status(process.pid()) else { continue };
            if libc::WIFSIGNALED(status) {
                process.kill();
                let (signal, core) = (libc::WTERMSIG(status), libc::WCOREDUMP(status));
                let started = Ending::Signal { signal, core };
                self.dead(i, Endings { started, program: None });
                self.ending.extend(self.members[i].process.take());
            }
        }
    }

    /// A rank is dead and fenced: takes in its last words and reports it.
    fn dead(&mut self, i: usize, endings: Endings) {
        self.take_messages(i, usize::MAX);
        self.take_last_output(i);
        let stamped = self.faults.has_new_stamp(&self.segment, self.members[i].rank);
        let oom = !stamped && self.faults.oom_kills() > 0;
        let member = &mut self.members[i];
        member.connection = None;
        member.asks = None;
        member.lingering = None;
        member.told_it_stays = false;
        member.hints.oom = oom;
        // What a wrapper does once the program has done its work is its own.
        let ending = match self.recovery.lets_wrappers_go_on() {
            true => endings.started,
            false => ending_of(endings, &member.hints),
        };
        let verdict = classify(ending, &member.hints);
        let (rank, incarnation) = (member.rank, member.incarnation);
        let step = Step(self.step_of(rank));
        self.feed(Input::Died { rank, incarnation, verdict, step });
    }

    /// Tells of killed ranks that do not end. When the job only waits for such, it leaves them: they
    /// run no instruction of theirs any more, and nothing will be started in their place.
    pub(super) fn look_at_the_killed(&mut self, now: Duration) {
        let leave = self.recovery.only_waits_for_the_dead();
        for i in 0..self.members.len() {
            let member = &mut self.members[i];
            let (rank, Some(process)) = (member.rank, &member.process) else { continue };
            let Some(since) = process.killed().map(|at| now.saturating_sub(at)) else { continue };
            if since >= TOLD_AFTER && !std::mem::replace(&mut member.told_it_stays, true) {
                let (since, why) = (duration::format(since), why_it_stays(process));
                self.note(format!("rank {rank} was killed {since} ago and is still there: {why}"));
            }
            if leave && since >= LEFT_AFTER {
                let started = Ending::Signal { signal: libc::SIGKILL, core: false };
                self.dead(i, Endings { started, program: None });
                self.ending.extend(self.members[i].process.take());
            }
        }
    }

    /// Waits for what was declared dead and has not gone, as long as is of use and nobody presses
    /// on.
    pub(super) fn end_the_dead(&mut self) {
        for mut process in std::mem::take(&mut self.ending) {
            process.kill();
            let until = process.killed().unwrap_or_default() + LEFT_AFTER;
            while process.reap(&mut self.guardian).is_none() {
                let now = sys::now();
                if now >= until || self.signals.presses_on() {
                    self.not_ours.extend([process.started_pid(), process.pid()]);
                    self.note(format!("left behind: {}", why_it_stays(&process)));
                    break;
                }
                sys::wait_readable(process.pidfds(), sys::LOOK.min(until - now));
            }
        }
    }

    /// The guardian has ended, which it never does by itself.
    pub(super) fn guardian_ended(&mut self) {
        let text = match self.guardian.replace() {
            Ok(()) => "the guardian process was killed; another one has taken its place".to_owned(),
            Err(error) => format!(
                "the guardian process was killed and has no successor: {error}; if the launcher is \
                 killed as well, end what ranks have started by hand"
            ),
        };
        self.note(text);
    }
}

/// What is known of a process that was killed and is there.
fn why_it_stays(process: &Process) -> String {
    let pid = process.lasting_pid();
    let name = procfs::name(pid).unwrap_or_default();
    let why = match procfs::stat(pid).map(|stat| stat.state) {
        Some('D') => "waits in the kernel, perhaps for a file system that does not answer",
        Some('Z') => "has ended, and a debugger holds it",
        _ => "is being taken down by the kernel",
    };
    format!("process {pid} (`{name}`) {why}")
}
