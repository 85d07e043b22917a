//! What a failure does to the job: raise the epoch, fence, or give up.
//!
//! Invariants: a failure raises the epoch exactly once or ends the job; no process is started
//! while the old world of a `restart` still has one; the job ends when the last process is reaped.
//! Deliberately absent: waiting; `Recovery::settle` goes on when what was asked for has happened.

use mainstay_types::{Cause, Incarnation, Rank, Step};

use super::member::{Member, State};
use super::{Effect, Phase, Policy, Recovery, Void};
use crate::budget::Ruling;
use crate::cause::{Class, FenceReason, Verdict};

impl Recovery {
    /// A rank is dead and fenced, by a failure of its own.
    pub(super) fn fail(
        &mut self,
        rank: Rank,
        verdict: &Verdict,
        step: Step,
        effects: &mut Vec<Effect>,
    ) {
        let what = format!("rank {rank}, after step {step}, {}", verdict.detail);
        let failure = Effect::Failure {
            rank,
            incarnation: self.members[rank.index()].incarnation,
            step,
            cause: verdict.cause,
            detail: verdict.detail.clone(),
        };
        if let Some((code, why)) = self.fatal(rank, verdict, step, &what) {
            effects.push(failure);
            self.end(code, why, effects);
            return;
        }
        self.raise(what, effects);
        if self.config.policy == Policy::Restart {
            self.fence(|member| member.speaks() && !member.fresh, effects);
        }
        effects.push(failure);
    }

    /// The code and the diagnosis, if the job is given up for this failure.
    fn fatal(
        &mut self,
        rank: Rank,
        verdict: &Verdict,
        step: Step,
        what: &str,
    ) -> Option<(u8, String)> {
        if let Class::Decision { code } = verdict.class {
            return Some((code, what.to_owned()));
        }
        if self.config.policy == Policy::Abort {
            return Some((verdict.code, format!("{what}; the policy is to abort")));
        }
        let why = match self.budget.failed(rank, step, verdict) {
            Ruling::Retry => return None,
            Ruling::SameBug => format!(
                "{what}, as it did before it was started again: a bug of the program, not a fault"
            ),
            Ruling::Exhausted { restarts, beyond } => format!(
                "{what}; nothing beyond step {beyond} was committed in {restarts} restarts, and \
                 --max-restarts allows no more"
            ),
        };
        Some((verdict.code, why))
    }

    /// Raises the epoch and tells those who wait for an older one to open.
    pub(super) fn raise(&mut self, reason: String, effects: &mut Vec<Effect>) {
        self.epoch = self.epoch.next();
        self.phase = Phase::Gathering;
        let epoch = self.epoch;
        effects.push(Effect::RaiseEpoch { epoch, reason });
        for (rank, member) in Rank::all(self.config.n).zip(&mut self.members) {
            member.result = false;
            member.restored = false;
            if member.ask() {
                effects.push(Effect::TellRaised { rank, epoch });
            }
        }
    }

    /// Kills every living member that is chosen and not killed yet.
    pub(super) fn fence(&mut self, chosen: impl Fn(&Member) -> bool, effects: &mut Vec<Effect>) {
        for (rank, member) in Rank::all(self.config.n).zip(&mut self.members) {
            if member.alive() && !matches!(member.state, State::Fencing(_)) && chosen(member) {
                let reason = FenceReason::Collateral;
                member.state = State::Fencing(reason);
                effects.push(Effect::Kill { rank, incarnation: member.incarnation, reason });
            }
        }
    }

    /// Gives the job up: all processes are killed, and the last one reaped ends it.
    pub(super) fn end(&mut self, code: u8, why: String, effects: &mut Vec<Effect>) {
        self.phase = Phase::Ending { code, why };
        self.fence(|_| true, effects);
    }

