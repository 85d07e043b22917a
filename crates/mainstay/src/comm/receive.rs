//! Receiving: from a rank or from any, of a tag or of any, and looking before.
//!
//! Invariant: who names its source gets the same message in every run; who takes [`Any`] gets what
//! came first, and after a failure what it had got before, where others may have seen the
//! consequences. Deliberately absent: sending.

use mainstay_host::endpoint::{Arrived, From as Wanted, Group};

use super::elements::Elements;
use super::{Comm, Request, whole};
use crate::{Plain, Result};

/// Any source, or any tag.
///
/// A program that takes messages as they come is no function of its input any more: it recovers to
/// a correct state, and may end with other bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Any;

/// From whom a message may be: a rank of the communicator, or [`Any`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source(Option<usize>);

impl From<usize> for Source {
    fn from(rank: usize) -> Self {
        Self(Some(rank))
    }
}

impl From<Any> for Source {
    fn from(Any: Any) -> Self {
        Self(None)
    }
}

/// Which tag a message may have: a number, or [`Any`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag(Option<u32>);

impl From<u32> for Tag {
    fn from(tag: u32) -> Self {
        Self(Some(tag))
    }
}

impl From<Any> for Tag {
    fn from(Any: Any) -> Self {
        Self(None)
    }
}

/// What is known of a message that was found or received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    source: usize,
    tag: u32,
    bytes: usize,
}

impl Status {
    /// What arrived, as a group numbers its ranks.
    pub(super) fn new(group: &Group, arrived: Arrived) -> Self {
        // Nobody else sends in its context.
        let source = group.place(arrived.source).unwrap_or(arrived.source);
        Self { source: source.index(), tag: arrived.tag, bytes: arrived.bytes }
    }

    /// The rank that sent it.
    #[must_use]
    pub fn source(&self) -> usize {
        self.source
    }

    /// Its tag.
    #[must_use]
    pub fn tag(&self) -> u32 {
        self.tag
    }

    /// How many elements it has.
    ///
    /// # Errors
    /// Its bytes are no whole number of them.
    pub fn count<T: Plain>(&self) -> Result<usize> {
        whole::<T>(self.bytes)
    }
}

impl Comm {
    /// Receives the next message of `source` with `tag` into the front of `data`; gives the number
    /// of elements.
    ///
    /// # Errors
    /// An interruption, a source that does not exist, a message longer than `data`, or one whose
    /// bytes are no whole number of elements.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> mainstay::Result<()> { mainstay::run(|job| {
    /// use mainstay::Any;
    /// let world = job.world();
    /// world.send(&[1.0_f64, 2.0], 0, 7)?;
    /// let mut data = [0.0; 4];
    /// assert_eq!(world.recv(&mut data, 0, 7)?, 2);
    /// world.send(&[3.0_f64], 0, 8)?;
    /// let status = world.recv_from(&mut data, Any, Any)?;
    /// assert_eq!((status.source(), status.tag(), status.count::<f64>()?), (0, 8, 1));
    /// # job.finish([0_u8]) }) }
    /// ```
    pub fn recv<T: Plain>(
        &self,
        data: &mut [T],
        source: impl Into<Source>,
        tag: impl Into<Tag>,
    ) -> Result<usize> {
        self.recv_from(data, source, tag)?.count::<T>()
    }

    /// As [`Comm::recv`]; tells whose message it was.
    ///
    /// # Errors
    /// As [`Comm::recv`].
    pub fn recv_from<T: Plain>(
        &self,
        data: &mut [T],
        source: impl Into<Source>,
        tag: impl Into<Tag>,
    ) -> Result<Status> {
        let wanted = self.wanted(source.into(), tag.into())?;
        let mut core = self.handle.communicating()?;
        let bytes = bytemuck::cast_slice_mut(data);
        let arrived = core.rank.endpoint().recv_from(wanted, self.context(), bytes)?;
        let status = Status::new(&self.group, arrived);
        status.count::<T>().map(|_| status)
    }

