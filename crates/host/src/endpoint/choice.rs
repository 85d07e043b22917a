//! Calls whose outcome depends on timing: receives from any source, probes, tests.
//!
//! Their outcomes go through the journal of `comm`, so that a rank that is restored chooses what it
//! had chosen, where its peers may have seen the consequences. Invariants: the lane says that this
//! rank chooses before its first choice is made, so that no version commits without its
//! determinants; in the prologue of a restored entry, which is part of no version, choices are
//! free. Deliberately absent: what is kept and for how long; see [`mainstay_comm::journal`].

use std::sync::atomic::Ordering;

use mainstay_comm::journal::Choice;
use mainstay_comm::layout::Status;
use mainstay_comm::matching::Wanted;
use mainstay_types::{Outcome, Rank};

use super::inbound::Buffer;
use super::p2p::{Arrived, From, label};
use super::wait::Work;
use super::{CommError, Endpoint, Phase, RequestId, Result};

impl Endpoint {
    /// Begins a choice.
    fn choose(&mut self) -> Option<Choice> {
        if self.phase == Phase::Prologue {
            return None;
        }
        let word = self.segment.status(self.me, Status::Chooses);
        if word.load(Ordering::Relaxed) == 0 {
            word.store(1, Ordering::SeqCst);
        }
        Some(self.journal.choose())
    }

    /// Notes a choice among messages.
    pub(super) fn chose(&mut self, choice: Option<u64>, source: Rank, tag: u32) {
        self.note(choice, Outcome::Message { source, tag });
    }

    fn note(&mut self, choice: Option<u64>, outcome: Outcome) {
        let Some(call) = choice else { return };
        // Looked at once the outcome is known: what was sent before is kept by its sender as well.
        if self.journal.keeps() && self.all_captured() {
            self.journal.seal();
        }
        self.journal.note(call, outcome);
    }

    /// Whether all ranks have captured the version that this rank captured last.
    fn all_captured(&self) -> bool {
        Rank::all(self.n()).all(|rank| {
            let captured = self.segment.status(rank, Status::CapVersion);
            captured.load(Ordering::SeqCst) >= self.cut.version().0
        })
    }

    /// What a receive that may name no source asks for, and under which number its choice is noted.
    pub(super) fn choose_source(
        &mut self,
        from: From,
        context: u32,
    ) -> Result<(Wanted, Option<u64>)> {
        from.source.map_or(Ok(()), |source| self.known(source))?;
        let context = label(context, 0).context;
        let mut wanted = Wanted { source: from.source, context, tag: from.tag };
        if self.phase == Phase::Prologue {
            wanted = wanted.in_prologue();
        }
        // Of one source, messages come in an order that timing cannot change.
        if wanted.source.is_some() {
            return Ok((wanted, None));
        }
        Ok(match self.choose() {
            None => (wanted, None),
            Some(Choice::Free(call) | Choice::Nothing(call)) => (wanted, Some(call)),
            Some(Choice::To(outcome)) => (self.chosen_message(wanted, outcome)?, None),
        })
    }

    /// The one message that the journal names, which must be among those that are asked for.
    fn chosen_message(&mut self, wanted: Wanted, outcome: Outcome) -> Result<Wanted> {
        match outcome {
            Outcome::Message { source, tag }
                if source.0 < self.n() && wanted.tag.is_none_or(|wanted| wanted == tag) =>
            {
                Ok(Wanted { source: Some(source), tag: Some(tag), ..wanted })
            }
            _ => Err(CommError::Strayed),
        }
    }

    pub(super) fn recv_chosen(
        &mut self,
        from: From,
        context: u32,
        buffer: Buffer<'_>,
    ) -> Result<Arrived> {
        let (wanted, choice) = self.choose_source(from, context)?;
        let arrived = self.recv_wanted(wanted, buffer)?;
        self.chose(choice, arrived.source, arrived.tag);
        Ok(arrived)
    }

    /// Waits until a message is there that a receive would take; leaves it.
    ///
    /// # Errors
    /// [`CommError`].
    pub fn probe(&mut self, from: From, context: u32) -> Result<Arrived> {
        self.call(|e| {
            let (wanted, choice) = e.choose_source(from, context)?;
            let arrived = e.await_message(wanted)?;
            e.chose(choice, arrived.source, arrived.tag);
            Ok(arrived)
        })
    }

