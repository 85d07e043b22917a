//! What arenas take of memory: refused before they are made, told before the first version.
//!
//! Invariants: a rank is refused with what is needed and what there is; all of its arenas are counted
//! before the first of them is given. Deliberately absent: who may overwrite which arena.

use mainstay_types::Rank;

use super::Supervisor;
use super::config::mib;
use crate::procfs;

impl Supervisor<'_> {
    /// Why a rank cannot have an arena of so many bytes in this place.
    pub(super) fn lacks_memory(&self, rank: Rank, place: usize, bytes: u64) -> Option<String> {
        let each = u64::from(self.plan.config.storage.arenas);
        let mend = match each {
            1 => "protect less, or run on fewer ranks",
            _ => "protect less, run on fewer ranks, or give --ckpt-memory 1x",
        };
        let of_rank = |i: usize| {
            let largest = self.arena_bytes(i).into_iter().flatten().max();
            let asked = if i == rank.index() { bytes } else { 0 };
            largest.unwrap_or(0).max(asked).saturating_mul(each)
        };
        let all = (0..self.members.len()).map(of_rank).fold(0, u64::saturating_add);
        if let Some(limit) = self.plan.arenas_limit.filter(|limit| *limit < all) {
            return Some(format!(
                "rank {rank} protects {bytes} bytes: with it the arenas of all ranks take {}, and \
                 --ckpt-memory allows {}; {mend}",
                mib(all),
                mib(limit)
            ));
        }
        // Those that are there and large enough have their memory already.
        let places = self.arena_bytes(rank.index()).into_iter().take(self.plan.arenas());
        let lacks = places
            .enumerate()
            .filter(|(i, there)| *i == place || there.is_none_or(|there| there < bytes));
        let needed = bytes.saturating_mul(lacks.count().max(1) as u64);
        let available = procfs::memory_available().filter(|available| *available < needed)?;
        let arenas = if each == 1 { "an arena" } else { "two arenas" };
        Some(format!(
            "rank {rank} protects {bytes} bytes and needs {needed} of memory for {arenas}, and \
             {available} are available; {mend}"
        ))
    }

    /// How many arenas there are, and their bytes.
    pub(super) fn arenas(&self) -> (usize, u64) {
        let arenas = (0..self.members.len()).flat_map(|i| self.arena_bytes(i)).flatten();
        arenas.fold((0, 0), |(count, sum), bytes| (count + 1, bytes.saturating_add(sum)))
    }

    /// Bytes of a rank's arenas, here or in its node.
    pub(super) fn arena_bytes(&self, i: usize) -> [Option<u64>; 2] {
        match &self.versions.nodes {
            Some(nodes) => nodes.arena_bytes(self.members[i].rank),
            None => self.members[i].arenas.each_ref().map(|arena| Some(arena.as_ref()?.bytes)),
        }
    }

    /// Tells once, before the first version, what arenas take.
    pub(super) fn tell_memory(&mut self) {
        if !self.versions.has_all_arenas_now() {
            return;
        }
        let (count, bytes) = self.arenas();
        if count == 0 {
            return;
        }
        let limit = match self.plan.arenas_limit {
            Some(limit) => format!("; --ckpt-memory allows {}", mib(limit)),
            None => String::new(),
        };
        let wait = match self.plan.config.storage.arenas {
            1 => {
                "; with one a rank, a capture waits until the version before it is on disk or not \
                  needed"
            }
            _ => "",
        };
        self.note(format!("checkpoints take {} in {count} arenas{limit}{wait}", mib(bytes)));
    }
}
