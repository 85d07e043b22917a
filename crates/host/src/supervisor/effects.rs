//! Carrying out what the recovery engine decided.
//!
//! Invariant: one function an effect, in the order given. Deliberately absent: reasons; the engine
//! had them.

use std::sync::atomic::Ordering;

use mainstay_comm::layout::Control;
use mainstay_control::agreement;
use mainstay_control::{Effect, FenceReason, Hints, Input};
use mainstay_types::event::{Event, FailureRecord};
use mainstay_types::wire::ToRank;
use mainstay_types::{Epoch, Incarnation, JobId, Rank, exit};
use rustix::process::Signal;

use super::process::Process;
use super::{Flow, Supervisor, config};
use crate::rank::environment as env;
use crate::sys;

/// How long ranks that were asked to end have before they are killed.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

impl Supervisor<'_> {
    pub(super) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Spawn { rank, incarnation } => self.spawn(rank, incarnation),
            Effect::Kill { rank, incarnation, reason } => self.kill(rank, incarnation, reason),
            Effect::Terminate { rank, .. } => {
                self.patience.get_or_insert(sys::now() + PATIENCE);
                if let Some(process) = &self.members[rank.index()].process {
                    process.signal_group(Signal::TERM);
                    process.signal_group(Signal::CONT);
                }
            }
            Effect::RaiseEpoch { epoch, reason } => self.raise(epoch, reason),
            Effect::TellRaised { rank, epoch } => self.answer(rank, &ToRank::Raised { epoch }),
            Effect::Open { epoch } => self.open(epoch),
            Effect::Recovered { .. } => {
                let to_version = self.versions.restored_from(Rank(0)).0.is_some();
                self.measure.restored(sys::now(), to_version, &mut self.summary);
            }
            Effect::Finish { epoch } => self.finish(epoch),
            Effect::Failure { rank, incarnation, step, cause, detail } => {
                let stamp = self.faults.newest_stamp(&self.segment, rank);
                let record = FailureRecord {
                    rank,
                    incarnation,
                    step,
                    cause,
                    detect: None,
                    respawn: None,
                    restore: None,
                    redo: None,
                };
                let detect = self.measure.failed(record, stamp, sys::now(), &mut self.summary);
                self.versions.failed(sys::now());
                self.tell(&Event::Failure { rank, incarnation, step, cause, detect, detail });
            }
            Effect::End { code, why } => self.ended(code, why),
            // Late words of an older epoch are expected; their number tells of a slow rank.
            Effect::Dropped { .. } => self.measure.dropped += 1,
            Effect::Note(text) => self.note(text),
        }
    }

    fn spawn(&mut self, rank: Rank, incarnation: Incarnation) {
        let token = match config::random() {
            Ok(token) => token,
            Err(refusal) => {
                let (code, why) = (refusal.code, refusal.why);
                self.feed(Input::SpawnFailed { rank, incarnation, code, why });
                return;
            }
        };
        let environment = [
            (env::SOCKET, self.listener.name().to_owned()),
            (env::TOKEN, JobId(token).to_string()),
            (env::RANK, rank.to_string()),
            (env::SIZE, self.plan.config.n.to_string()),
            (env::INCARNATION, incarnation.to_string()),
        ];
        if let Some(early) = &self.early {
            early.arm(rank);
        }
        let command = &self.plan.config.command;
        match Process::start(command, &environment, rank == Rank(0), &mut self.guardian) {
            Ok(process) => {
                let member = &mut self.members[rank.index()];
                member.incarnation = incarnation;
                member.token = token;
                member.hints = Hints::default();
                member.process = Some(process);
                if incarnation > Incarnation(0) {
                    self.summary.respawns += 1;
                }
            }
            Err(error) => {
                let program = command.first().map_or("".into(), |word| word.to_string_lossy());
                let (code, mend) = match error.kind() {
                    std::io::ErrorKind::NotFound => {
                        (exit::NOT_FOUND, "give its path, as in ./program, or build it first")
                    }
                    std::io::ErrorKind::PermissionDenied => {
                        (exit::NOT_EXECUTABLE, "it must be a program that you may execute")
                    }
                    _ if error.raw_os_error() == Some(libc::ENOEXEC) => {
                        (exit::NOT_EXECUTABLE, "it must be a program or a script with `#!`")
                    }
                    _ => (exit::INTERNAL, sys::mend(&error)),
                };
                let why = format!("cannot start `{program}`: {error}; {mend}");
                self.feed(Input::SpawnFailed { rank, incarnation, code, why });
            }
        }
    }

    fn kill(&mut self, rank: Rank, incarnation: Incarnation, reason: FenceReason) {
        let member = &mut self.members[rank.index()];
        if member.incarnation != incarnation {
            return;
        }
        member.hints.fenced = Some(reason);
        if let Some(process) = &member.process {
            process.kill();
        }
    }

    fn raise(&mut self, epoch: Epoch, reason: String) {
        let now = sys::now();
        self.agreement(agreement::Input::Raised { epoch });
        self.segment.control(Control::Epoch).store(epoch.0.into(), Ordering::SeqCst);
        self.versions.withdraw(&self.segment);
        self.segment.ring_all();
        let steps = (0..self.plan.config.n).map(|rank| self.step_of(Rank(rank))).max();
        self.measure.raised(now, steps.unwrap_or(0));
        for i in 0..self.members.len() {
            if self.members[i].asks.take().is_some() {
                self.answer(self.members[i].rank, &ToRank::Interrupted);
            }
        }
        self.opening_is_over(epoch);
        self.results.clear();
        let tellings = self.versions.raised(epoch);
        self.tell(&Event::Epoch { epoch, reason });
        self.tell_all(tellings);
    }

    /// Sends a message to a rank; one that cannot take it is ending.
    pub(super) fn answer(&mut self, rank: Rank, message: &ToRank) {
        self.answer_with(rank, message, &[]);
    }

    pub(super) fn answer_with(
        &mut self,
        rank: Rank,
        message: &ToRank,
        fds: &[std::os::fd::BorrowedFd<'_>],
    ) {
        let member = &self.members[rank.index()];
        let Some(connection) = &member.connection else {
            return;
        };
        if let Err(error) = connection.send(&message.encode(), fds)
            && error.kind() != std::io::ErrorKind::BrokenPipe
        {
            let process = member.process.as_ref();
            // A rank that cannot be told what it waits for would wait for ever.
            process.inspect(|process| process.kill());
            self.note(format!("rank {rank} is ended: it cannot be told anything: {error}"));
        }
    }

    pub(super) fn tell_all(&mut self, events: Vec<Event>) {
        for event in events {
            self.tell(&event);
        }
    }

    fn ended(&mut self, code: u8, why: String) {
        let unread = self.flow == Flow::Closed;
        let code = if unread { exit::STDOUT_CLOSED } else { code };
        if !why.is_empty() && !unread {
            self.note(format!("the job is given up: {why}"));
        }
        self.end = Some((code, why));
    }
}
