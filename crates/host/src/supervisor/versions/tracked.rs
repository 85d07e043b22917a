//! What ranks say of captures that were to copy only what was written.
//!
//! Invariant: why a rank copies more than it was to is told once for each rank and reason. Deliberately
//! absent: what is copied; each rank finds that out.

use std::collections::BTreeSet;

use mainstay_types::event::Event;
use mainstay_types::{Rank, Tracked, Version};

use super::Versions;

/// Reasons of a rank that are told, at most.
const REASONS_MAX: usize = 4;

impl Versions {
    /// A rank has said what it copied for a version.
    pub(super) fn tracked(
        &mut self,
        rank: Rank,
        version: Version,
        tracked: &Tracked,
    ) -> Vec<Event> {
        let (copied, all) = self.memory.entry(version).or_default().copied.get_or_insert((0, 0));
        *copied = copied.saturating_add(tracked.copied_bytes);
        *all = all.saturating_add(tracked.bytes);
        let Tracked { missed, why, .. } = tracked;
        if why.is_empty() || !self.copying_all.is_new(rank, why) {
            return Vec::new();
        }
        let text = match missed {
            0 => format!("rank {rank} copies more than what was written: {why}"),
            missed => format!(
                "rank {rank} found {missed} chunks changed that had not been written, copied them, and \
                 copies everything from now on: its memory or --track-writes cannot be trusted; run \
                 without it, and test the memory"
            ),
        };
        vec![Event::Note { text }]
    }
}

/// Reasons for copying everything that were told.
#[derive(Debug, Default)]
pub(super) struct CopyingAll(BTreeSet<(Rank, String)>);

impl CopyingAll {
    fn is_new(&mut self, rank: Rank, why: &str) -> bool {
        let told = self.0.iter().filter(|(of, _)| *of == rank).count();
        told < REASONS_MAX && self.0.insert((rank, why.to_owned()))
    }
}
