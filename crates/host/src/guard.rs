//! The bytes of a version's nodes as its files have them: what a guard file is made of, and how a lost shard
//! comes back from others.
//!
//! Invariants: whatever is asked for comes in order and in pieces, so that memory is bounded; a piece
//! that cannot be read is an error and never zeros. Deliberately absent: which bytes of which nodes, which
//! `ckpt::fetch` says, and whether they are right, which checksums of the manifest say.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use mainstay_ckpt::Manifest;
use mainstay_ckpt::fetch::{Fetch, Place, Source};

/// Reads files of a version below a directory.
pub(crate) struct Sources<'a> {
    directory: &'a Path,
    manifest: &'a Manifest,
    guards: BTreeMap<u32, String>,
    files: BTreeMap<String, File>,
}

impl<'a> Sources<'a> {
    pub(crate) fn new(directory: &'a Path, manifest: &'a Manifest) -> Self {
        let guards = manifest.guard_names().map(|(node, name)| (node.0, name)).collect();
        Self { directory, manifest, guards, files: BTreeMap::new() }
    }

    /// Carries a fetch out and gives its bytes in the order of their places.
    pub(crate) fn carry_out(
        &mut self,
        fetch: Fetch,
        put: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let sums = fetch.sums().to_vec();
        let mut pieces: Vec<_> = fetch.collect();
        pieces.sort_by_key(|piece| piece.at);
        for piece in pieces {
            let mut inputs = vec![vec![0; piece.bytes]; piece.inputs.len()];
            for (input, source) in inputs.iter_mut().zip(&piece.inputs) {
                self.read(source, &mut input[..source.bytes])?;
            }
            let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
            let mut output = vec![0; piece.bytes];
            sums[piece.sum].apply(&inputs, &mut [&mut output]);
            put(&output)?;
        }
        Ok(())
    }

    fn read(&mut self, source: &Source, into: &mut [u8]) -> io::Result<()> {
        if source.place == Place::Held {
            let name = self.guards.get(&source.node.0).cloned();
            let name = name.ok_or_else(|| io::Error::other("its node holds nothing for others"))?;
            return self.file(&name)?.read_exact_at(into, source.at);
        }
        let (manifest, end) = (self.manifest, source.at + into.len() as u64);
        for (rank, range) in manifest.node_ranges(source.node) {
            // Behind the shard are zeros, as `into` has them.
            let shard = range.start + manifest.ranks[rank.index()].file_bytes();
            let (from, to) = (range.start.max(source.at), shard.min(end));
            if from < to {
                let place = |at: u64| usize::try_from(at - source.at).map_err(io::Error::other);
                let part = &mut into[place(from)?..place(to)?];
                let name = manifest.shard_name(rank);
                self.file(&name)?.read_exact_at(part, from - range.start)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, name: &str) -> io::Result<&File> {
        if !self.files.contains_key(name) {
            let mut options = OpenOptions::new();
            options.read(true).custom_flags(libc::O_NONBLOCK);
            let file = options.open(self.directory.join(name))?;
            if !file.metadata()?.is_file() {
                return Err(io::Error::other(format!("{name} is not a regular file")));
            }
            self.files.insert(name.to_owned(), file);
        }
        self.files.get(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
