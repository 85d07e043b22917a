//! Where arriving messages go: the buffer of the call under way, that of a request, or our own.
//!
//! Invariant: a sink names memory with room for the whole message, found before its first byte is
//! copied. Deliberately absent: which sink a message gets; `pull` asks the matching.

use mainstay_comm::Message;
use mainstay_comm::layout::{Channel, Layout};
use mainstay_comm::matching::{Label, Wanted};
use mainstay_comm::ring::Consumer;
use mainstay_types::Rank;

use super::request::Request;
use super::room::Room;
use super::table::Table;

/// A rank's end of the channel from one source.
#[derive(Debug)]
pub(super) struct Inbound {
    pub(super) at: Channel,
    pub(super) ring: Consumer,
    /// Where the rest of a message goes of which a part is taken in.
    pub(super) sink: Option<Sink>,
    /// Whether its next message waits for memory.
    pub(super) held: bool,
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sink {
    /// Into the buffer of the call that waits for it.
    Target,
    /// Into that of a posted receive.
    Posted(u32),
    /// Into one of ours.
    Unexpected(u32),
}

/// A message that no receive waits for, whole or still arriving.
#[derive(Debug)]
pub(super) struct Unexpected {
    pub(super) message: Message,
    pub(super) whole: bool,
}

/// The receive of the call under way.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) wanted: Wanted,
    /// Source and label of its message, once one is found.
    pub(super) met: Option<(Rank, Label)>,
    pub(super) buffer: Buffer<'a>,
    pub(super) state: State,
}

/// Where the call wants its message.
#[derive(Debug)]
pub(super) enum Buffer<'a> {
    Fixed(&'a mut [u8]),
    Growing(&'a mut dyn Room),
}

/// How far the call's receive has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing of it is here.
    Waiting,
    /// It arrives in the call's buffer.
    Filling { sequence: u64, total: usize, got: usize },
    /// It is an unexpected message, claimed and not yet whole.
    Claimed(u32),
    /// It is in the call's buffer.
    Done { sequence: u64, total: usize },
    /// It does not fit, so many bytes.
    TooLong(u64),
}

impl Inbound {
    /// Those of rank `me`, by source.
    pub(super) fn all(layout: &Layout, me: Rank) -> Vec<Self> {
        let new = |from| Self {
            at: layout.channel(from, me),
            ring: Consumer::new(layout.ring_bytes()),
            sink: None,
            held: false,
        };
        Rank::all(layout.n()).map(new).collect()
    }
}

impl Unexpected {
    pub(super) fn restored(message: Message) -> Self {
        Self { message, whole: true }
    }
}

impl Buffer<'_> {
    /// The first `bytes` bytes; `None` if there is no room for them.
    pub(super) fn room(&mut self, bytes: usize) -> Option<&mut [u8]> {
        match self {
            Self::Fixed(buffer) => buffer.get_mut(..bytes),
            Self::Growing(buffer) => {
                buffer.fit(bytes);
                Some(buffer.bytes_mut())
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Fixed(buffer) => buffer.len(),
            Self::Growing(buffer) => buffer.bytes().len(),
        }
    }

    pub(super) fn all(&mut self) -> &mut [u8] {
        match self {
            Self::Fixed(buffer) => buffer,
            Self::Growing(buffer) => buffer.bytes_mut(),
        }
    }
}

/// The memory behind a sink.
#[inline]
pub(super) fn bytes_of<'b>(
    requests: &'b mut Table<Request>,
    unexpected: &'b mut Table<Unexpected>,
    target: &'b mut Option<Target<'_>>,
    sink: Sink,
) -> &'b mut [u8] {
    match sink {
        Sink::Target => {
            let target = target.as_mut().expect("a call leaves no target behind");
            target.buffer.all()
        }
        Sink::Posted(id) => requests.get_mut(id).expect("posted").buffer(),
        Sink::Unexpected(id) => &mut unexpected.get_mut(id).expect("kept").message.payload,
    }
}
