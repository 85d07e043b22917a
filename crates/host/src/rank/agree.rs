//! Agreeing with other ranks by way of the supervisor.
//!
//! Invariant: a decision that was made before an epoch was raised is found, as a raised epoch is
//! looked for first and the socket after it: the supervisor tells every member before it can raise
//! one. Deliberately absent: the decision; `control::agreement` takes it.

use std::cell::RefCell;
use std::rc::Rc;

use mainstay_types::wire::{Group, ToRank, ToSupervisor};
use mainstay_types::{Epoch, Point, WaitKind};

use super::link::Link;
use super::{Rank, RankError};

/// What the supervisor has said so far.
type Heard = Option<Result<bool, RankError>>;

impl Rank {
    /// Waits until every rank of `group` has come to its next agreement; whether all said yes. If
    /// this returns a decision at one rank, it does so at every rank of the group that lives, whoever
    /// dies meanwhile; else all are interrupted.
    ///
    /// # Errors
    /// [`RankError::Interrupted`] when the epoch was raised before the decision.
    pub fn agree(&mut self, group: Group, ok: bool) -> Result<bool, RankError> {
        self.check()?;
        let Some(link) = self.link.clone() else {
            return Ok(ok);
        };
        self.segment.enter_call(self.id);
        let outcome = self.agree_inside(&link, group, ok);
        self.segment.leave_call(self.id);
        if outcome.is_ok() {
            self.injector.pass(Point::Agreed);
        }
        outcome
    }

    fn agree_inside(&mut self, link: &Rc<Link>, group: Group, ok: bool) -> Result<bool, RankError> {
        let next = self.agreements.entry(group).or_insert(0);
        let round = std::mem::replace(next, *next + 1);
        let epoch = self.epoch;
        let step = self.step();
        link.tell(&ToSupervisor::Agree { epoch, group, round, step, ok })?;
        self.injector.pass(Point::AgreeMid);
        let heard = RefCell::new(None);
        let listen = || {
            let mut heard = heard.borrow_mut();
            *heard = heard.take().or_else(|| decision(link, epoch, group, round));
            heard.is_some()
        };
        // Peers may still send, and a version may still want its late messages.
        let waited = self.wait_until(
            WaitKind::Agree,
            |_| listen(),
            |rank| {
                rank.endpoint.progress()?;
                rank.hand_in_late()
            },
        );
        if let Err(RankError::Interrupted) = waited {
            // Raised since the last look: a decision made before that is here by now.
            listen();
        }
        match heard.take() {
            Some(decided) => decided,
            None => waited.and(Err(RankError::Interrupted)),
        }
    }
}

/// What the supervisor decided, if it has said so.
fn decision(link: &Link, of: Epoch, who: Group, which: u64) -> Heard {
    loop {
        match link.try_hear() {
            Ok(Some(ToRank::Agreed { epoch, group, round, ok }))
                if (epoch, group, round) == (of, who, which) =>
            {
                return Some(ok.ok_or(RankError::ApartAgreeing));
            }
            // Nothing else is meant for a rank that agrees.
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(error) => return Some(Err(error)),
        }
    }
}
