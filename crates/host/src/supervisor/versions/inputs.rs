//! What the versions of a job say of its inputs.
//!
//! Invariant: a manifest is published only with the digest of every input that the job has, and
//! that of a resumed job must be the same. Deliberately absent: handing inputs to ranks.

use std::sync::Arc;

use mainstay_ckpt::InputEntry;

use super::Versions;
use crate::shm::Blob;
use crate::supervisor::drain::UNKNOWN;

impl Versions {
    /// Takes note of an input; gives the reason if the resumed job had another.
    ///
    /// Length and CRC are compared at once. SHA-256 takes seconds for gigabytes, so the drain
    /// computes it, before it writes the first version: nothing of a job is published on bytes that
    /// it did not begin with.
    pub(crate) fn input_loaded(
        &mut self,
        name: &str,
        blob: &Arc<Blob>,
        crc: u32,
    ) -> Option<String> {
        let bytes = blob.len() as u64;
        match self.identity.inputs.iter().find(|input| input.name == name) {
            Some(was) if was.bytes != bytes || was.crc != crc => return Some(other_input(name)),
            Some(_) => {}
            None => {
                let sha256 = UNKNOWN;
                self.identity.inputs.push(InputEntry { name: name.to_owned(), bytes, crc, sha256 });
                self.identity.inputs.sort_by(|a, b| a.name.cmp(&b.name));
            }
        }
        self.inputs.insert(name.to_owned(), Arc::clone(blob));
        None
    }

    /// Keeps an input's digest; gives the reason if the resumed job had another.
    pub(crate) fn input_digest(&mut self, name: &str, sha256: [u8; 32]) -> Option<String> {
        self.inputs.remove(name);
        let entry = self.identity.inputs.iter_mut().find(|input| input.name == name)?;
        if entry.sha256 == UNKNOWN {
            entry.sha256 = sha256;
        }
        (entry.sha256 != sha256).then(|| other_input(name))
    }
}

fn other_input(name: &str) -> String {
    format!(
        "input `{name}` has other bytes than in the job that is resumed: give the input of that \
         job, or start without --resume"
    )
}
