//! What has to come of a loss, from the axes and from what was told before it.
//!
//! Invariants: a function of values. The least good outcome that is right is computed from what the
//! level claims; a better one is right, too, unless it cannot be had by honest means. That a restore
//! is never a wrong one is told by the digest, which is compared whatever this says.

use super::axes::{Guard, Level, Loss, RANKS};
use super::outcome::Outcome;

/// What had been told when something was lost for the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// The newest version that all ranks had captured.
    pub(crate) committed: Option<u64>,
    /// The newest that other nodes had secured.
    pub(crate) guarded: Option<u64>,
    /// The newest on disk.
    pub(crate) published: Option<u64>,
}

/// What is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    /// No version older than this is gone on with; none if the beginning is right.
    pub(crate) least: Option<u64>,
    /// Whether memory has to give it.
    pub(crate) memory: bool,
    /// Whether memory cannot have it.
    pub(crate) disk: bool,
}

/// Whether what those nodes had can be given back by the others.
pub(crate) fn tolerated(guard: Guard, nodes: &[u64]) -> bool {
    match guard {
        _ if nodes.is_empty() => true,
        Guard::NoNodes | Guard::Nothing => false,
        Guard::Partner => nodes.iter().all(|node| !nodes.contains(&((node + 1) % RANKS))),
        Guard::Parity(parities) => nodes.len() as u64 <= parities,
    }
}

/// What has to come of a loss. `together` says that all of it struck at one moment.
pub(crate) fn expected(
    level: Level,
    memory: &str,
    loss: &Loss,
    told: Told,
    together: bool,
) -> Expected {
    let survives = !loss.launcher && tolerated(level.guard, &loss.nodes);
    if !survives {
        let disk = loss.launcher || together;
        return Expected { least: told.published, memory: false, disk };
    }
    // Where nodes guard each other, a version counts once that is done: its nodes may be lost next.
    let kept = match level.guard {
        Guard::Partner | Guard::Parity(_) => told.guarded,
        Guard::NoNodes | Guard::Nothing => told.committed,
    };
    // With one arena a capture that was cut short leaves what is on disk.
    if memory == "1x" {
        let least = if kept.is_some() { told.published } else { None };
        return Expected { least, memory: false, disk: false };
    }
    Expected { least: kept.max(told.published), memory: kept.is_some(), disk: false }
}

impl Expected {
    /// Judges the version that was gone on with and the level that gave it.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn judge(self, version: Option<u64>, from_memory: bool) -> Result<(), String> {
        if version < self.least {
            return Err(format!("goes on from {version:?} where {:?} was kept", self.least));
        }
        if self.memory && !from_memory {
            return Err(format!("restores {version:?} from disk where memory has it"));
        }
        if self.disk && from_memory {
            return Err(format!("restores {version:?} from memory that was lost"));
        }
        Ok(())
    }

    /// How a cell ended that was right.
    pub(crate) fn outcome(
        self,
        level: Level,
        version: Option<u64>,
        from_memory: bool,
        rebuilt: bool,
    ) -> Outcome {
        match (version, from_memory, level.guard) {
            (None, ..) => Outcome::Beginning,
            (_, true, Guard::Partner) if rebuilt => Outcome::Partner,
            (_, true, Guard::Parity(_)) if rebuilt => Outcome::Parity,
            (_, true, _) => Outcome::Memory,
            (_, false, _) => Outcome::DiskNewest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::axes::LEVELS;
    use super::*;

    #[test]
    fn a_partner_survives_losses_that_are_not_next_to_each_other_and_parity_any_so_many() {
        assert!(tolerated(Guard::Partner, &[0, 2]) && tolerated(Guard::Partner, &[1, 3]));
        assert!(!tolerated(Guard::Partner, &[0, 1]) && !tolerated(Guard::Partner, &[0, 3]));
        assert!(tolerated(Guard::Parity(2), &[0, 1]) && !tolerated(Guard::Parity(2), &[0, 1, 3]));
        assert!(tolerated(Guard::Nothing, &[]) && !tolerated(Guard::Nothing, &[2]));
    }

    #[test]
    fn what_is_kept_follows_from_the_level_and_the_loss() {
        let level = |name: &str| *LEVELS.iter().find(|level| level.name == name).unwrap();
        let told = Told { committed: Some(5), guarded: Some(4), published: Some(2) };
        let nodes = |nodes: &[u64]| Loss { ranks: vec![], nodes: nodes.to_vec(), launcher: false };
        let of = |name: &str, loss: &Loss| expected(level(name), "2x", loss, told, true);
        let memory = |least| Expected { least: Some(least), memory: true, disk: false };
        let disk = Expected { least: Some(2), memory: false, disk: true };
        assert_eq!(of("memory", &nodes(&[])), memory(5));
        assert_eq!(of("xor", &nodes(&[1])), memory(4));
        assert_eq!(of("xor", &nodes(&[1, 2])), disk);
        assert_eq!(of("directory", &nodes(&[1])), disk);
        let launcher = Loss { ranks: vec![], nodes: vec![], launcher: true };
        assert_eq!(of("parity:2", &launcher), disk);
        assert!(memory(4).judge(Some(3), true).is_err() && memory(4).judge(Some(5), true).is_ok());
        assert!(memory(4).judge(Some(5), false).is_err() && disk.judge(Some(2), true).is_err());
        assert!(disk.judge(None, false).is_err() && disk.judge(Some(3), false).is_ok());
    }
}
