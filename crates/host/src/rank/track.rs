//! Which parts of the fields a capture has to copy: what was written is asked of the system, field by
//! field, and what a slot still holds is left alone.
//!
//! Invariants: a field counts as unchanged only as far as its whole memory was watched since the last
//! capture, at the same address and with the same length; in any doubt it is copied whole. It is watched
//! before it is copied, so that a write behind the copy is told of at the next capture. Deliberately
//! absent: what follows from it for each slot; see [`Held`].

use std::ops::Range;
use std::rc::{Rc, Weak};

use mainstay_ckpt::Plan;
use mainstay_ckpt::dirty::{Held, Worth};
use mainstay_types::{Tracked, Tracking};

use crate::shm::Arena;
use crate::sys::{self, Watcher};

/// The least of a field that is watched. Below it the copy takes less time than to ask.
const WATCH_BYTES_MIN: usize = 1 << 20;
/// The same where it has to pay.
const WATCH_BYTES_MIN_AUTO: usize = 8 << 20;
/// The same where it is all about the check.
const WATCH_BYTES_MIN_CHECK: usize = 16 << 10;
/// Ranges that one line to the system watches; then it is opened anew, which forgets those that are no
/// field's any more.
const RANGES_MAX: usize = 256;

/// One field, as the program had it last.
#[derive(Debug, Default)]
struct Field {
    /// Address and length, while it is watched.
    watched: Option<(usize, usize)>,
    worth: Worth,
}

/// The memory of a slot, and the number that stands for it.
#[derive(Debug, Default)]
struct Memory {
    arena: Weak<Arena>,
    number: u64,
}

/// What is known of the fields of a rank.
#[derive(Debug)]
pub(super) struct Written {
    tracking: Tracking,
    /// `None` where there is none, and after it cannot be trusted any more.
    watcher: Option<Watcher>,
    ranges: usize,
    fields: Vec<Field>,
    held: Held,
    memories: Vec<Memory>,
    /// Whether memory is pinned, so that not all writes can be known of.
    pinned: bool,
    bytes: u64,
    why: String,
}

impl Written {
    /// Of a rank with so many slots; `None` if captures copy everything.
    pub(super) fn new(tracking: Tracking, slots: std::ops::Range<u8>) -> Option<Self> {
        if tracking == Tracking::Off {
            return None;
        }
        let memories = slots.clone().map(|_| Memory::default()).collect();
        let mut written = Self {
            tracking,
            watcher: None,
            ranges: 0,
            fields: Vec::new(),
            held: Held::new(slots.end, tracking == Tracking::Check),
            memories,
            pinned: false,
            bytes: 0,
            why: String::new(),
        };
        written.open();
        Some(written)
    }

    fn open(&mut self) {
        // Closed first: of two, the old one would still have the ranges.
        self.watcher = None;
        self.ranges = 0;
        match Watcher::open() {
            Ok(watcher) => self.watcher = Some(watcher),
            Err(error) => self.why = error.to_string(),
        }
    }

    /// An entry begins: what lies in the arenas is not what this rank put there last, or need not be.
    pub(super) fn forget(&mut self) {
        self.held.forget();
    }

    /// A capture into a slot begins.
    pub(super) fn begin(&mut self, slot: u8, arena: &Rc<Arena>, plan: &Plan) {
        let memory = &mut self.memories[usize::from(slot)];
        if !Weak::ptr_eq(&memory.arena, &Rc::downgrade(arena)) {
            *memory = Memory { arena: Rc::downgrade(arena), number: memory.number + 1 };
        }
        self.held.begin(slot, memory.number, plan);
        self.fields.resize_with(plan.fields().len(), Field::default);
        self.bytes = plan.data_bytes();
        if self.watcher.is_some() {
            self.why.clear();
            self.pinned = sys::pinned();
            if self.pinned {
                "memory is pinned (VmPin in /proc/self/status), which a device or io_uring may write"
                    .clone_into(&mut self.why);
            }
            if self.ranges > RANGES_MAX {
                self.open();
            }
        }
    }

    /// Finds out what was written of a field, which is copied next.
    pub(super) fn look(&mut self, i: usize, bytes: &[u8]) -> &mut Held {
        let place = (bytes.as_ptr() as usize, bytes.len());
        let least = match self.tracking {
            Tracking::Auto => WATCH_BYTES_MIN_AUTO,
            Tracking::Off | Tracking::On => WATCH_BYTES_MIN,
            Tracking::Check => WATCH_BYTES_MIN_CHECK,
        };
        let (field, held) = (&mut self.fields[i], &mut self.held);
        let before = field.watched.take();
        held.lies_at(i, place.0);
        let pages = whole_pages(place).filter(|pages| pages.len() >= least && !self.pinned);
        let (Some(pages), Some(watcher)) = (pages, &mut self.watcher) else {
            held.changed_all(i);
            return held;
        };
        if before == Some(place) {
            let inside = |at: usize| at - place.0;
            let (mut sum, mut runs) = (0, 0);
            let asked = watcher.written(&pages, |part| {
                sum += part.len();
                runs += 1;
                held.changed(i, inside(part.start)..inside(part.end));
            });
            if asked.is_ok() {
                held.changed(i, 0..inside(pages.start));
                held.changed(i, inside(pages.end)..place.1);
                let pays =
                    self.tracking != Tracking::Auto || field.worth.saw(sum, runs, pages.len());
                // What is not watched any more is copied whole at the next capture. Pages that stay
                // protected cost a fault each, and hide nothing.
                let _costs = if pays { Ok(()) } else { watcher.release(&pages) };
                field.watched = pays.then_some(place);
                return held;
            }
        }
        held.changed_all(i);
        if before.is_some_and(|before| before != place) && self.tracking == Tracking::Auto {
            // Two buffers that change places, for one.
            field.worth.pause();
        }
        if field.worth.may_watch() {
            self.ranges += 1;
            match watcher.watch(&pages) {
                Ok(()) => field.watched = Some(place),
                Err(error) => {
                    field.worth.pause();
                    self.why = format!("a field of {} bytes cannot be watched: {error}", place.1);
                }
            }
        }
        held
    }

    /// What the capture came to.
    pub(super) fn end(&mut self) -> Tracked {
        let missed = self.held.missed();
        if missed > 0 {
            // Whatever the reason: from here on everything is copied.
            self.watcher = None;
            "what had not been written had changed".clone_into(&mut self.why);
        }
        let why = self.why.clone();
        Tracked { copied_bytes: self.held.copied_bytes(), bytes: self.bytes, missed, why }
    }
}

/// The pages of which no byte is another's; `None` if there is none.
fn whole_pages((at, bytes): (usize, usize)) -> Option<Range<usize>> {
    let page = rustix::param::page_size();
    let (first, end) = (at.checked_next_multiple_of(page)?, (at + bytes) / page * page);
    (first < end).then_some(first..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_are_shared_with_others_are_left_out() {
        let page = rustix::param::page_size();
        assert_eq!(whole_pages((page, 2 * page)), Some(page..3 * page));
        assert_eq!(whole_pages((page + 16, 2 * page)), Some(2 * page..3 * page));
        assert_eq!(whole_pages((page + 16, page)), None);
        assert_eq!(whole_pages((page, 0)), None);
        assert_eq!(whole_pages((16, 1)), None);
    }
}
