//! Blocking sends and receives.
//!
//! Invariant: a receive takes the earliest message that it matches; a failed one takes none.
//! Deliberately absent: what a choice among sources has to come to; see `choice`.

use mainstay_comm::Message;
use mainstay_comm::matching::{Label, Wanted};
use mainstay_types::{Point, Rank};

use super::inbound::{Buffer, Sink, State, Target, Unexpected};
use super::room::Room;
use super::trace::passage;
use super::wait::Work;
use super::{Endpoint, Result};

/// The label of a program's message: even contexts are the programs', odd ones of collectives.
pub(super) fn label(context: u32, tag: u32) -> Label {
    Label { context: context * 2, tag }
}

/// From whom, and with which tag, a message may be. `None` is any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct From {
    /// The source.
    pub source: Option<Rank>,
    /// The tag.
    pub tag: Option<u32>,
}

/// A message that was found or received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Its source.
    pub source: Rank,
    /// Its tag.
    pub tag: u32,
    /// Its length.
    pub bytes: usize,
}

impl Endpoint {
    /// Sends a message. Returns when all of it is in the ring, which for a message larger than the
    /// ring needs its receiver.
    ///
    /// # Errors
    /// [`CommError`](super::CommError); after a timeout the message still goes out if a part had.
    pub fn send(&mut self, to: Rank, context: u32, tag: u32, payload: &[u8]) -> Result<()> {
        self.call(|e| {
            e.known(to)?;
            let label = e.now(label(context, tag));
            e.send_inner(to, label, payload)
        })
    }

    /// Receives a message into `buffer`; its length.
    ///
    /// # Errors
    /// [`CommError`](super::CommError); `Truncated` leaves the message for a call with more room.
    pub fn recv_into(
        &mut self,
        source: Rank,
        context: u32,
        tag: u32,
        buffer: &mut [u8],
    ) -> Result<usize> {
        self.call(|e| {
            e.known(source)?;
            let label = e.now(label(context, tag));
            e.recv_inner(source, label, Buffer::Fixed(buffer))
        })
    }

    /// Receives a message, perhaps from any source or of any tag, into `buffer`.
    ///
    /// # Errors
    /// As [`Endpoint::recv_into`].
    pub fn recv_from(&mut self, from: From, context: u32, buffer: &mut [u8]) -> Result<Arrived> {
        self.call(|e| e.recv_chosen(from, context, Buffer::Fixed(buffer)))
    }

    /// Receives a message of any length, perhaps from any source or of any tag, into memory that
    /// is made as long as it is.
    ///
    /// # Errors
    /// As [`Endpoint::recv_vec`].
    pub fn recv_room_from(
        &mut self,
        from: From,
        context: u32,
        room: &mut dyn Room,
    ) -> Result<Arrived> {
        self.call(|e| e.recv_chosen(from, context, Buffer::Growing(room)))
    }

    /// Receives a message of any length.
    ///
    /// # Errors
    /// [`CommError`](super::CommError).
    pub fn recv_vec(&mut self, source: Rank, context: u32, tag: u32) -> Result<Vec<u8>> {
        self.call(|e| {
            e.known(source)?;
            let label = e.now(label(context, tag));
            e.recv_growing(source, label)
        })
    }

    /// Sends and receives at the same time: neither waits for the other.
    ///
    /// # Errors
    /// [`CommError`](super::CommError).
    pub fn send_recv(
        &mut self,
        (to, payload): (Rank, &[u8]),
        (source, buffer): (Rank, &mut [u8]),
        context: u32,
        tag: u32,
    ) -> Result<usize> {
        self.call(|e| {
            e.known(to)?;
            e.known(source)?;
            (e.point)(Point::Send);
            let label = e.now(label(context, tag));
            let send = e.number(to, label, payload)?.map(|message| (message, payload));
            let wanted = Wanted::exactly(source, label);
            let target = e.target(wanted, Buffer::Fixed(buffer));
            let mut work = Work { send, receive: Some(target), ..Work::default() };
            e.drive(&mut work)?;
            Ok(e.received(&mut work).bytes)
        })
    }

    #[inline]
    pub(super) fn send_inner(&mut self, to: Rank, label: Label, payload: &[u8]) -> Result<()> {
        (self.point)(Point::Send);
        let Some(mut message) = self.number(to, label, payload)? else {
            return Ok(());
        };
        if self.outbound[to.index()].queue.is_empty() && self.push(&mut message, payload)? {
            return Ok(());
        }
        let mut work = Work { send: Some((message, payload)), ..Work::default() };
        self.drive(&mut work)
    }

    #[inline]
    pub(super) fn recv_inner(
        &mut self,
        source: Rank,
        label: Label,
        buffer: Buffer<'_>,
    ) -> Result<usize> {
        Ok(self.recv_wanted(Wanted::exactly(source, label), buffer)?.bytes)
    }

