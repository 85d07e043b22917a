//! Which message belongs to which receive: MPI's rule of source, context and tag, wildcards
//! included.
//!
//! Receives that wait are *posted*, messages that wait are *unexpected*; both are known here by
//! numbers of the caller's. Invariants: a message goes to the receive posted first among those
//! that it matches; a receive takes the message that came first among those that match it; of one
//! source and context messages come in the order in which they were sent (no overtaking).
//! Deliberately absent: payload; what makes a choice among sources repeatable (see
//! [`crate::journal`]).
//!
//! # Source
//! MPI: A Message-Passing Interface Standard 5.0, section 3.5.

use std::collections::VecDeque;

use mainstay_types::Rank;

/// What a message carries besides its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// The communicator.
    pub context: u32,
    /// The tag.
    pub tag: u32,
}

/// Set in the context of messages that belong to the prologue of a restored entry.
pub const PROLOGUE: u32 = 1 << 31;

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

/// What a receive asks for. `None` is any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The source.
    pub source: Option<Rank>,
    /// The communicator.
    pub context: u32,
    /// The tag.
    pub tag: Option<u32>,
}

impl Wanted {
    /// A message of this source and label, and nothing else.
    #[must_use]
    pub fn exactly(source: Rank, label: Label) -> Self {
        Self { source: Some(source), context: label.context, tag: Some(label.tag) }
    }

    /// The same in the prologue of a restored entry.
    #[must_use]
    pub fn in_prologue(self) -> Self {
        Self { context: self.context | PROLOGUE, ..self }
    }

    /// Whether a message is what it asks for.
    #[inline]
    #[must_use]
    pub fn matches(&self, source: Rank, label: Label) -> bool {
        self.source.is_none_or(|wanted| wanted == source) && self.takes(label)
    }

    #[inline]
    fn takes(&self, label: Label) -> bool {
        self.context == label.context && self.tag.is_none_or(|wanted| wanted == label.tag)
    }
}

#[derive(Clone, Copy, Debug)]
struct Posted {
    order: u64,
    wanted: Wanted,
    id: u32,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    /// When it came among all; one that is given back came before all others.
    order: i64,
    label: Label,
    id: u32,
}

/// The queues of one rank.
#[derive(Clone, Debug)]
pub struct Matching {
    /// Receives that name their source, by it.
    posted: Vec<VecDeque<Posted>>,
    /// Receives from any source.
    anyone: VecDeque<Posted>,
    unexpected: Vec<VecDeque<Kept>>,
    /// How many of these there are.
    kept: usize,
    posts: u64,
    first: i64,
    last: i64,
}

impl Matching {
    /// Empty queues for messages of `n` sources.
    #[must_use]
    pub fn new(n: u32) -> Self {
        Self {
            posted: Rank::all(n).map(|_| VecDeque::new()).collect(),
            anyone: VecDeque::new(),
            unexpected: Rank::all(n).map(|_| VecDeque::new()).collect(),
            kept: 0,
            posts: 0,
            first: 0,
            last: 0,
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.posted.iter_mut().for_each(VecDeque::clear);
        self.anyone.clear();
        self.unexpected.iter_mut().for_each(VecDeque::clear);
        self.kept = 0;
    }

    /// A message begins to arrive: takes the earliest posted receive that it matches.
    #[inline]
    pub fn arrive(&mut self, source: Rank, label: Label) -> Option<u32> {
        let named = earliest(&self.posted[source.index()], label);
        if self.anyone.is_empty() {
            let (at, _) = named?;
            return self.posted[source.index()].remove(at).map(|posted| posted.id);
        }
        let anyone = earliest(&self.anyone, label);
        let (queue, at) = match (named, anyone) {
            (Some((at, order)), other) if other.is_none_or(|(_, theirs)| order < theirs) => {
                (&mut self.posted[source.index()], at)
            }
            (_, other) => (&mut self.anyone, other?.0),
        };
        queue.remove(at).map(|posted| posted.id)
    }

    /// Keeps a message that no receive waits for.
    pub fn keep(&mut self, source: Rank, label: Label, id: u32) {
        self.last += 1;
        self.kept += 1;
        self.unexpected[source.index()].push_back(Kept { order: self.last, label, id });
    }

    /// Keeps a message before all others: a receive took it and failed.
    pub fn give_back(&mut self, source: Rank, label: Label, id: u32) {
        self.first -= 1;
        self.kept += 1;
        self.unexpected[source.index()].push_front(Kept { order: self.first, label, id });
    }

    /// A receive begins: takes the earliest unexpected message that it matches.
    #[inline]
    pub fn claim(&mut self, wanted: &Wanted) -> Option<u32> {
        let (source, at) = self.find(wanted)?;
        self.kept -= 1;
        self.unexpected[source].remove(at).map(|kept| kept.id)
    }

    /// The earliest unexpected message that a receive would match, left where it is.
    #[inline]
    #[must_use]
    pub fn has(&self, wanted: &Wanted) -> Option<u32> {
        let (source, at) = self.find(wanted)?;
        Some(self.unexpected[source][at].id)
    }

    #[inline]
    fn find(&self, wanted: &Wanted) -> Option<(usize, usize)> {
        match self.kept {
            0 => None,
            _ => self.search(wanted),
        }
    }

    fn search(&self, wanted: &Wanted) -> Option<(usize, usize)> {
        let first = |queue: &VecDeque<Kept>| queue.iter().position(|kept| wanted.takes(kept.label));
        if let Some(source) = wanted.source {
            return first(&self.unexpected[source.index()]).map(|at| (source.index(), at));
        }
        let each = self.unexpected.iter().enumerate();
        let firsts = each.filter_map(|(source, queue)| {
            let at = first(queue)?;
            Some((queue[at].order, (source, at)))
        });
        firsts.min().map(|(_, place)| place)
    }

    /// Posts a receive that no unexpected message matches.
    pub fn post(&mut self, wanted: Wanted, id: u32) {
        self.posts += 1;
        let posted = Posted { order: self.posts, wanted, id };
        match wanted.source {
            Some(source) => self.posted[source.index()].push_back(posted),
            None => self.anyone.push_back(posted),
        }
    }

    /// Takes a posted receive back; false if it is not posted any more.
    pub fn cancel(&mut self, id: u32) -> bool {
        let mut queues = self.posted.iter_mut().chain([&mut self.anyone]);
        queues.any(|queue| {
            let at = queue.iter().position(|posted| posted.id == id);
            at.and_then(|at| queue.remove(at)).is_some()
        })
    }

    /// Whether a message from this source may be what a posted receive waits for.
    #[inline]
    #[must_use]
    pub fn awaits(&self, source: Rank) -> bool {
        !self.posted[source.index()].is_empty() || !self.anyone.is_empty()
    }

    /// The unexpected messages, by source.
    pub fn unexpected(&self) -> impl Iterator<Item = u32> + '_ {
        self.unexpected.iter().flatten().map(|kept| kept.id)
    }
}

/// Place and order of the first posted receive that takes a message.
fn earliest(queue: &VecDeque<Posted>, label: Label) -> Option<(usize, u64)> {
    let at = queue.iter().position(|posted| posted.wanted.takes(label))?;
    Some((at, queue[at].order))
}
