//! From a raised epoch to an open one and on to the finish: hellos, acknowledgements, results.
//!
//! Invariant: `settle` is the only place that starts a rank, opens an epoch, finishes or ends the
//! job, and it runs after every input, so that none of these can be forgotten or done twice.
//! Deliberately absent: what a failure does, which is in `failure`.

use mainstay_types::{Epoch, Incarnation, Rank, Step, Version};

use super::member::{Member, State};
use super::{Effect, Phase, Policy, Recovery, Void};
use crate::cause::FenceReason;

impl Recovery {
    pub(super) fn start(&mut self) -> Void {
        if self.started {
            return Some((None, "start"));
        }
        self.started = true;
        None
    }

    /// The member, if this incarnation of it is the one alive.
    pub(super) fn living(&mut self, rank: Rank, incarnation: Incarnation) -> Option<&mut Member> {
        let member = self.members.get_mut(rank.index())?;
        (member.alive() && member.incarnation == incarnation).then_some(member)
    }

    /// The member, if it is inside the program of the open epoch.
    fn inside(&mut self, rank: Rank, epoch: Epoch) -> Option<&mut Member> {
        if self.phase != Phase::Open || epoch != self.epoch {
            return None;
        }
        let member = self.members.get_mut(rank.index())?;
        (member.state == State::Inside).then_some(member)
    }

    pub(super) fn spawn_failed(
        &mut self,
        (rank, incarnation): (Rank, Incarnation),
        code: u8,
        why: &str,
        effects: &mut Vec<Effect>,
    ) -> Void {
        let Some(member) = self.living(rank, incarnation) else {
            return Some((Some(rank), "failed start"));
        };
        member.state = State::Dead;
        if matches!(self.phase, Phase::Gathering | Phase::Open) {
            let why = format!("rank {rank} could not be started: {why}");
            self.end(code, why, effects);
        }
        None
    }

    pub(super) fn hello(
        &mut self,
        rank: Rank,
        incarnation: Incarnation,
        effects: &mut Vec<Effect>,
    ) -> Void {
        let void = Some((Some(rank), "hello"));
        let (acked, gathering) = (self.epoch, self.phase == Phase::Gathering);
        let Some(member) = self.living(rank, incarnation) else {
            return void;
        };
        if member.state != State::Starting || !gathering {
            return void;
        }
        let asked = false;
        member.state = State::Waiting { acked, asked };
        if !self.joined {
            self.first_hello(effects);
        }
        None
    }

    pub(super) fn ack(&mut self, rank: Rank, epoch: Epoch, effects: &mut Vec<Effect>) -> Void {
        let void = Some((Some(rank), "acknowledgement"));
        let current = self.epoch;
        let possible = epoch <= current && self.opened.is_none_or(|opened| epoch > opened);
        if self.phase != Phase::Gathering || !possible {
            return void;
        }
        let member = self.members.get_mut(rank.index());
        match member.and_then(|member| member.ack(epoch, current)) {
            None => return void,
            Some(false) => {}
            Some(true) => effects.push(Effect::TellRaised { rank, epoch: current }),
        }
        None
    }

    pub(super) fn suspect(
        &mut self,
        rank: Rank,
        reason: FenceReason,
        effects: &mut Vec<Effect>,
    ) -> Void {
        let void = Some((Some(rank), "suspicion"));
        if reason == FenceReason::Collateral || matches!(self.phase, Phase::Ending { .. }) {
            return void;
        }
        let Some(member) = self.members.get_mut(rank.index()) else {
            return void;
        };
        if !member.speaks() && member.state != State::Starting {
            return void;
        }
        member.state = State::Fencing(reason);
        effects.push(Effect::Kill { rank, incarnation: member.incarnation, reason });
        None
    }

    pub(super) fn opened(
        &mut self,
        epoch: Epoch,
        version: Option<Version>,
        step: Step,
        effects: &mut Vec<Effect>,
    ) -> Void {
        if self.phase != Phase::Open || epoch != self.epoch {
            return Some((None, "choice of a version"));
        }
        if epoch > self.first {
            effects.push(Effect::Note(match version {
                Some(version) => format!("going on from version {version} of step {step}"),
                None => "going on from the start of the job, as no version is there".to_owned(),
            }));
        }
        None
    }

