//! Looking at the ranks: samples for the table of evidence, and what it finds.
//!
//! Invariant: a sample is read from /proc and the rank's lane and from nothing else. Deliberately
//! absent: judgement.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mainstay_comm::layout::Status as Word;
use mainstay_control::Input;
use mainstay_control::evidence::{Health, Sample, Wait, who_waits};
use mainstay_types::event::Event;
use mainstay_types::{Rank, Step, WaitKind};
use rustix::process::Signal;

use super::{Flow, Supervisor, inputs, signals};
use crate::{procfs, sys};

impl Supervisor<'_> {
    /// One heartbeat.
    pub(super) fn look_at_ranks(&mut self, now: Duration) {
        self.look_at_the_killed(now);
        let samples: Vec<_> = (0..self.members.len()).filter_map(|i| self.sample(i)).collect();
        let at_rest = self.segment.rings_at_rest() && self.knows_who_agrees(&samples);
        let findings = self.evidence.tick(now, &samples, at_rest);
        for (rank, health) in findings.ranks {
            match health {
                Health::Warn(text) => self.note(format!("rank {rank}: {text}")),
                Health::Dead { reason, why, again } => {
                    if !again {
                        self.note(format!("rank {rank} is killed: {why}"));
                    }
                    self.feed(Input::Suspect { rank, reason });
                }
                Health::Healthy | Health::Suspended | Health::Starved => {}
            }
        }
        if let Some(waits) = findings.deadlock {
            let mut who = who_waits(&waits);
            if let Some(name) = self.members.iter().find_map(|member| member.asks.as_ref()) {
                let _infallible = write!(
                    who,
                    "; rank {} has not called `job.input` for `{name}`, which it loads for all: call \
                     it on every rank",
                    inputs::LOADER
                );
            }
            let full = |rank: &Rank| self.segment.held(*rank) > 0;
            if let Some(rank) = Rank::all(self.plan.config.n).find(full) {
                let _infallible = write!(
                    who,
                    "; the memory of rank {rank} for messages that no receive asks for is full: \
                     receive them earlier, or post receives before they come"
                );
            }
            self.feed(Input::Deadlock(who));
        }
    }

    /// Whether every rank that waits in an agreement is known to have come to it.
    fn knows_who_agrees(&self, samples: &[Sample]) -> bool {
        let agrees = |wait: &Wait| wait.kind == WaitKind::Agree;
        let mut in_one = samples.iter().filter(|sample| sample.wait.as_ref().is_some_and(agrees));
        in_one.all(|sample| self.agreements.is_waiting(sample.rank))
    }

    fn sample(&self, i: usize) -> Option<Sample> {
        let member = &self.members[i];
        // One that has ended behind a wrapper is reaped by that, and its number may be another's.
        let process = member.process.as_ref().filter(|process| !process.has_ended())?;
        let stat = procfs::stat(process.pid())?;
        let rank = member.rank;
        let word = |word| self.segment.status(rank, word).load(Ordering::Acquire);
        let wait = WaitKind::from_code(word(Word::WaitKind)).map(|kind| Wait {
            kind,
            peer: u32::try_from(word(Word::WaitPeer)).ok().and_then(|p| p.checked_sub(1)).map(Rank),
            tag: u32::try_from(word(Word::WaitTag)).ok(),
            since_seq: word(Word::WaitSeq),
        });
        // An input comes from the launcher, but another rank ends this wait.
        let wait = wait.map(|wait| match member.asks {
            Some(_) => Wait { kind: WaitKind::Collective, peer: Some(inputs::LOADER), ..wait },
            None => wait,
        });
        Some(Sample {
            rank,
            incarnation: member.incarnation,
            state: stat.state,
            cpu_ns: stat.cpu_ns,
            joined: member.joined(),
            in_call: word(Word::InCall) != 0,
            wait,
            calls: word(Word::Calls),
            epoch_acked: !self.recovery.is_awaited(rank),
            held: self.flow == Flow::Held && process.has_output(),
        })
    }

    /// Whether the job is where it was before a failure.
    pub(super) fn look_at_redo(&mut self, now: Duration) {
        use mainstay_control::recovery::Phase;
        if self.measure.look_again(now).is_none() {
            return;
        }
        let least = Rank::all(self.plan.config.n).map(|rank| self.step_of(rank)).min();
        let finished = *self.recovery.phase() == Phase::Finished;
        let caught_up =
            self.measure.caught_up(now, least.unwrap_or(0), finished, &mut self.summary);
        if let Some(Step(step)) = caught_up {
            let epoch = self.recovery.epoch();
            self.tell(&Event::Recovered { epoch, step: Step(step) });
        }
    }

    /// Signals to the launcher.
    pub(super) fn take_signals(&mut self) {
        for signal in self.signals.take() {
            match signal {
                libc::SIGTSTP => {
                    self.evidence.suspend();
                    self.signal_ranks(Signal::STOP);
                    let stopped = sys::now();
                    sys::stop_self();
                    let now = sys::now();
                    self.signal_ranks(Signal::CONT);
                    self.evidence.resume();
                    self.versions.suspended(stopped, now);
                    self.measure.suspended(now.saturating_sub(stopped));
                    self.next_tick = now + self.plan.config.heartbeat;
                }
                // Continued from outside while ranks may still be stopped: nothing to do beyond
                // what the stop's return does.
                libc::SIGCONT => {}
                libc::SIGUSR1 => self.take_wish(),
                signal => self.feed(Input::Stop { signal }),
            }
        }
    }

    /// Asks for a version if SIGUSR1 came. A twin takes none: it leaves that to its run.
    pub(super) fn take_wish(&mut self) {
        if !self.plan.is_twin && signals::take_wish() {
            let answer = self.versions.ask();
            self.note(format!("SIGUSR1: {answer}"));
        }
    }

    /// Tells of a wish that the end of the job has overtaken.
    pub(super) fn tell_unmet_wish(&mut self) {
        self.take_wish();
        if self.versions.is_asked() {
            self.note("SIGUSR1: the job ended before the version that was asked for".to_owned());
        }
    }

    fn signal_ranks(&self, signal: Signal) {
        for process in self.members.iter().filter_map(|member| member.process.as_ref()) {
            process.signal_group(signal);
        }
    }
}
