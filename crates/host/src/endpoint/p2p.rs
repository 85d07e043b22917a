//! Blocking sends and receives.
//!
//! Invariant: a receive takes the earliest message of its source, context and tag; a failed one
//! takes none. Deliberately absent: receives from any source.

use mainstay_comm::Message;
use mainstay_comm::matching::Label;
use mainstay_types::{Point, Rank};

use super::inbound::{Buffer, Sink, State, Target, Unexpected};
use super::wait::Work;
use super::{Endpoint, Result};

/// The label of a program's message: even contexts are the programs', odd ones of collectives.
pub(super) fn label(context: u32, tag: u32) -> Label {
    Label { context: context * 2, tag }
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
            let target = e.target(source, label, Buffer::Fixed(buffer));
            let mut work = Work { send, receive: Some(target), request: None };
            e.drive(&mut work)?;
            Ok(e.received(&mut work))
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
        let mut work =
            Work { receive: Some(self.target(source, label, buffer)), ..Work::default() };
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
    fn target<'a>(&mut self, source: Rank, label: Label, buffer: Buffer<'a>) -> Target<'a> {
        let mut target = Target { source, label, buffer, state: State::Waiting };
        if let Some(id) = self.matching.has(source, label) {
            let bytes = self.unexpected_len(id);
            target.state = match target.buffer.room(bytes) {
                None => State::TooLong(bytes as u64),
                Some(_) => {
                    self.matching.claim(source, label);
                    State::Claimed(id)
                }
            };
        }
        target
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
        self.unexpected_bytes -= message.payload.len() as u64;
        message
    }

    /// Gives a claimed message to the call that waits for it.
    pub(super) fn hand_over(&mut self, target: &mut Target<'_>, id: u32) {
        let Message { sequence, payload, .. } = self.take_unexpected(id);
        let total = payload.len();
        match &mut target.buffer {
            Buffer::Growing(buffer) => **buffer = payload,
            Buffer::Fixed(buffer) => buffer[..total].copy_from_slice(&payload),
        }
        target.state = State::Done { sequence, total };
    }

    /// The length of the message that the call waited for, which is now the program's.
    #[inline]
    fn received(&mut self, work: &mut Work<'_>) -> usize {
        let Some(target) = &mut work.receive else {
            return 0;
        };
        let State::Done { sequence, total } = target.state else {
            unreachable!("a call that waits for a message ends with it or fails")
        };
        if self.audit {
            let (source, label) = (target.source, target.label);
            let bytes = target.buffer.room(total).expect("it fitted");
            self.hash_in(false, source, label, sequence, bytes);
        }
        total
    }

    /// A call fails whose message is here or arriving: it becomes an unexpected one.
    pub(super) fn orphan(&mut self, target: &mut Target<'_>) {
        let (source, label) = (target.source, target.label);
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
        let id = self.unexpected.insert(Unexpected { message, whole });
        self.unexpected_bytes += total as u64;
        match whole {
            true => self.matching.give_back(source, label, id),
            false => {
                self.inbound[source.index()].sink = Some(Sink::Unexpected(id));
                self.matching.keep(source, label, id);
            }
        }
    }
}
