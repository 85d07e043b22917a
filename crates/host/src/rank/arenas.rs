//! The arenas that a rank has mapped.
//!
//! Invariant: one memory is mapped once, however often its descriptor comes, so that pages stay
//! resident from capture to restore and on. Deliberately absent: who may overwrite which; the
//! supervisor's ledger tells by the slot it names.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::shm::Arena;

/// The mapped arenas: one for each slot, and others while a reader holds them.
#[derive(Debug)]
pub(crate) struct Arenas {
    known: Vec<(u64, Rc<Arena>)>,
    slots: Vec<Option<Rc<Arena>>>,
}

impl Arenas {
    /// Of a rank with so many slots.
    pub(crate) fn new(slots: u8) -> Self {
        Self { known: Vec::new(), slots: vec![None; usize::from(slots)] }
    }

    /// The slots of the rank.
    pub(crate) fn slots(&self) -> std::ops::Range<u8> {
        0..u8::try_from(self.slots.len()).unwrap_or(u8::MAX)
    }

    /// Maps the memory behind a descriptor, or finds its mapping.
    pub(crate) fn open(&mut self, fd: OwnedFd) -> io::Result<Rc<Arena>> {
        let stat = rustix::fs::fstat(&fd)?;
        if let Some((_, arena)) = self.known.iter().find(|(inode, _)| *inode == stat.st_ino) {
            return Ok(Rc::clone(arena));
        }
        self.trim();
        let bytes = u64::try_from(stat.st_size).map_err(io::Error::other)?;
        let arena = Rc::new(Arena::writable(fd, bytes)?);
        self.known.push((stat.st_ino, Rc::clone(&arena)));
        Ok(arena)
    }

    /// Whether nothing was captured or restored yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Puts an arena into a slot.
    pub(crate) fn place(&mut self, slot: u8, arena: Rc<Arena>) {
        if let Some(place) = self.slots.get_mut(usize::from(slot)) {
            *place = Some(arena);
        }
        self.trim();
    }

    /// Gives back the address space that no slot and no reader uses any more. Until all slots are
    /// known, what was restored from may become one.
    fn trim(&mut self) {
        if self.slots.iter().all(Option::is_some) {
            self.known.retain(|(_, arena)| Rc::strong_count(arena) > 1);
        }
    }

    /// The arena in a slot.
    pub(crate) fn slot(&self, slot: u8) -> Option<Rc<Arena>> {
        self.slots.get(usize::from(slot))?.clone()
    }
}
