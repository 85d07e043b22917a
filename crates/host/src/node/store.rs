//! What a node has in memory: arenas and late messages of its ranks, copies or parity of others.
//!
//! Invariant: whoever asks gets the bytes of the version asked for, or none. Deliberately absent: which
//! version may be overwritten; the launcher's ledger decides.

use std::collections::BTreeMap;
use std::ops::Range;
use std::os::fd::AsFd;

use mainstay_ckpt::fetch::{Layout, Of};
use mainstay_ckpt::{ReadAt, Residency, WriteAt};
use mainstay_types::wire::node::What;
use mainstay_types::{Rank, Version};

use super::link::Room;
use crate::shm::{Arena, Blob, allocate_arena};

/// What lies in a node.
#[derive(Debug, Default)]
pub(crate) struct Store {
    arenas: BTreeMap<(Rank, u8), Arena>,
    lates: BTreeMap<(Version, Rank), Blob>,
    layouts: BTreeMap<Version, Layout>,
    held: BTreeMap<Version, Vec<u8>>,
    /// Memory of what is held no more: its pages are there already.
    spare: Vec<u8>,
}

impl Store {
    /// The arena of a slot with at least so many bytes, made if there is none. One that grows keeps what
    /// lies in it: a version that was rebuilt lies in an arena that is no larger than it.
    pub(crate) fn arena(&mut self, rank: Rank, slot: u8, bytes: u64) -> Result<&Arena, String> {
        let why = |error| format!("no arena of {bytes} bytes for rank {rank}: {error}");
        let there = self.arenas.get(&(rank, slot));
        if there.is_none_or(|arena| arena.bytes() < bytes) {
            let (fd, room) = allocate_arena(bytes).map_err(why)?;
            if let Some(smaller) = there {
                let to = fd.try_clone().and_then(|fd| Arena::writable(fd, room)).map_err(why)?;
                let all = usize::try_from(smaller.bytes()).map_err(|error| error.to_string())?;
                smaller.copy_to(0, (&to, 0), all, 0).map_err(|error| error.to_string())?;
            }
            let arena = Arena::readable(fd, room).map_err(why)?;
            self.arenas.insert((rank, slot), arena);
        }
        Ok(&self.arenas[&(rank, slot)])
    }

    /// The arena of a slot, if it was made.
    pub(crate) fn slot(&self, rank: Rank, slot: u8) -> Option<&Arena> {
        self.arenas.get(&(rank, slot))
    }

    pub(crate) fn keep_late(&mut self, version: Version, rank: Rank, blob: Blob) {
        self.lates.insert((version, rank), blob);
    }

    pub(crate) fn late(&self, version: Version, rank: Rank) -> Option<&Blob> {
        self.lates.get(&(version, rank))
    }

    /// Where parts of a version lie in the bytes of this node.
    pub(crate) fn lay_out(&mut self, version: Version, layout: Layout) {
        self.layouts.insert(version, layout);
    }

    pub(crate) fn knows(&self, version: Version) -> bool {
        self.layouts.contains_key(&version)
    }

    pub(crate) fn holds(&self, version: Version) -> bool {
        self.held.contains_key(&version)
    }

    pub(crate) fn hold(&mut self, version: Version, bytes: Vec<u8>) {
        self.held.insert(version, bytes);
    }

    /// Lets go of what lies beside arenas.
    pub(crate) fn free(&mut self, version: Version) {
        self.lates.retain(|(of, _), _| *of != version);
        self.layouts.remove(&version);
        if let Some(held) = self.held.remove(&version) {
            self.spare = held;
        }
    }

    /// Memory of so many bytes, whatever they are, or why there is none.
    pub(crate) fn room(&mut self, bytes: usize) -> Result<Vec<u8>, String> {
        let mut room = std::mem::take(&mut self.spare);
        if room.len() < bytes {
            // None of it is worth a copy.
            room = zeros(bytes)?;
        }
        room.truncate(bytes);
        Ok(room)
    }

    /// Fills a room with bytes of a version.
    pub(crate) fn put(
        &self,
        version: Version,
        what: What,
        at: u64,
        room: &mut Room<'_>,
    ) -> Result<(), String> {
        match what {
            What::Own => {
                let layout = self.layouts.get(&version);
                let layout = layout.ok_or_else(|| format!("version {version} is not known"))?;
                let bytes = room.left();
                for (of, range, place) in layout.within(at..at.saturating_add(bytes as u64)) {
                    zeros_to(room, bytes - place)?;
                    let bytes = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
                    match of {
                        Of::Image(rank, slot) => {
                            self.put_image(rank, slot, range.start, bytes, room)
                        }
                        Of::Late(rank) => self.put_late(version, rank, range.start, bytes, room),
                    }?;
                }
                zeros_to(room, 0)
            }
            What::Held => {
                let held = self.held.get(&version);
                let held = held.ok_or_else(|| format!("nothing is held of version {version}"))?;
                room.put(part(held, at, room.left())?)
            }
            What::Image(rank, slot) => self.put_image(rank, slot, at, room.left(), room),
            What::Late(rank) => self.put_late(version, rank, at, room.left(), room),
        }
    }

