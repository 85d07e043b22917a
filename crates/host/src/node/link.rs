//! A line over which two processes hand each other bytes of versions: a socket, and a window of shared
//! memory with a half for what each asks for.
//!
//! Invariants: whoever asks chooses the place, and reads it only once the answer is there; every piece has a
//! checksum from the memory that it comes from; a window holds no more than a few pieces, so nothing of a
//! lost node lies in it that is worth having. Deliberately absent: which bytes, see `ckpt::fetch`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use mainstay_ckpt::fetch::piece_bytes;
use mainstay_ckpt::{ReadAt, Residency};
use mainstay_types::Version;
use mainstay_types::wire::node::{Talk, What};

use crate::shm::{Arena, allocate_window};
use crate::socket::Connection;
use crate::sys;

/// Pieces that each side may ask for at once.
pub(crate) const DEPTH: usize = 4;

/// Bytes of a window among so many nodes.
pub(crate) fn window_bytes(nodes: u32) -> usize {
    2 * DEPTH * piece_bytes(nodes)
}

/// One end.
#[derive(Debug)]
pub(crate) struct Link {
    connection: Connection,
    window: Arena,
    /// Where the half for what this end asks for begins, and the other's.
    mine: u64,
    theirs: u64,
    piece_bytes: usize,
}

/// The descriptors of an end, to be sent to whoever is to have it.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) socket: OwnedFd,
    pub(crate) window: OwnedFd,
}

/// Both ends of a new link among so many nodes; the first half is for what the first asks for.
pub(crate) fn ends(nodes: u32) -> io::Result<(End, End)> {
    let (one, other) = Connection::pair()?;
    let window = allocate_window(window_bytes(nodes))?;
    let again = window.try_clone()?;
    let one = End { socket: one.into_fd(), window };
    Ok((one, End { socket: other.into_fd(), window: again }))
}

impl Link {
    /// An end from its descriptors.
    pub(crate) fn of(end: End, first: bool, nodes: u32) -> io::Result<Self> {
        let bytes = window_bytes(nodes) as u64;
        let (mine, theirs) = if first { (0, bytes / 2) } else { (bytes / 2, 0) };
        let window = Arena::writable(end.window, bytes)?;
        let (connection, piece_bytes) = (Connection::of(end.socket), piece_bytes(nodes));
        Ok(Self { connection, window, mine, theirs, piece_bytes })
    }

    /// The most bytes that may be asked for at once.
    pub(crate) fn piece_bytes(&self) -> usize {
        self.piece_bytes
    }

    /// The next message of the other end; `None` if there is none, an error if there will be none.
    pub(crate) fn receive(&self) -> io::Result<Option<Talk>> {
        let bytes = match self.connection.try_receive() {
            Ok((bytes, _)) => bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Talk::decode(&bytes).map(Some).map_err(io::Error::other)
    }

    pub(crate) fn send(&self, message: &Talk) -> io::Result<()> {
        self.connection.send(&message.encode(), &[])
    }

    /// Where so many bytes go that the other end wants at a place.
    pub(crate) fn room(&self, place: u8, bytes: u32) -> io::Result<Room<'_>> {
        let left = usize::try_from(bytes).unwrap_or(usize::MAX);
        let at = self.offset(self.theirs, place, left)?;
        Ok(Room { window: &self.window, at, left, crc: 0 })
    }

    /// Takes bytes that have come; gives their CRC.
    pub(crate) fn take(&self, place: u8, into: &mut [u8]) -> io::Result<u32> {
        let at = self.offset(self.mine, place, into.len())?;
        self.window.read_at(at, into, Residency::Cached).map_err(io::Error::other)
    }

    /// Where a piece lies; the other end's word is not believed.
    fn offset(&self, half: u64, place: u8, bytes: usize) -> io::Result<u64> {
        if usize::from(place) >= DEPTH || bytes > self.piece_bytes {
            let why = format!("{bytes} bytes at place {place} are more than a window has");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok(half + u64::from(place) * self.piece_bytes as u64)
    }

    /// Asks for bytes and waits for them, at most so long; gives their CRC.
    pub(crate) fn fetch(
        &self,
        number: u32,
        (version, what): (Version, What),
        at: u64,
        into: &mut [u8],
        at_most: Duration,
    ) -> io::Result<u32> {
        let until = sys::now() + at_most;
        let bytes = u32::try_from(into.len()).map_err(io::Error::other)?;
        self.send(&Talk::Ask { number, place: 0, version, what, at, bytes })?;
        loop {
            match self.receive()? {
                Some(Talk::Data { number: answered, crc }) if answered == number => {
                    if self.take(0, into)? != crc {
                        return Err(io::Error::other(
                            "bytes changed on their way between processes",
                        ));
                    }
                    return Ok(crc);
                }
                Some(Talk::Lacks { number: answered, why }) if answered == number => {
                    return Err(io::Error::other(why));
                }
                Some(_) => {}
                None => {
                    let left = until.saturating_sub(sys::now());
                    if left.is_zero() {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    sys::wait_readable([self.as_fd()].into_iter(), left);
                }
            }
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

/// Room in a window, filled from its begin.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    window: &'a Arena,
    at: u64,
    left: usize,
    /// Of what is there.
    crc: u32,
}

impl Room<'_> {
    /// How many bytes are still to come.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// The checksum of all that was put.
    pub(crate) fn crc(&self) -> u32 {
        self.crc
    }

    /// Puts bytes behind those that are there.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.takes(bytes.len())?;
        self.crc = self.window.put(self.at, bytes, self.crc);
        self.at += bytes.len() as u64;
        self.left -= bytes.len();
        Ok(())
    }

    /// Puts bytes of an arena behind those that are there.
    pub(crate) fn put_from(&mut self, arena: &Arena, at: u64, bytes: usize) -> Result<(), String> {
        self.takes(bytes)?;
        let copied = arena.copy_to(at, (self.window, self.at), bytes, self.crc);
        self.crc = copied.map_err(|error| error.to_string())?;
        self.at += bytes as u64;
        self.left -= bytes;
        Ok(())
    }

    fn takes(&self, bytes: usize) -> Result<(), String> {
        let fits = bytes <= self.left;
        fits.then_some(()).ok_or_else(|| format!("{bytes} bytes are more than there is room for"))
    }
}
