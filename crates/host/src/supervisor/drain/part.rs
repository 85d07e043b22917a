//! Where a rank's part of a version lies while it is written to disk: in this process, or in a node.
//!
//! Invariant: a node that does not answer costs the version, after a deadline, and not the thread.
//! Deliberately absent: formats.

use std::io;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mainstay_ckpt::{RankEntry, ReadAt, Residency, Unreadable};
use mainstay_types::wire::node::What;
use mainstay_types::{Node, Rank, Version, crc32c};

use crate::node::link::Link;
use crate::shm::{Arena, Blob};
use crate::supervisor::member::ArenaMemory;

/// A piece of memory comes within this time, or its node is as good as lost.
const PIECE_WITHIN: Duration = Duration::from_secs(30);

/// A rank's image and its late messages.
#[derive(Debug)]
pub(crate) enum Part {
    /// In this process.
    Here(ArenaMemory, Option<Arc<Blob>>),
    /// In a node.
    There(RemotePart),
}

/// A line to a node, with the number of the last question.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) node: Node,
    pub(crate) link: Mutex<(Link, u32)>,
    /// Why it gave no bytes when it was asked last.
    pub(crate) failed: Mutex<Option<String>>,
}

/// A part in a node.
#[derive(Debug)]
pub(crate) struct RemotePart {
    pub(crate) remote: Arc<Remote>,
    pub(crate) rank: Rank,
    pub(crate) slot: u8,
    pub(crate) version: Version,
    pub(crate) image_bytes: u64,
}

/// Late messages.
pub(crate) enum Late<'a> {
    Here(&'a [u8]),
    There(Vec<u8>),
}

impl Deref for Late<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Here(bytes) => bytes,
            Self::There(bytes) => bytes,
        }
    }
}

impl Part {
    /// The image's memory, mapped if it lies in this process.
    pub(crate) fn image(&self) -> io::Result<Box<dyn ReadAt + '_>> {
        Ok(match self {
            Self::Here(arena, _) => Box::new(Arena::readable(arena.fd.try_clone()?, arena.bytes)?),
            Self::There(remote) => Box::new(remote),
        })
    }

    /// Why its node gave no bytes, if it did not: that is no fault of what is written to.
    pub(crate) fn failed(&self) -> Option<String> {
        let Self::There(part) = self else { return None };
        part.remote.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The late messages, if there are any; from a node, compared with their checksum.
    pub(crate) fn late(&self, entry: &RankEntry) -> io::Result<Option<Late<'_>>> {
        if entry.late_bytes == 0 {
            return Ok(None);
        }
        Ok(Some(match self {
            Self::Here(_, None) => return Err(io::Error::other("its late messages are gone")),
            Self::Here(_, Some(late)) => Late::Here(late),
            Self::There(part) => {
                let bytes = usize::try_from(entry.late_bytes).map_err(io::Error::other)?;
                let mut late = vec![0; bytes];
                part.read(What::Late(part.rank), 0, &mut late)?;
                if crc32c(&late) != entry.late_crc {
                    return Err(io::Error::other("late messages changed after they were captured"));
                }
                Late::There(late)
            }
        }))
    }
}

impl RemotePart {
    fn read(&self, what: What, mut at: u64, into: &mut [u8]) -> io::Result<()> {
        let mut link = self.remote.link.lock().unwrap_or_else(PoisonError::into_inner);
        let (link, number) = &mut *link;
        for piece in into.chunks_mut(link.piece_bytes()) {
            *number = number.wrapping_add(1);
            let fetched = link.fetch(*number, (self.version, what), at, piece, PIECE_WITHIN);
            let node = self.remote.node;
            let failed = fetched.err().map(|error| format!("node {node} gives no bytes: {error}"));
            let mut last = self.remote.failed.lock().unwrap_or_else(PoisonError::into_inner);
            last.clone_from(&failed);
            if let Some(why) = failed {
                return Err(io::Error::other(why));
            }
            at += piece.len() as u64;
        }
        Ok(())
    }
}

impl ReadAt for &RemotePart {
    fn bytes(&self) -> u64 {
        self.image_bytes
    }

    fn read_at(&self, at: u64, into: &mut [u8], _: Residency) -> Result<u32, Unreadable> {
        let read = self.read(What::Image(self.rank, self.slot), at, into);
        let bytes = into.len() as u64;
        read.map_err(|error| Unreadable { at, bytes, why: error.to_string() })?;
        Ok(crc32c(into))
    }
}
