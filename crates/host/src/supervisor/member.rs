//! What the supervisor holds of one rank.
//!
//! Invariant: what belongs to an incarnation is forgotten when the next one starts; arenas stay.
//! Deliberately absent: the rank's place in the recovery; `control` keeps that.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use mainstay_control::Hints;
use mainstay_types::{Incarnation, Rank};

use super::deaths::Lingering;
use super::process::Process;
use crate::socket::Connection;

/// An arena's memory, alive while a slot or a version needs it.
#[derive(Clone, Debug)]
pub(crate) struct ArenaMemory {
    pub(crate) fd: Arc<OwnedFd>,
    pub(crate) bytes: u64,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) rank: Rank,
    pub(crate) incarnation: Incarnation,
    pub(crate) token: [u8; 16],
    pub(crate) process: Option<Process>,
    pub(crate) connection: Option<Connection>,
    pub(crate) hints: Hints,
    /// The input it asked for and waits for.
    pub(crate) asks: Option<String>,
    /// The arenas of its two slots.
    pub(crate) arenas: [Option<ArenaMemory>; 2],
    /// What becomes of a wrapper whose program has ended.
    pub(crate) lingering: Option<Lingering>,
    /// Whether a person was told that it is there though it was killed.
    pub(crate) told_it_stays: bool,
}

impl Member {
    pub(crate) fn new(rank: Rank) -> Self {
        Self {
            rank,
            incarnation: Incarnation(0),
            token: [0; 16],
            process: None,
            connection: None,
            hints: Hints::default(),
            asks: None,
            arenas: [None, None],
            lingering: None,
            told_it_stays: false,
        }
    }

    /// Whether it has joined and its program has not ended.
    pub(crate) fn is_alive(&self) -> bool {
        self.joined() && self.process.as_ref().is_some_and(|process| !process.has_ended())
    }

    /// Whether it has said hello and is connected.
    pub(crate) fn joined(&self) -> bool {
        self.connection.is_some()
    }
}
