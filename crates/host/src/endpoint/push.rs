//! The way out: frames into rings, and the queue of messages that did not fit at once.
//!
//! Invariant: of one destination, messages go out in the order of their numbers; payload is
//! written before its header, and both before the position that publishes them. Deliberately
//! absent: waiting for room.

use std::collections::VecDeque;

use mainstay_ckpt::kernel::crc_of;
use mainstay_comm::layout::{Channel, Counter, Layout};
use mainstay_comm::matching::Label;
use mainstay_comm::ring::{self, Producer};
use mainstay_comm::{Outgoing, bell};
use mainstay_types::frame::Header;
use mainstay_types::limits::FRAME_HEADER_BYTES;
use mainstay_types::{Point, Rank};

use super::room::Room;
use super::trace::passage;
use super::{CommError, Endpoint, Result};
use crate::shm::futex;

/// A rank's end of the channel to one destination.
#[derive(Debug)]
pub(super) struct Outbound {
    at: Channel,
    pub(super) ring: Producer,
    pub(super) queue: VecDeque<Queued>,
}

/// A message whose rest goes out when there is room.
#[derive(Debug)]
pub(super) struct Queued {
    progress: Progress,
    payload: Rest,
    request: Option<u32>,
}

/// What of a message is still to go out.
#[derive(Debug)]
pub(super) enum Rest {
    /// A copy of its end.
    Copied(Vec<u8>),
    /// The whole message, in its sender's memory.
    Lent(Box<dyn Room>),
}

impl Rest {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Copied(bytes) => bytes,
            Self::Lent(room) => room.bytes(),
        }
    }
}

/// How far a message has gone out. `offset` is that in the payload which is at hand, `base` what
/// went out before it was copied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    pub(super) to: Rank,
    pub(super) label: Label,
    pub(super) sequence: u64,
    pub(super) total: u64,
    pub(super) base: u64,
    pub(super) offset: usize,
    pub(super) started: bool,
}

impl Outbound {
    /// Those of rank `me`, by destination.
    pub(super) fn all(layout: &Layout, me: Rank) -> Vec<Self> {
        let new = |to| Self {
            at: layout.channel(me, to),
            ring: Producer::new(layout.ring_bytes()),
            queue: VecDeque::new(),
        };
        Rank::all(layout.n()).map(new).collect()
    }
}

impl Endpoint {
    /// Numbers a message of a label that [`Endpoint::now`] gave; `None` when its receiver has it
    /// from before the recovery.
    pub(super) fn number(
        &mut self,
        to: Rank,
        label: Label,
        payload: &[u8],
    ) -> Result<Option<Progress>> {
        let outgoing = self.channels_of(label.context).next_send(to);
        let (Outgoing::Send { sequence } | Outgoing::Suppress { sequence, .. }) = outgoing;
        self.count(Counter::Sent);
        self.trace(|t| t.sends(passage(to, label, sequence, payload.len())));
        if self.audit {
            self.hash_in(true, to, label, sequence, payload);
        }
        if let Outgoing::Suppress { hash, .. } = outgoing {
            self.count(Counter::Suppressed);
            let now = || mainstay_comm::message::hash(label.context, label.tag, payload);
            return match hash.is_none_or(|before| before == now()) {
                true => Ok(None),
                false => Err(CommError::Diverged { peer: to, sequence }),
            };
        }
        Ok(Some(Progress {
            to,
            label,
            sequence,
            total: payload.len() as u64,
            base: 0,
            offset: 0,
            started: false,
        }))
    }