    /// Looks whether a message is there that a receive would take; leaves it.
    ///
    /// # Errors
    /// [`CommError`].
    pub fn iprobe(&mut self, from: From, context: u32) -> Result<Option<Arrived>> {
        self.call(|e| {
            from.source.map_or(Ok(()), |source| e.known(source))?;
            let context = label(context, 0).context;
            let mut wanted = Wanted { source: from.source, context, tag: from.tag };
            if e.phase == Phase::Prologue {
                wanted = wanted.in_prologue();
            }
            let choice = match e.choose() {
                Some(Choice::Nothing(_)) => return Ok(None),
                Some(Choice::To(outcome)) => {
                    let wanted = e.chosen_message(wanted, outcome)?;
                    return e.await_message(wanted).map(Some);
                }
                Some(Choice::Free(call)) => Some(call),
                None => None,
            };
            e.flush()?;
            e.probing = Some(wanted);
            let pulled = e.pull_everything(&mut None);
            e.probing = None;
            pulled?;
            let found = e.matching.has(&wanted).map(|id| e.description(id));
            if let Some(arrived) = found {
                e.chose(choice, arrived.source, arrived.tag);
            }
            Ok(found)
        })
    }

    fn await_message(&mut self, wanted: Wanted) -> Result<Arrived> {
        self.probing = Some(wanted);
        let result = self.drive(&mut Work { probe: Some(wanted), ..Work::default() });
        self.probing = None;
        result?;
        let Some(id) = self.matching.has(&wanted) else {
            unreachable!("the wait ended, so the message is there")
        };
        Ok(self.description(id))
    }

    fn description(&self, id: u32) -> Arrived {
        let (source, label) = self.whose(id);
        Arrived { source, tag: label.tag, bytes: self.unexpected_len(id) }
    }

    /// Whether a request is complete, so that [`Endpoint::wait`] would not wait.
    ///
    /// # Errors
    /// [`CommError`].
    pub fn test(&mut self, request: RequestId) -> Result<bool> {
        self.call(|e| {
            let id = e.live(request)?;
            let choice = match e.choose() {
                Some(Choice::Nothing(_)) => return Ok(false),
                Some(Choice::To(Outcome::Request(0))) => {
                    e.drive(&mut Work { requests: &[id], ..Work::default() })?;
                    return Ok(true);
                }
                Some(Choice::To(_)) => return Err(CommError::Strayed),
                Some(Choice::Free(call)) => Some(call),
                None => None,
            };
            e.flush()?;
            if !e.is_complete(id) {
                e.pull_everything(&mut None)?;
            }
            let complete = e.is_complete(id);
            if complete {
                e.note(choice, Outcome::Request(0));
            }
            Ok(complete)
        })
    }

    /// Waits until one of the requests is complete; its place among them. None is spent.
    ///
    /// # Errors
    /// [`CommError`]; [`CommError::Spent`] also if there is none to wait for.
    pub fn wait_any(&mut self, requests: &[RequestId]) -> Result<usize> {
        self.call(|e| {
            let ids = requests.iter().map(|request| e.live(*request));
            let ids = ids.collect::<Result<Vec<_>>>()?;
            if ids.is_empty() {
                return Err(CommError::Spent);
            }
            let choice = match e.choose() {
                Some(Choice::To(Outcome::Request(place))) => {
                    let place = place as usize;
                    let id = *ids.get(place).ok_or(CommError::Strayed)?;
                    e.drive(&mut Work { requests: &[id], ..Work::default() })?;
                    return Ok(place);
                }
                Some(Choice::To(_)) => return Err(CommError::Strayed),
                Some(Choice::Free(call) | Choice::Nothing(call)) => Some(call),
                None => None,
            };
            e.drive(&mut Work { requests: &ids, ..Work::default() })?;
            let place = ids.iter().position(|id| e.is_complete(*id)).unwrap_or(0);
            e.note(choice, Outcome::Request(u32::try_from(place).unwrap_or(u32::MAX)));
            Ok(place)
        })
    }

    /// Takes a receive back for which no message has been found; true if so, and it is spent then.
    ///
    /// # Errors
    /// [`CommError`].
    pub fn cancel(&mut self, request: RequestId) -> Result<bool> {
        self.call(|e| {
            let id = e.live(request)?;
            let choice = match e.choose() {
                Some(Choice::Nothing(_)) => return Ok(false),
                Some(Choice::To(Outcome::Request(0))) => {
                    // This time its message may have come before.
                    e.give_up_receive(id);
                    return Ok(true);
                }
                Some(Choice::To(_)) => return Err(CommError::Strayed),
                Some(Choice::Free(call)) => Some(call),
                None => None,
            };
            let cancelled = e.is_posted(id);
            if cancelled {
                e.give_up_receive(id);
                e.note(choice, Outcome::Request(0));
            }
            Ok(cancelled)
        })
    }
}
