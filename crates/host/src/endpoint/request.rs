//! Nonblocking sends and receives.
//!
//! The endpoint owns what a request needs: the unsent rest of a message, the memory of a receive.
//! Requests move on whenever any call waits, and in [`Endpoint::test`]. Invariant: a request
//! belongs to one epoch; [`Endpoint::wait`] spends it, and so does [`Endpoint::cancel`]. Deliberately
//! absent: the calls whose outcome depends on timing; see `choice`.

use std::any::Any;

use mainstay_comm::Message;
use mainstay_comm::matching::{Label, Wanted};
use mainstay_types::{Epoch, Point, Rank, WaitKind};

use super::inbound::Sink;
use super::leg::is_collective;
use super::p2p::{Arrived, From, label};
use super::push::Rest;
use super::room::{NoRoom, Room};
use super::trace::passage;
use super::wait::Work;
use super::{CommError, Endpoint, Result};

/// A send or receive under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a request has to be waited for"]
pub struct RequestId {
    epoch: Epoch,
    serial: u64,
    id: u32,
}

/// A request as the endpoint keeps it.
#[derive(Debug)]
pub(super) struct Request {
    serial: u64,
    /// What it asks for, or, of a send, to whom it goes.
    wanted: Wanted,
    /// Source and label of its message, once one is found.
    met: Option<(Rank, Label)>,
    /// The number under which the choice of its message is to be noted.
    choice: Option<u64>,
    /// Where its message arrives, or what comes back of a send.
    room: Box<dyn Room>,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// A send of which something is queued.
    Sending,
    /// A send that is out.
    Out,
    /// A receive whose message is not here.
    Posted,
    /// Its message arrives in the buffer.
    Filling,
    /// Its message is in the buffer.
    Done { sequence: u64 },
    /// Its message is an unexpected one.
    Claimed(u32),
}

impl Request {
    /// Its message, of so many bytes, begins to arrive; gives the choice that was made by that.
    pub(super) fn begins(&mut self, met: (Rank, Label), total: usize) -> Option<u64> {
        self.met = Some(met);
        self.room.fit(total);
        self.state = State::Filling;
        self.choice.take()
    }

    /// Its message is whole.
    pub(super) fn arrived(&mut self, sequence: u64) {
        self.state = State::Done { sequence };
    }

    /// Its message is out; what was lent for it comes back.
    pub(super) fn is_out(&mut self, sent: Rest) {
        if let Rest::Lent(room) = sent {
            self.room = room;
        }
        self.state = State::Out;
    }

    pub(super) fn buffer(&mut self) -> &mut [u8] {
        self.room.bytes_mut()
    }

    /// The source from which a receive still waits for bytes, or anyone; `None` for a send.
    pub(super) fn awaits(&self) -> Option<Option<Rank>> {
        let arrives = !matches!(self.state, State::Sending | State::Out);
        let source = self.met.map(|(source, _)| source).or(self.wanted.source);
        arrives.then_some(source)
    }

    /// What to tell others about a wait for it.
    pub(super) fn wish(&self) -> (WaitKind, Option<Rank>, Option<u32>) {
        if is_collective(self.wanted.context) {
            return (WaitKind::Collective, self.wanted.source, self.wanted.tag);
        }
        let kind = match self.awaits() {
            Some(_) => WaitKind::Receive,
            None => WaitKind::Send,
        };
        (kind, self.wanted.source, self.wanted.tag)
    }
}

impl Endpoint {
    /// Starts to send. What the ring does not take at once is copied, so `payload` is free again.
    ///
    /// # Errors
    /// [`CommError`].
    pub fn isend(&mut self, to: Rank, context: u32, tag: u32, payload: &[u8]) -> Result<RequestId> {
        self.call(|e| {
            e.known(to)?;
            let label = e.now(label(context, tag));
            e.isend_inner(to, label, payload)
        })
    }

    pub(super) fn isend_inner(
        &mut self,
        to: Rank,
        label: Label,
        payload: &[u8],
    ) -> Result<RequestId> {
        (self.point)(Point::Send);
        let message = self.number(to, label, payload)?;
        let request = self.request(Wanted::exactly(to, label), State::Out, Box::new(NoRoom));
        if let Some(mut message) = message {
            let first = self.outbound[to.index()].queue.is_empty();
            if !(first && self.push(&mut message, payload)?) {
                self.queue(message, payload, Some(request.id));
                if let Some(request) = self.requests.get_mut(request.id) {
                    request.state = State::Sending;
                }
            }
        }
        Ok(request)
    }

    /// Starts to send from memory that is lent for it, so that nothing is copied but into the ring;
    /// [`Endpoint::complete`] gives it back.
    ///
    /// # Errors
    /// [`CommError`].
    pub fn isend_room(
        &mut self,
        to: Rank,
        context: u32,
        tag: u32,
        room: Box<dyn Room>,
    ) -> Result<RequestId> {
        self.call(|e| {
            e.known(to)?;
            (e.point)(Point::Send);
            let label = e.now(label(context, tag));
            let wanted = Wanted::exactly(to, label);
            let Some(mut message) = e.number(to, label, room.bytes())? else {
                return Ok(e.request(wanted, State::Out, room));
            };
            let first = e.outbound[to.index()].queue.is_empty();
            if first && e.push(&mut message, room.bytes())? {
                return Ok(e.request(wanted, State::Out, room));
            }
            let request = e.request(wanted, State::Sending, Box::new(NoRoom));
            e.queue_lent(message, room, request.id);
            Ok(request)
        })
    }