    fn put_image(
        &self,
        rank: Rank,
        slot: u8,
        at: u64,
        bytes: usize,
        room: &mut Room<'_>,
    ) -> Result<(), String> {
        let arena = self.slot(rank, slot);
        let arena = arena.ok_or_else(|| format!("rank {rank} has no arena {slot} here"))?;
        room.put_from(arena, at, bytes)
    }

    fn put_late(
        &self,
        version: Version,
        rank: Rank,
        at: u64,
        bytes: usize,
        room: &mut Room<'_>,
    ) -> Result<(), String> {
        let late = self.late(version, rank);
        let none = || format!("no late messages of rank {rank} for version {version} are here");
        room.put(part(late.ok_or_else(none)?, at, bytes)?)
    }
}

/// Fills a room with zeros until so many bytes are left.
fn zeros_to(room: &mut Room<'_>, left: usize) -> Result<(), String> {
    const ZEROS: [u8; 4096] = [0; 4096];
    while room.left() > left {
        room.put(&ZEROS[..ZEROS.len().min(room.left() - left)])?;
    }
    Ok(())
}

fn part(of: &[u8], at: u64, bytes: usize) -> Result<&[u8], String> {
    let at = usize::try_from(at).unwrap_or(usize::MAX);
    let part = of.get(at..at.saturating_add(bytes));
    part.ok_or_else(|| "they lie beyond the end".to_owned())
}

/// Parts of this node that are put together again.
#[derive(Debug)]
pub(crate) struct Rebuilt {
    layout: Layout,
    /// The arenas, mapped to be written.
    arenas: BTreeMap<(Rank, u8), Arena>,
    lates: BTreeMap<Rank, Vec<u8>>,
}

impl Rebuilt {
    /// Room for the parts of these ranks.
    pub(crate) fn new(
        store: &mut Store,
        layout: Layout,
        parts: &[mainstay_types::wire::node::Part],
        ranks: &[Rank],
    ) -> Result<Self, String> {
        let mut this = Self { layout, arenas: BTreeMap::new(), lates: BTreeMap::new() };
        for part in parts.iter().filter(|part| ranks.contains(&part.rank)) {
            let arena = store.arena(part.rank, part.slot, part.image_bytes)?;
            let fd = arena.as_fd().try_clone_to_owned().map_err(|error| error.to_string())?;
            let writable = Arena::writable(fd, arena.bytes()).map_err(|error| error.to_string())?;
            this.arenas.insert((part.rank, part.slot), writable);
            let bytes = usize::try_from(part.late_bytes).map_err(|error| error.to_string())?;
            this.lates.insert(part.rank, zeros(bytes)?);
        }
        Ok(this)
    }

    /// Takes a piece of the node's bytes.
    pub(crate) fn put(&mut self, at: u64, bytes: &[u8]) {
        for (of, Range { start, end }, place) in self.layout.within(at..at + bytes.len() as u64) {
            let part = &bytes[place..place + usize::try_from(end - start).unwrap_or(0)];
            match of {
                Of::Image(rank, slot) => {
                    if let Some(arena) = self.arenas.get(&(rank, slot)) {
                        let mut arena: &Arena = arena;
                        arena.write_at(start, part, Residency::Cached);
                    }
                }
                Of::Late(rank) => {
                    let late = self.lates.get_mut(&rank);
                    let start = usize::try_from(start).unwrap_or(usize::MAX);
                    if let Some(room) =
                        late.and_then(|late| late.get_mut(start..start + part.len()))
                    {
                        room.copy_from_slice(part);
                    }
                }
            }
        }
    }

    /// All is there.
    pub(crate) fn finish(self, store: &mut Store, version: Version) -> Result<(), String> {
        for (rank, late) in self.lates.into_iter().filter(|(_, late)| !late.is_empty()) {
            let blob = Blob::create("mainstay-late", &[&late]);
            store.keep_late(version, rank, blob.map_err(|error| error.to_string())?);
        }
        Ok(())
    }
}

/// So many zero bytes, or why there are none.
fn zeros(bytes: usize) -> Result<Vec<u8>, String> {
    let mut zeros = Vec::new();
    let reserved = zeros.try_reserve_exact(bytes);
    reserved.map_err(|_| format!("there is no memory for {bytes} bytes"))?;
    zeros.resize(bytes, 0);
    Ok(zeros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arena_that_grows_keeps_what_lies_in_it() {
        let mut store = Store::default();
        let image = vec![7; 5000];
        {
            let small = store.arena(Rank(0), 1, 5000).unwrap();
            let fd = small.as_fd().try_clone_to_owned().unwrap();
            let mut small: &Arena = &Arena::writable(fd, small.bytes()).unwrap();
            small.write_at(0, &image, Residency::Cached);
        }
        let large = store.arena(Rank(0), 1, 70_000).unwrap();
        assert!(large.bytes() >= 70_000);
        let mut read = vec![0; 5000];
        large.read_at(0, &mut read, Residency::Cached).unwrap();
        assert_eq!(read, image);
    }
}
