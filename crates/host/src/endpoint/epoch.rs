//! How an endpoint begins an epoch, and how the prologue of an entry ends.
//!
//! Invariant: what a version holds is checked before any of it is used; an endpoint that cannot start
//! from it stays interrupted. Deliberately absent: what a version is made of; see `cut`.

use std::sync::atomic::Ordering;

use mainstay_comm::layout::Status;
use mainstay_comm::matching::Label;
use mainstay_comm::{Channels, Cut, Journal, Message, ResumeError};
use mainstay_types::limits::BOARD_COMMUNICATORS;
use mainstay_types::{Epoch, Incarnation};

use super::inbound::{Inbound, Unexpected};
use super::push::Outbound;
use super::{Endpoint, Phase, Resume};

/// Most rounds on a board that a version may start from: others follow.
const ROUNDS_MAX: u64 = 1 << 62;

impl Endpoint {
    /// Begins an epoch that the supervisor has opened: all rings are empty, requests of older
    /// epochs are gone, counters start from `resume`, or from nothing. The entry begins with a
    /// prologue, until [`Endpoint::end_prologue`].
    ///
    /// # Errors
    /// [`ResumeError`] when what was saved contradicts itself; the endpoint stays interrupted.
    pub fn begin_epoch(
        &mut self,
        epoch: Epoch,
        incarnations: &[Incarnation],
        resume: Option<Resume>,
    ) -> std::result::Result<(), ResumeError> {
        let n = self.n();
        if incarnations.len() != n as usize {
            return Err(ResumeError::Size { what: "incarnations", found: incarnations.len() });
        }
        let incarnations = incarnations.to_vec();
        self.live = false;
        let rounds = resume.as_ref().map_or([0; BOARD_COMMUNICATORS], |resume| resume.cut.rounds);
        if let Some(found) = rounds.iter().copied().find(|rounds| *rounds > ROUNDS_MAX) {
            return Err(ResumeError::Counter { what: "rounds", found });
        }
        self.communicators = 0;
        self.communicators_before = resume.as_ref().map_or(0, |resume| resume.cut.communicators);
        let resume = resume.map(Resume::into_engine);
        self.phase = Phase::Prologue;
        self.before = Channels::new(self.me, epoch, Vec::clone(&incarnations));
        self.channels = match &resume {
            None => Channels::new(self.me, epoch, incarnations),
            Some(from) => Channels::resume(self.me, epoch, incarnations, from)?,
        };
        let resume = resume.unwrap_or_default();
        self.cut = Cut::new(n, resume.version);
        self.journal = Journal::resume(resume.late.determinants);
        self.forget();
        for message in resume.cut.unexpected.into_iter().chain(resume.late.messages) {
            self.keep_restored(message);
        }
        self.segment.status(self.me, Status::CapVersion).store(resume.version.0, Ordering::Release);
        if self.journal.follows() {
            self.segment.status(self.me, Status::Chooses).store(1, Ordering::SeqCst);
        }
        self.start_boards(rounds);
        self.live = true;
        Ok(())
    }

    /// Ends the prologue of an entry: from here on messages go on where the version is.
    ///
    /// What a program exchanges before it has its state, it exchanges again at each entry. That is
    /// no part of the history: it has channels and contexts of its own, or in a restored entry it
    /// would be taken for messages that followed the version, and they for it. In the first entry
    /// as well, so that a message that crosses `protect` is missed on the first day.
    pub fn end_prologue(&mut self) {
        self.phase = Phase::History;
        self.communicators = self.communicators.max(self.communicators_before);
    }

    /// How many communicators were made so far. The next one's number has to be agreed upon: it is
    /// one more than the most that any of its ranks has made.
    #[must_use]
    pub fn communicators(&self) -> u32 {
        self.communicators
    }

    /// Tells that the communicator of this number was made.
    pub fn made_communicator(&mut self, number: u32) {
        self.communicators = self.communicators.max(number);
    }

    /// Empties queues, tables and rings' ends.
    fn forget(&mut self) {
        let layout = *self.segment.layout();
        self.matching.clear();
        self.outbound = Outbound::all(&layout, self.me);
        self.inbound = Inbound::all(&layout, self.me);
        self.unexpected.clear();
        self.credits.clear();
        self.requests.clear();
        self.queued = 0;
        self.hash = 0;
    }

    fn keep_restored(&mut self, message: Message) {
        let (source, label) =
            (message.source, Label { context: message.context, tag: message.tag });
        self.credits.charge(source, message.payload.len() as u64);
        let id = self.unexpected.insert(Unexpected::restored(message));
        self.matching.keep(source, label, id);
    }
}
