//! Where a rank's part of a version lies while it is written to disk: in this process, or in a node.
//!
//! Invariant: a node that does not answer costs the version, after a deadline, and not the thread.
//! Deliberately absent: formats.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mainstay_ckpt::{RankEntry, ReadAt, Residency, Unreadable};
use mainstay_types::wire::node::What;
use mainstay_types::{Node, Rank, Version, crc32c};

use crate::node::link::Link;
use crate::shm::Blob;
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

impl Part {
    /// Writes late messages, compared with their checksum.
    pub(crate) fn write_late(&self, entry: &RankEntry, file: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Here(_, None) => Err(io::Error::other("its late messages are gone")),
            Self::Here(_, Some(late)) => file.write_all(late),
            Self::There(part) => {
                let bytes = usize::try_from(entry.late_bytes).map_err(io::Error::other)?;
                let mut late = vec![0; bytes];
                part.read(What::Late(part.rank), 0, &mut late)?;
                if crc32c(&late) != entry.late_crc {
                    return Err(io::Error::other("late messages changed after they were captured"));
                }
                file.write_all(&late)
            }
        }
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
            let why = |error| io::Error::other(format!("node {node} gives no bytes: {error}"));
            fetched.map_err(why)?;
            at += piece.len() as u64;
        }
        Ok(())
    }
}

impl ReadAt for RemotePart {
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