    /// Puts as many frames into the ring as fit; true when the message is out.
    #[inline]
    pub(super) fn push(&mut self, message: &mut Progress, payload: &[u8]) -> Result<bool> {
        let Progress { to, .. } = *message;
        loop {
            let rest = &payload[message.offset..];
            let part = &rest[..rest.len().min(self.chunk)];
            let Outbound { at, ring, .. } = &mut self.outbound[to.index()];
            let room = ring.has_room(self.segment.word(at.tail), ring::frame_bytes(part.len()));
            match room {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(ring::Broken) => return Err(self.corrupt(to, "the position of its reader")),
            }
            self.frame(message, part);
            message.offset += part.len();
            message.started = true;
            if message.offset == payload.len() {
                return Ok(true);
            }
            (self.point)(Point::MidChunk);
        }
    }

    /// Writes one frame, publishes it and rings the receiver's bell if it sleeps.
    #[inline]
    fn frame(&mut self, message: &Progress, part: &[u8]) {
        let to = message.to;
        let Outbound { at: lies, ring, .. } = &mut self.outbound[to.index()];
        let at = ring.position();
        let payload_crc = self.segment.ring_in(lies.ring, at + FRAME_HEADER_BYTES as u64, part);
        let header = Header {
            source: self.me,
            destination: to,
            context: message.label.context,
            tag: message.label.tag,
            sequence: message.sequence,
            epoch: self.channels.epoch(),
            incarnation: self.channels.incarnation(),
            total: message.total,
            offset: message.base + message.offset as u64,
            length: u32::try_from(part.len()).expect("a chunk is small"),
            colour: self.cut.colour(),
            payload_crc,
        };
        let (head, waiting) = (lies.head, lies.waiting);
        self.segment.put_line(lies.ring, at, &header.encode_with(crc_of));
        (self.point)(Point::RingPublish);
        ring.publish(self.segment.word(head), ring::frame_bytes(part.len()));
        if bell::is_needed(self.segment.word32(waiting)) {
            self.wake_up(to);
        }
    }

    /// Rings a rank's bell if it sleeps.
    #[inline]
    pub(super) fn wake(&self, rank: Rank) {
        if bell::is_needed(self.segment.waiting(rank)) {
            self.wake_up(rank);
        }
    }

    #[cold]
    pub(super) fn wake_up(&self, rank: Rank) {
        let count = self.segment.bell(rank);
        bell::ring(count);
        futex::wake_all(count);
    }

    /// Copies the rest of a message, to go out when there is room.
    pub(super) fn queue(&mut self, message: Progress, payload: &[u8], request: Option<u32>) {
        let rest = payload[message.offset..].to_vec();
        let progress =
            Progress { base: message.base + message.offset as u64, offset: 0, ..message };
        self.enqueue(progress, Rest::Copied(rest), request);
    }

    /// Keeps a message in the memory that was lent for it, to go out when there is room.
    pub(super) fn queue_lent(&mut self, message: Progress, room: Box<dyn Room>, request: u32) {
        self.enqueue(message, Rest::Lent(room), Some(request));
    }

    fn enqueue(&mut self, progress: Progress, payload: Rest, request: Option<u32>) {
        self.queued += 1;
        let queue = &mut self.outbound[progress.to.index()].queue;
        queue.push_back(Queued { progress, payload, request });
    }

    /// Moves queued messages on; true if any frame went out.
    #[inline]
    pub(super) fn flush(&mut self) -> Result<bool> {
        match self.queued {
            0 => Ok(false),
            _ => self.flush_queues(),
        }
    }

    fn flush_queues(&mut self) -> Result<bool> {
        let mut moved = false;
        for to in Rank::all(self.n()) {
            while let Some(mut first) = self.outbound[to.index()].queue.pop_front() {
                let before = first.progress.offset;
                let pushed = self.push(&mut first.progress, first.payload.bytes());
                moved |= first.progress.offset != before;
                if !matches!(pushed, Ok(true)) {
                    self.outbound[to.index()].queue.push_front(first);
                    pushed?;
                    break;
                }
                moved = true;
                self.queued -= 1;
                if let Some(request) = first.request.and_then(|id| self.requests.get_mut(id)) {
                    request.is_out(first.payload);
                }
            }
        }
        Ok(moved)
    }
}
