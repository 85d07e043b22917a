//! Which message belongs to which receive: MPI's rule of source, context and tag.
//!
//! Receives that wait are *posted*, messages that wait are *unexpected*; both are known here by
//! numbers of the caller's. Invariant: of one source, context and tag the earliest message goes
//! to the earliest receive, whatever came first (no overtaking). Deliberately absent: payload,
//! and receives from any source; a wildcard would be one more list, merged by `order`.

use std::collections::VecDeque;

use mainstay_types::Rank;

/// What a receive names besides its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// The communicator.
    pub context: u32,
    /// The tag.
    pub tag: u32,
}

/// Set in the context of messages that belong to the prologue of a restored entry.
const PROLOGUE: u32 = 1 << 31;

impl Label {
    /// The same in the prologue of a restored entry, where it matches nothing of a version.
    #[must_use]
    pub fn in_prologue(self) -> Self {
        Self { context: self.context | PROLOGUE, ..self }
    }
}

/// Whether messages of this context belong to the prologue of a restored entry.
#[inline]
#[must_use]
pub fn is_prologue(context: u32) -> bool {
    context & PROLOGUE != 0
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    label: Label,
    id: u32,
}

/// The queues of one rank.
#[derive(Clone, Debug)]
pub struct Matching {
    posted: Vec<VecDeque<Entry>>,
    unexpected: Vec<VecDeque<Entry>>,
}

impl Matching {
    /// Empty queues for messages of `n` sources.
    #[must_use]
    pub fn new(n: u32) -> Self {
        Self {
            posted: Rank::all(n).map(|_| VecDeque::new()).collect(),
            unexpected: Rank::all(n).map(|_| VecDeque::new()).collect(),
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.posted.iter_mut().for_each(VecDeque::clear);
        self.unexpected.iter_mut().for_each(VecDeque::clear);
    }

    /// A message begins to arrive: takes the earliest posted receive that it matches.
    #[inline]
    pub fn arrive(&mut self, source: Rank, label: Label) -> Option<u32> {
        take(&mut self.posted[source.index()], label)
    }

    /// The earliest posted receive that a message would match, left where it is.
    #[inline]
    #[must_use]
    pub fn expects(&self, source: Rank, label: Label) -> Option<u32> {
        find(&self.posted[source.index()], label)
    }

    /// Keeps a message that no receive waits for.
    pub fn keep(&mut self, source: Rank, label: Label, id: u32) {
        self.unexpected[source.index()].push_back(Entry { label, id });
    }

    /// Keeps a message before all others of its source: a receive took it and failed.
    pub fn give_back(&mut self, source: Rank, label: Label, id: u32) {
        self.unexpected[source.index()].push_front(Entry { label, id });
    }

    /// A receive begins: takes the earliest unexpected message that it matches.
    #[inline]
    pub fn claim(&mut self, source: Rank, label: Label) -> Option<u32> {
        take(&mut self.unexpected[source.index()], label)
    }

    /// The earliest unexpected message that a receive would match, left where it is.
    #[inline]
    #[must_use]
    pub fn has(&self, source: Rank, label: Label) -> Option<u32> {
        find(&self.unexpected[source.index()], label)
    }

    /// Posts a receive that no unexpected message matches.
    pub fn post(&mut self, source: Rank, label: Label, id: u32) {
        self.posted[source.index()].push_back(Entry { label, id });
    }

    /// Whether receives from this source are posted.
    #[inline]
    #[must_use]
    pub fn awaits(&self, source: Rank) -> bool {
        !self.posted[source.index()].is_empty()
    }

    /// The unexpected messages, by source.
    pub fn unexpected(&self) -> impl Iterator<Item = u32> + '_ {
        self.unexpected.iter().flatten().map(|entry| entry.id)
    }
}

fn find(queue: &VecDeque<Entry>, label: Label) -> Option<u32> {
    queue.iter().find(|e| e.label == label).map(|e| e.id)
}

fn take(queue: &mut VecDeque<Entry>, label: Label) -> Option<u32> {
    let at = queue.iter().position(|entry| entry.label == label)?;
    queue.remove(at).map(|entry| entry.id)
}