    /// Starts to receive a message of any length.
    ///
    /// # Errors
    /// [`CommError`].
    pub fn irecv(&mut self, source: Rank, context: u32, tag: u32) -> Result<RequestId> {
        self.call(|e| {
            e.known(source)?;
            let label = e.now(label(context, tag));
            Ok(e.post(Wanted::exactly(source, label), None, Box::new(Vec::new())))
        })
    }

    /// Starts to receive a message of any length, perhaps from any source or of any tag, into
    /// memory that is lent for it; [`Endpoint::complete`] gives it back.
    ///
    /// # Errors
    /// [`CommError`].
    pub fn irecv_room(
        &mut self,
        from: From,
        context: u32,
        room: Box<dyn Room>,
    ) -> Result<RequestId> {
        self.call(|e| {
            let (wanted, choice) = e.choose_source(from, context)?;
            Ok(e.post(wanted, choice, room))
        })
    }

    pub(super) fn post(
        &mut self,
        wanted: Wanted,
        choice: Option<u64>,
        room: Box<dyn Room>,
    ) -> RequestId {
        let Some(kept) = self.matching.claim(&wanted) else {
            let request = self.request(wanted, State::Posted, room);
            if let Some(posted) = self.requests.get_mut(request.id) {
                posted.choice = choice;
            }
            self.matching.post(wanted, request.id);
            return request;
        };
        let met = self.whose(kept);
        self.chose(choice, met.0, met.1.tag);
        let request = self.request(wanted, State::Claimed(kept), room);
        if let Some(claimed) = self.requests.get_mut(request.id) {
            claimed.met = Some(met);
        }
        request
    }

    /// Waits until a request is complete; the message of a receive, nothing of a send.
    ///
    /// # Errors
    /// [`CommError`]. After [`CommError::Timeout`] it can be waited for again.
    pub fn wait(&mut self, request: RequestId) -> Result<Vec<u8>> {
        let room: Box<dyn Any> = self.complete(request)?.1;
        Ok(room.downcast::<Vec<u8>>().map_or_else(|_| Vec::new(), |bytes| *bytes))
    }

    /// As [`Endpoint::wait`], with what is known of a received message, and what was lent.
    ///
    /// # Errors
    /// As [`Endpoint::wait`].
    pub fn complete(&mut self, request: RequestId) -> Result<(Option<Arrived>, Box<dyn Room>)> {
        self.call(|e| {
            let id = e.live(request)?;
            match e.is_complete(id) {
                true => e.trace(|t| t.drives(false)),
                false => e.drive(&mut Work { requests: &[id], ..Work::default() })?,
            }
            Ok(e.spend(id))
        })
    }

    /// Requests not yet waited for, and messages not yet out.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.requests.len() + self.queued
    }

    /// Whether it is a receive for which no message has been found.
    pub(super) fn is_posted(&self, id: u32) -> bool {
        self.requests.get(id).is_some_and(|request| matches!(request.state, State::Posted))
    }

    #[inline]
    pub(super) fn is_complete(&self, id: u32) -> bool {
        match self.requests.get(id).map(|request| request.state) {
            Some(State::Sending | State::Posted | State::Filling) => false,
            Some(State::Claimed(kept)) => self.is_whole(kept),
            Some(State::Out | State::Done { .. }) | None => true,
        }
    }

    /// The message of a complete request, which is gone by that.
    fn spend(&mut self, id: u32) -> (Option<Arrived>, Box<dyn Room>) {
        let mut request = self.requests.remove(id).expect("a live request");
        let sequence = match request.state {
            State::Done { sequence } => sequence,
            State::Claimed(kept) => {
                let message = self.take_unexpected(kept);
                request.room.take(message.payload);
                message.sequence
            }
            State::Out => return (None, request.room),
            State::Sending | State::Posted | State::Filling => {
                unreachable!("the wait ended, so the request is complete")
            }
        };
        let Some((source, label)) = request.met else { unreachable!("a message was found for it") };
        self.trace(|t| t.receives(passage(source, label, sequence, request.room.bytes().len())));
        if self.audit {
            self.hash_in(false, source, label, sequence, request.room.bytes());
        }
        let bytes = request.room.bytes().len();
        (Some(Arrived { source, tag: label.tag, bytes }), request.room)
    }

    /// Ends a receive without a message: one that it has, or that arrives for it, goes back to those
    /// that nothing has asked for.
    pub(super) fn give_up_receive(&mut self, id: u32) {
        let Some(request) = self.requests.remove(id) else { return };
        self.matching.cancel(id);
        let Some((source, label)) = request.met else { return };
        let (sequence, whole) = match request.state {
            State::Claimed(kept) => return self.matching.give_back(source, label, kept),
            State::Done { sequence } => (sequence, true),
            State::Filling => {
                debug_assert_eq!(self.inbound[source.index()].sink, Some(Sink::Posted(id)));
                (self.channels_of(label.context).delivered()[source.index()] + 1, false)
            }
            State::Sending | State::Out | State::Posted => return,
        };
        let Label { context, tag } = label;
        let payload = request.room.bytes().to_vec();
        self.disown(Message { source, context, tag, sequence, payload }, whole);
    }

    fn request(&mut self, wanted: Wanted, state: State, room: Box<dyn Room>) -> RequestId {
        self.serial += 1;
        let (serial, met, choice) = (self.serial, None, None);
        let id = self.requests.insert(Request { serial, wanted, met, choice, room, state });
        RequestId { epoch: self.channels.epoch(), serial, id }
    }

    /// The request's number, if it is of this epoch and not spent.
    pub(super) fn live(&self, request: RequestId) -> Result<u32> {
        if request.epoch != self.channels.epoch() {
            return Err(CommError::Interrupted);
        }
        let found = self.requests.get(request.id).map(|kept| kept.serial);
        match found == Some(request.serial) {
            true => Ok(request.id),
            false => Err(CommError::Spent),
        }
    }
}