    /// The job ends for a reason that lies in no rank; in `Open` alone, or in `Gathering` as well.
    pub(super) fn give_up(
        &mut self,
        (code, why): (u8, String),
        gathering_too: bool,
        what: &'static str,
        effects: &mut Vec<Effect>,
    ) -> Void {
        if self.phase != Phase::Open && !(gathering_too && self.phase == Phase::Gathering) {
            return Some((None, what));
        }
        self.end(code, why, effects);
        None
    }

    pub(super) fn restored(&mut self, rank: Rank, epoch: Epoch, effects: &mut Vec<Effect>) -> Void {
        let void = Some((Some(rank), "restored"));
        match self.inside(rank, epoch) {
            Some(member) if !member.restored => member.restored = true,
            _ => return void,
        }
        if epoch > self.first && self.is_restored() {
            effects.push(Effect::Recovered { epoch });
        }
        None
    }

    pub(super) fn restore_failed(
        &mut self,
        (rank, epoch): (Rank, Epoch),
        version: Version,
        why: &str,
        effects: &mut Vec<Effect>,
    ) -> Void {
        if self.inside(rank, epoch).is_none() {
            return Some((Some(rank), "failed restore"));
        }
        let reason = format!("rank {rank} could not restore version {version}: {why}");
        self.raise(reason, effects);
        None
    }

    pub(super) fn result(&mut self, rank: Rank, epoch: Epoch) -> Void {
        match self.inside(rank, epoch) {
            Some(member) if !member.result => member.result = true,
            _ => return Some((Some(rank), "result")),
        }
        None
    }

    /// Does whatever the last input has made possible.
    pub(super) fn settle(&mut self, effects: &mut Vec<Effect>) {
        if self.phase == Phase::Gathering && self.started {
            let left = |m: &Member| matches!(m.state, State::Left { .. });
            if self.members.iter().all(left) {
                self.unprotected(effects);
            } else {
                self.respawn(effects);
                self.open(effects);
            }
        }
        if self.phase == Phase::Open && self.members.iter().all(|m| m.result) {
            self.phase = Phase::Finished;
            let epoch = self.epoch;
            effects.push(Effect::Finish { epoch });
        }
        if self.members.iter().any(Member::alive) {
            return;
        }
        let (code, why) = match &mut self.phase {
            Phase::Finished => (0, String::new()),
            Phase::Ending { code, why } => (*code, std::mem::take(why)),
            Phase::Gathering | Phase::Open | Phase::Ended => return,
        };
        self.phase = Phase::Ended;
        effects.push(Effect::End { code, why });
    }

    /// Starts the dead; with `restart` only when nothing of the old world is left.
    fn respawn(&mut self, effects: &mut Vec<Effect>) {
        let fencing = |m: &Member| matches!(m.state, State::Fencing(_));
        if self.config.policy == Policy::Restart && self.members.iter().any(fencing) {
            return;
        }
        for (rank, member) in Rank::all(self.config.n).zip(&mut self.members) {
            if matches!(member.state, State::Absent | State::Dead) {
                self.respawns += u32::from(member.state == State::Dead);
                let incarnation = member.start();
                effects.push(Effect::Spawn { rank, incarnation });
            }
        }
    }

    /// Opens the epoch if every rank waits for exactly it.
    fn open(&mut self, effects: &mut Vec<Effect>) {
        let epoch = self.epoch;
        if !self.members.iter().all(|member| member.ready(epoch)) {
            return;
        }
        let again = self.opened.is_some() && self.members.iter().all(|member| member.fresh);
        if again && self.config.policy == Policy::Restart {
            self.restarts += 1;
        }
        for member in &mut self.members {
            member.state = State::Inside;
            member.fresh = false;
        }
        self.phase = Phase::Open;
        self.opened = Some(epoch);
        self.budget.opened();
        effects.push(Effect::Open { epoch });
    }
}