    /// Receives a message of any length.
    ///
    /// # Errors
    /// As [`Comm::recv`].
    pub fn recv_vec<T: Plain>(
        &self,
        source: impl Into<Source>,
        tag: impl Into<Tag>,
    ) -> Result<(Vec<T>, Status)> {
        let wanted = self.wanted(source.into(), tag.into())?;
        let mut core = self.handle.communicating()?;
        let mut room = Elements::over(Vec::new());
        let endpoint = core.rank.endpoint();
        let arrived = endpoint.recv_room_from(wanted, self.context(), &mut room)?;
        Ok((room.values()?, Status::new(&self.group, arrived)))
    }

    /// Sends to one rank and receives from one, perhaps another, with one tag; neither waits for
    /// the other. Gives the number of elements received.
    ///
    /// # Errors
    /// As [`Comm::send`] and [`Comm::recv`].
    pub fn send_recv<T: Plain>(
        &self,
        (data, destination): (&[T], usize),
        (room, source): (&mut [T], usize),
        tag: u32,
    ) -> Result<usize> {
        let (destination, source) = (self.peer(destination)?, self.peer(source)?);
        let mut core = self.handle.communicating()?;
        let send = (destination, bytemuck::cast_slice(data));
        let receive = (source, bytemuck::cast_slice_mut(room));
        whole::<T>(core.rank.endpoint().send_recv(send, receive, self.context(), tag)?)
    }

    /// Starts to receive the next message of `source` with `tag`; [`Request::wait`] gives it.
    ///
    /// # Errors
    /// As [`Comm::recv`].
    pub fn irecv<T: Plain>(
        &self,
        source: impl Into<Source>,
        tag: impl Into<Tag>,
    ) -> Result<Request<T>> {
        self.irecv_into(Vec::new(), source, tag)
    }

    /// As [`Comm::irecv`], into the memory of `buffer`. Its content does not matter; it comes back
    /// as long as the message, in the same memory if its capacity suffices and the message had not
    /// come before.
    ///
    /// # Errors
    /// As [`Comm::recv`]; `buffer` is gone then, and also if the request is cancelled.
    pub fn irecv_into<T: Plain>(
        &self,
        buffer: Vec<T>,
        source: impl Into<Source>,
        tag: impl Into<Tag>,
    ) -> Result<Request<T>> {
        let wanted = self.wanted(source.into(), tag.into())?;
        let mut core = self.handle.communicating()?;
        let room = Box::new(Elements::over(buffer));
        let id = core.rank.endpoint().irecv_room(wanted, self.context(), room)?;
        Ok(self.request(id))
    }

    /// Waits until a message is there that a receive would take, and leaves it.
    ///
    /// # Errors
    /// An interruption, or a source that does not exist.
    pub fn probe(&self, source: impl Into<Source>, tag: impl Into<Tag>) -> Result<Status> {
        let wanted = self.wanted(source.into(), tag.into())?;
        let mut core = self.handle.communicating()?;
        Ok(Status::new(&self.group, core.rank.endpoint().probe(wanted, self.context())?))
    }

    /// Looks whether a message is there that a receive would take, and leaves it.
    ///
    /// # Errors
    /// As [`Comm::probe`].
    pub fn iprobe(&self, source: impl Into<Source>, tag: impl Into<Tag>) -> Result<Option<Status>> {
        let wanted = self.wanted(source.into(), tag.into())?;
        let mut core = self.handle.communicating()?;
        let found = core.rank.endpoint().iprobe(wanted, self.context())?;
        Ok(found.map(|arrived| Status::new(&self.group, arrived)))
    }

    fn wanted(&self, Source(source): Source, Tag(tag): Tag) -> Result<Wanted> {
        Ok(Wanted { source: source.map(|rank| self.peer(rank)).transpose()?, tag })
    }
}
