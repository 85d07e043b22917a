//! Inputs that one rank loads for all.
//!
//! Invariant: at most one rank loads an input at a time, and a loaded one is never replaced.
//! Deliberately absent: what they contain.

use std::collections::BTreeMap;
use std::rc::Rc;

use mainstay_types::Rank;

use crate::shm::Blob;

#[derive(Debug)]
enum State {
    Loading(Rank),
    /// Its loader was interrupted; the next that asks loads.
    Abandoned,
    Ready(Rc<Blob>, u32),
}

/// What becomes of a question for an input.
#[derive(Debug)]
pub(crate) enum Asked {
    Load,
    Wait,
    Ready(Rc<Blob>, u32),
}

#[derive(Debug, Default)]
pub(crate) struct Inputs {
    states: BTreeMap<String, State>,
}

impl Inputs {
    pub(crate) fn ask(&mut self, rank: Rank, name: &str) -> Asked {
        match self.states.get(name) {
            Some(State::Ready(blob, crc)) => Asked::Ready(Rc::clone(blob), *crc),
            Some(State::Loading(loader)) if *loader != rank => Asked::Wait,
            _ => {
                self.states.insert(name.to_owned(), State::Loading(rank));
                Asked::Load
            }
        }
    }

    /// Keeps what was loaded; gives what all ranks are to see.
    pub(crate) fn loaded(&mut self, name: &str, blob: Blob, crc: u32) -> Rc<Blob> {
        if let Some(State::Ready(first, _)) = self.states.get(name) {
            return Rc::clone(first);
        }
        let blob = Rc::new(blob);
        self.states.insert(name.to_owned(), State::Ready(Rc::clone(&blob), crc));
        blob
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
        let first = inputs.loaded("m", Blob::create("t", &[b"one"]).unwrap(), 1);
        let again = inputs.loaded("m", Blob::create("t", &[b"two"]).unwrap(), 2);
        assert_eq!((&first[..], &again[..]), (&b"one"[..], &b"one"[..]));
        inputs.interrupted();
        assert!(matches!(inputs.ask(Rank(3), "m"), Asked::Ready(_, 1)));
    }
}
