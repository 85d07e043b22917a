//! Inputs that one rank loads for all.
//!
//! Invariant: at most one rank loads an input at a time, and a loaded one is never replaced.
//! Deliberately absent: what they contain.

use std::collections::BTreeMap;
use std::sync::Arc;

use mainstay_types::Rank;

use crate::shm::Blob;

#[derive(Debug)]
enum State {
    Loading(Rank),
    /// Its loader was interrupted; the next that asks loads.
    Abandoned,
    Ready(Arc<Blob>, u32),
}

/// What becomes of a question for an input.
#[derive(Debug)]
pub(crate) enum Asked {
    Load,
    Wait,
    Ready(Arc<Blob>, u32),
}

#[derive(Debug, Default)]
pub(crate) struct Inputs {
    states: BTreeMap<String, State>,
}

impl Inputs {
    pub(crate) fn ask(&mut self, rank: Rank, name: &str) -> Asked {
        match self.states.get(name) {
            Some(State::Ready(blob, crc)) => Asked::Ready(Arc::clone(blob), *crc),
            Some(State::Loading(loader)) if *loader != rank => Asked::Wait,
            _ => {
                self.states.insert(name.to_owned(), State::Loading(rank));
                Asked::Load
            }
        }
    }

    /// Keeps what was loaded, if it passes `check`; gives what all ranks are to see, with its CRC.
    ///
    /// A loader that was interrupted may hand in as well, before or after the one that took its
    /// place: the first to come counts, and others are neither checked nor seen.
    ///
    /// # Errors
    /// What `check` says.
    pub(crate) fn loaded(
        &mut self,
        name: &str,
        blob: Blob,
        crc: u32,
        check: impl FnOnce(&Arc<Blob>) -> Result<(), String>,
    ) -> Result<(Arc<Blob>, u32), String> {
        if let Some(State::Ready(first, crc)) = self.states.get(name) {
            return Ok((Arc::clone(first), *crc));
        }
        let blob = Arc::new(blob);
        check(&blob)?;
        self.states.insert(name.to_owned(), State::Ready(Arc::clone(&blob), crc));
        Ok((blob, crc))
    }

    /// The epoch was raised: whoever loads will come again, or will not.
    pub(crate) fn interrupted(&mut self) {
        self.abandon(|_| true);
    }

    /// A rank is gone.
    pub(crate) fn lost(&mut self, rank: Rank) {
        self.abandon(|loader| loader == rank);
    }

    fn abandon(&mut self, whose: impl Fn(Rank) -> bool) {
        for state in self.states.values_mut() {
            if matches!(state, State::Loading(loader) if whose(*loader)) {
                *state = State::Abandoned;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_loads_others_wait_and_a_lost_loader_is_replaced() {
        let mut inputs = Inputs::default();
        assert!(matches!(inputs.ask(Rank(1), "m"), Asked::Load));
        assert!(matches!(inputs.ask(Rank(0), "m"), Asked::Wait));
        inputs.lost(Rank(0));
        assert!(matches!(inputs.ask(Rank(2), "m"), Asked::Wait));
        inputs.lost(Rank(1));
        assert!(matches!(inputs.ask(Rank(2), "m"), Asked::Load));
        let blob = |bytes: &[u8]| Blob::create("t", &[bytes]).unwrap();
        let refused = inputs.loaded("m", blob(b"bad"), 3, |_| Err("other bytes".to_owned()));
        assert_eq!(refused.unwrap_err(), "other bytes");
        let (first, crc) = inputs.loaded("m", blob(b"one"), 1, |_| Ok(())).unwrap();
        assert_eq!((&first[..], crc), (&b"one"[..], 1));
        // The loader that was given up hands in other bytes: nobody minds, nobody sees them.
        let unchecked = |_: &Arc<Blob>| unreachable!("there is one already");
        let (again, crc) = inputs.loaded("m", blob(b"two"), 2, unchecked).unwrap();
        assert_eq!((&again[..], crc), (&b"one"[..], 1));
        inputs.interrupted();
        assert!(matches!(inputs.ask(Rank(3), "m"), Asked::Ready(_, 1)));
    }
}
