//! Inputs that rank 0 loads for all.
//!
//! Invariant: none but rank 0 loads, as it alone has the launcher's standard input, and a loaded
//! input is never replaced. Deliberately absent: what they contain.

use std::collections::BTreeMap;
use std::sync::Arc;

use mainstay_types::Rank;

use crate::shm::Blob;

/// The rank that loads.
pub(crate) const LOADER: Rank = Rank(0);

/// What becomes of a question for an input.
#[derive(Debug)]
pub(crate) enum Asked {
    Load,
    Wait,
    Ready(Arc<Blob>, u32),
}

#[derive(Debug, Default)]
pub(crate) struct Inputs {
    ready: BTreeMap<String, (Arc<Blob>, u32)>,
}

impl Inputs {
    pub(crate) fn ask(&self, rank: Rank, name: &str) -> Asked {
        match self.ready.get(name) {
            Some((blob, crc)) => Asked::Ready(Arc::clone(blob), *crc),
            None if rank == LOADER => Asked::Load,
            None => Asked::Wait,
        }
    }

    /// Keeps what was loaded, if it passes `check`; gives what all ranks are to see, with its CRC.
    ///
    /// A loader that was interrupted may hand in as well, before or after it is asked again: the
    /// first to come counts, and others are neither checked nor seen.
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
        if let Some((first, crc)) = self.ready.get(name) {
            return Ok((Arc::clone(first), *crc));
        }
        let blob = Arc::new(blob);
        check(&blob)?;
        self.ready.insert(name.to_owned(), (Arc::clone(&blob), crc));
        Ok((blob, crc))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rank_0_loads_whoever_comes_first_and_what_is_loaded_stays() {
        let mut inputs = Inputs::default();
        assert!(matches!(inputs.ask(Rank(1), "m"), Asked::Wait));
        assert!(matches!(inputs.ask(Rank(0), "m"), Asked::Load));
        assert!(matches!(inputs.ask(Rank(2), "m"), Asked::Wait));
        // It is interrupted, or dies, and comes again.
        assert!(matches!(inputs.ask(Rank(0), "m"), Asked::Load));
        let blob = |bytes: &[u8]| Blob::create("t", &[bytes]).unwrap();
        let refused = inputs.loaded("m", blob(b"bad"), 3, |_| Err("other bytes".to_owned()));
        assert_eq!(refused.unwrap_err(), "other bytes");
        let (first, crc) = inputs.loaded("m", blob(b"one"), 1, |_| Ok(())).unwrap();
        assert_eq!((&first[..], crc), (&b"one"[..], 1));
        // The loader that was interrupted hands in other bytes: nobody minds, nobody sees them.
        let unchecked = |_: &Arc<Blob>| unreachable!("there is one already");
        let (again, crc) = inputs.loaded("m", blob(b"two"), 2, unchecked).unwrap();
        assert_eq!((&again[..], crc), (&b"one"[..], 1));
        assert!(matches!(inputs.ask(Rank(3), "m"), Asked::Ready(_, 1)));
    }
}
