//! Nonblocking sends and receives.
//!
//! The endpoint owns what a request needs: the unsent rest of a message, the buffer of a receive.
//! Requests move on whenever any call waits, and in [`Endpoint::test`]. Invariant: a request
//! belongs to one epoch; [`Endpoint::wait`] spends it. Deliberately absent: cancelling; an epoch
//! that ends takes its requests along.

use mainstay_comm::matching::Label;
use mainstay_types::{Epoch, Point, Rank, WaitKind};

use super::p2p::label;
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
    /// The other end.
    peer: Rank,
    label: Label,
    buffer: Vec<u8>,
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
    /// Its message, of so many bytes, begins to arrive.
    pub(super) fn begins(&mut self, total: usize) {
        self.buffer = vec![0; total];
        self.state = State::Filling;
    }

    /// Its message is whole.
    pub(super) fn arrived(&mut self, sequence: u64) {
        self.state = State::Done { sequence };
    }

    /// Its message is out.
    pub(super) fn is_out(&mut self) {
        self.state = State::Out;
    }

    pub(super) fn buffer(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// The source from which a receive still waits for bytes.
    pub(super) fn awaits(&self) -> Option<Rank> {
        let arrives = !matches!(self.state, State::Sending | State::Out);
        arrives.then_some(self.peer)
    }

    /// What to tell others about a wait for it.
    pub(super) fn wish(&self) -> (WaitKind, Rank, u32) {
        let kind = match self.awaits() {
            Some(_) => WaitKind::Receive,
            None => WaitKind::Send,
        };
        (kind, self.peer, self.label.tag)
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
            (e.point)(Point::Send);
            let label = e.now(label(context, tag));
            let message = e.number(to, label, payload)?;
            let request = e.request(to, label, State::Out);
            if let Some(mut message) = message {
                let first = e.outbound[to.index()].queue.is_empty();
                if !(first && e.push(&mut message, payload)?) {
                    e.queue(message, payload, Some(request.id));
                    if let Some(request) = e.requests.get_mut(request.id) {
                        request.state = State::Sending;
                    }
                }
            }
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
            Ok(match e.matching.claim(source, label) {
                Some(kept) => e.request(source, label, State::Claimed(kept)),
                None => {
                    let request = e.request(source, label, State::Posted);
                    e.matching.post(source, label, request.id);
                    request
                }
            })
        })
    }

    /// Whether a request is complete, so that [`Endpoint::wait`] would not wait.
    ///
    /// # Errors
    /// [`CommError`].
    pub fn test(&mut self, request: RequestId) -> Result<bool> {
        self.call(|e| {
            let id = e.live(request)?;
            e.flush()?;
            if !e.is_complete(id) {
                e.pull_everything(&mut None)?;
            }
            Ok(e.is_complete(id))
        })
    }

    /// Waits until a request is complete; the message of a receive, nothing of a send.
    ///
    /// # Errors
    /// [`CommError`]. After [`CommError::Timeout`] it can be waited for again.
    pub fn wait(&mut self, request: RequestId) -> Result<Vec<u8>> {
        self.call(|e| {
            let id = e.live(request)?;
            let mut work = Work { request: Some(id), ..Work::default() };
            e.drive(&mut work)?;
            Ok(e.spend(id))
        })
    }

    /// Requests not yet waited for, and messages not yet out.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.requests.len() + self.queued
    }

    pub(super) fn is_complete(&self, id: u32) -> bool {
        match self.requests.get(id).map(|request| request.state) {
            Some(State::Sending | State::Posted | State::Filling) => false,
            Some(State::Claimed(kept)) => self.is_whole(kept),
            Some(State::Out | State::Done { .. }) | None => true,
        }
    }

    /// The message of a complete request, which is gone by that.
    fn spend(&mut self, id: u32) -> Vec<u8> {
        let request = self.requests.remove(id).expect("a live request");
        let (sequence, payload) = match request.state {
            State::Done { sequence } => (sequence, request.buffer),
            State::Claimed(kept) => {
                let message = self.take_unexpected(kept);
                (message.sequence, message.payload)
            }
            State::Out => return Vec::new(),
            State::Sending | State::Posted | State::Filling => {
                unreachable!("the wait ended, so the request is complete")
            }
        };
        if self.audit {
            self.hash_in(false, request.peer, request.label, sequence, &payload);
        }
        payload
    }

    fn request(&mut self, peer: Rank, label: Label, state: State) -> RequestId {
        self.serial += 1;
        let serial = self.serial;
        let id = self.requests.insert(Request { serial, peer, label, buffer: Vec::new(), state });
        RequestId { epoch: self.channels.epoch(), serial, id }
    }

    /// The request's number, if it is of this epoch and not spent.
    fn live(&self, request: RequestId) -> Result<u32> {
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