    /// The launcher was told to stop. What is finished stays finished.
    pub(super) fn stop(&mut self, code: u8, why: String, effects: &mut Vec<Effect>) -> Void {
        if self.stopping {
            return self.stop_now(effects);
        }
        self.stopping = true;
        match self.phase {
            Phase::Finished => effects.push(Effect::Note(format!("{why}, after the job finished"))),
            Phase::Ending { .. } => return self.stop_now(effects),
            _ => self.phase = Phase::Ending { code, why },
        }
        for (rank, member) in Rank::all(self.config.n).zip(&self.members) {
            if member.alive() && !matches!(member.state, State::Fencing(_)) {
                let incarnation = member.incarnation;
                effects.push(Effect::Terminate { rank, incarnation });
            }
        }
        None
    }

    /// No more patience: whatever is left is killed.
    pub(super) fn stop_now(&mut self, effects: &mut Vec<Effect>) -> Void {
        if !self.stopping && !matches!(self.phase, Phase::Ending { .. }) {
            return Some((None, "end of patience"));
        }
        self.fence(|_| true, effects);
        None
    }

    /// An incarnation was reaped.
    pub(super) fn died(
        &mut self,
        (rank, incarnation): (Rank, Incarnation),
        verdict: Verdict,
        step: Step,
        effects: &mut Vec<Effect>,
    ) -> Void {
        let Some(member) = self.living(rank, incarnation) else {
            return Some((Some(rank), "death"));
        };
        let was = std::mem::replace(&mut member.state, State::Dead);
        match self.phase {
            Phase::Ending { .. } | Phase::Ended => {}
            Phase::Finished => {
                let ours = matches!(was, State::Fencing(_)) || self.stopping;
                if verdict.cause != Cause::FinishedEarly && !ours {
                    let detail = verdict.detail;
                    let note = format!("rank {rank} {detail}, after the job finished: no matter");
                    effects.push(Effect::Note(note));
                }
            }
            Phase::Gathering | Phase::Open => {
                let ours = was == State::Fencing(FenceReason::Collateral);
                if ours && verdict.class == Class::Collateral {
                    return None;
                }
                if self.joined {
                    self.fail(rank, &verdict, step, effects);
                } else {
                    self.members[rank.index()].state = State::Left { verdict, step };
                }
            }
        }
        None
    }

    /// The first hello of the job: the program is one of ours, and those that left failed.
    pub(super) fn first_hello(&mut self, effects: &mut Vec<Effect>) {
        self.joined = true;
        for rank in Rank::all(self.config.n) {
            let state = &mut self.members[rank.index()].state;
            if let State::Left { verdict, step } = state {
                let (verdict, step) = (verdict.clone(), *step);
                *state = State::Dead;
                // Once the job ends, one reason is enough.
                if !matches!(self.phase, Phase::Ending { .. }) {
                    self.fail(rank, &verdict, step, effects);
                }
            }
        }
    }

    /// Every rank has ended and none has joined: the program ran by itself.
    pub(super) fn unprotected(&mut self, effects: &mut Vec<Effect>) {
        let codes = self.members.iter().filter_map(|member| match &member.state {
            State::Left { verdict, .. } => match verdict.cause {
                Cause::FinishedEarly => Some(0),
                _ => Some(verdict.code),
            },
            _ => None,
        });
        let code = codes.into_iter().find(|code| *code != 0).unwrap_or(0);
        let cause = match code {
            0 => {
                "the program is not linked with Mainstay, or ended before mainstay::run".to_owned()
            }
            code => format!(
                "the program ended with code {code} before mainstay::run, as on arguments of its own that \
                 are wrong, or is not linked with Mainstay"
            ),
        };
        effects.push(Effect::Note(format!(
            "no rank joined the job: {cause}; it ran unprotected, and nothing was saved or restarted"
        )));
        let why = match code {
            0 => String::new(),
            code => format!("a rank of an unprotected program ended with code {code}"),
        };
        self.end(code, why, effects);
    }
}
