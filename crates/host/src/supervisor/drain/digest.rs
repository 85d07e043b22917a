//! Digests of the program and of inputs, computed once, beside the writing.
//!
//! Invariant: a manifest that names another digest than the bytes have is not written. Deliberately
//! absent: what a difference means for the job.

use std::fs::File;
use std::io;

use mainstay_ckpt::Manifest;
use mainstay_types::limits::CRC_CHUNK_BYTES;
use sha2::{Digest, Sha256};

use super::{Report, Worker};
use crate::shm::Blob;

/// The digest of an input before it is known.
pub(crate) const UNKNOWN: [u8; 32] = [0; 32];

impl Worker {
    /// Puts an input's digest into a manifest that does not have it.
    pub(super) fn input_digest(
        &mut self,
        manifest: &mut Manifest,
        name: &str,
        blob: &Blob,
    ) -> Result<(), String> {
        let digest = match self.inputs.get(name) {
            Some(known) => *known,
            None => {
                let mut sha = Sha256::new();
                for piece in blob.chunks(CRC_CHUNK_BYTES) {
                    self.go_on().map_err(|error| error.to_string())?;
                    sha.update(piece);
                }
                let digest = sha.finalize().into();
                self.inputs.insert(name.to_owned(), digest);
                self.report(Report::Input(name.to_owned(), digest));
                digest
            }
        };
        let inputs = &mut manifest.identity.inputs;
        match inputs.iter_mut().find(|input| input.name == name) {
            Some(entry) if entry.sha256 == UNKNOWN => entry.sha256 = digest,
            Some(entry) if entry.sha256 != digest => {
                return Err(format!("input `{name}` has other bytes than the job began with"));
            }
            Some(_) | None => {}
        }
        Ok(())
    }

    pub(super) fn program_digest(&mut self, program: &File) -> Result<[u8; 32], String> {
        if let Some(known) = self.program {
            return Ok(known);
        }
        let digest = digest_of(program).map_err(|e| format!("cannot read the program: {e}"))?;
        self.program = Some(digest);
        self.report(Report::Program(digest));
        Ok(digest)
    }
}

/// SHA-256 of a file's content, from its start.
pub(crate) fn digest_of(file: &File) -> io::Result<[u8; 32]> {
    use std::os::unix::fs::FileExt;
    let mut sha = Sha256::new();
    let mut buffer = vec![0; CRC_CHUNK_BYTES];
    let mut at = 0;
    loop {
        match file.read_at(&mut buffer, at)? {
            0 => return Ok(sha.finalize().into()),
            got => {
                sha.update(&buffer[..got]);
                at += got as u64;
            }
        }
    }
}