    #[inline]
    pub(super) fn recv_wanted(&mut self, wanted: Wanted, buffer: Buffer<'_>) -> Result<Arrived> {
        let mut work = Work { receive: Some(self.target(wanted, buffer)), ..Work::default() };
        self.drive(&mut work)?;
        Ok(self.received(&mut work))
    }

    pub(super) fn recv_growing(&mut self, source: Rank, label: Label) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.recv_inner(source, label, Buffer::Growing(&mut bytes))?;
        Ok(bytes)
    }

    /// A receive that begins: of an unexpected message if one matches, unless it does not fit.
    #[inline]
    pub(super) fn target<'a>(&mut self, wanted: Wanted, buffer: Buffer<'a>) -> Target<'a> {
        let mut target = Target { wanted, met: None, buffer, state: State::Waiting };
        if let Some(id) = self.matching.has(&wanted) {
            let bytes = self.unexpected_len(id);
            target.met = Some(self.whose(id));
            target.state = match target.buffer.room(bytes) {
                None => State::TooLong(bytes as u64),
                Some(_) => {
                    self.matching.claim(&wanted);
                    State::Claimed(id)
                }
            };
        }
        target
    }

    /// Source and label of an unexpected message.
    pub(super) fn whose(&self, id: u32) -> (Rank, Label) {
        let message = &self.unexpected.get(id).expect("kept").message;
        (message.source, Label { context: message.context, tag: message.tag })
    }

    /// Bytes of an unexpected message, here or still arriving.
    pub(super) fn unexpected_len(&self, id: u32) -> usize {
        let kept = self.unexpected.get(id).expect("kept");
        kept.message.payload.len()
    }

    pub(super) fn is_whole(&self, id: u32) -> bool {
        self.unexpected.get(id).is_some_and(|kept| kept.whole)
    }

    /// Takes an unexpected message that was claimed and is whole.
    pub(super) fn take_unexpected(&mut self, id: u32) -> Message {
        let Unexpected { message, .. } = self.unexpected.remove(id).expect("kept");
        self.credits.refund(message.source, message.payload.len() as u64);
        message
    }

    /// Gives a claimed message to the call that waits for it.
    pub(super) fn hand_over(&mut self, target: &mut Target<'_>, id: u32) {
        let Message { sequence, payload, .. } = self.take_unexpected(id);
        let total = payload.len();
        match &mut target.buffer {
            Buffer::Growing(buffer) => buffer.take(payload),
            Buffer::Fixed(buffer) => buffer[..total].copy_from_slice(&payload),
        }
        target.state = State::Done { sequence, total };
    }

    /// The message that the call waited for, which is now the program's.
    #[inline]
    pub(super) fn received(&mut self, work: &mut Work<'_>) -> Arrived {
        let done = work.receive.as_mut().and_then(|target| match (target.state, target.met) {
            (State::Done { sequence, total }, Some(met)) => Some((target, sequence, total, met)),
            _ => None,
        });
        let Some((target, sequence, total, (source, label))) = done else {
            unreachable!("a call that waits for a message ends with it or fails")
        };
        self.trace(|t| t.receives(passage(source, label, sequence, total)));
        if self.audit {
            let bytes = target.buffer.room(total).expect("it fitted");
            self.hash_in(false, source, label, sequence, bytes);
        }
        Arrived { source, tag: label.tag, bytes: total }
    }

    /// A call fails whose message is here or arriving: it becomes an unexpected one.
    pub(super) fn orphan(&mut self, target: &mut Target<'_>) {
        let Some((source, label)) = target.met else { return };
        let (sequence, total, got) = match target.state {
            State::Filling { sequence, total, got } => (sequence, total, got),
            State::Done { sequence, total } => (sequence, total, total),
            State::Claimed(id) => return self.matching.give_back(source, label, id),
            State::Waiting | State::TooLong(_) => return,
        };
        let whole = matches!(target.state, State::Done { .. });
        let mut payload = vec![0; total];
        let bytes = target.buffer.room(total).expect("it fitted");
        payload[..got].copy_from_slice(&bytes[..got]);
        let message = Message { source, context: label.context, tag: label.tag, sequence, payload };
        self.disown(message, whole);
    }

    /// A message that a receive had taken, or has begun to, becomes an unexpected one.
    pub(super) fn disown(&mut self, message: Message, whole: bool) {
        let (source, label) =
            (message.source, Label { context: message.context, tag: message.tag });
        self.credits.charge(source, message.payload.len() as u64);
        let id = self.unexpected.insert(Unexpected { message, whole });
        match whole {
            true => self.matching.give_back(source, label, id),
            false => {
                self.inbound[source.index()].sink = Some(Sink::Unexpected(id));
                self.matching.keep(source, label, id);
            }
        }
    }
}
