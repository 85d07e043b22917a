//! One file of a version: whether it is what the manifest says, and written anew.
//!
//! Invariant: what is written has its own name until it was read back. Deliberately absent: which file,
//! and from which bytes.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};

use mainstay_ckpt::catalogue::Fault;
use mainstay_ckpt::fetch::Fetch;
use mainstay_ckpt::format::verify::{Seen, audit_shard};
use mainstay_ckpt::pack::audit_packed;
use mainstay_ckpt::{Expected, Manifest, ReadAt};
use mainstay_types::{DecodeError, Node, Rank, crc32c_append};

use super::{Held, Lost, UNTIL_WHOLE};
use crate::archive::Archive;
use crate::archive::file::ShardFile;
use crate::archive::verify::fault_of;
use crate::guard::Sources;

impl Archive {
    pub(super) fn check_shard(
        &self,
        name: &str,
        manifest: &Manifest,
        rank: Rank,
        tell: &mut dyn FnMut(u64),
    ) -> Result<(), Fault> {
        let entry = &manifest.ranks[rank.index()];
        let shard = self.stored(name, entry)?;
        let mut found = Ok(());
        let mut first = |seen| match seen {
            Seen::Bytes(bytes) => {
                tell(bytes);
                ControlFlow::Continue(())
            }
            Seen::Wrong(wrong) => {
                found = Err(fault_of(wrong.part, wrong.error, &shard));
                ControlFlow::Break(())
            }
        };
        let late = (entry.late_bytes, entry.late_crc);
        if audit_packed(&shard, &mut first).is_continue() {
            let expected = Expected::of(manifest, rank);
            let _first = audit_shard(&shard, &expected, late, &mut first);
        }
        found
    }

    pub(super) fn check_guard(
        &self,
        name: &str,
        manifest: &Manifest,
        node: Node,
        tell: &mut dyn FnMut(u64),
    ) -> Result<(), Fault> {
        let Some(layout) = &manifest.nodes else { return Ok(()) };
        let unreadable = |error: io::Error| Fault::Unreadable { why: error.to_string() };
        let path = self.path().join(name);
        let bytes = ShardFile::open(&path)?.bytes();
        let expected = layout.ring.held_bytes(node, &manifest.node_lengths());
        if bytes != expected {
            return Err(Fault::Length { bytes, expected });
        }
        let mut file = File::open(&path).map_err(unreadable)?;
        let (mut crc, mut buffer) = (0, vec![0; 1 << 20]);
        loop {
            match file.read(&mut buffer).map_err(unreadable)? {
                0 => break,
                count => {
                    tell(count as u64);
                    crc = crc32c_append(crc, &buffer[..count]);
                }
            }
        }
        let stored = layout.guard_crcs.get(node.index()).copied().unwrap_or(0);
        let what = "what a node holds for others";
        let wrong = DecodeError::Checksum { what, found: crc, stored };
        if crc == stored { Ok(()) } else { Err(Fault::Damaged(wrong.into())) }
    }

    pub(super) fn check_copy(&self, name: &str, manifest: &Manifest) -> Result<(), Fault> {
        match self.read_manifest(name, manifest.version)? == *manifest {
            true => Ok(()),
            false => {
                let why = "it is a copy of another manifest".to_owned();
                Err(Fault::Unreadable { why })
            }
        }
    }

    /// Writes a shard or a guard file anew beside its name, reads it back, and gives it its name.
    pub(super) fn rebuild(
        &self,
        manifest: &Manifest,
        lost: &Lost,
        fetch: Fetch,
        dry_run: bool,
    ) -> Result<(), String> {
        if dry_run {
            return Ok(());
        }
        let bytes = lost.held.rank().map(|rank| manifest.ranks[rank.index()].file_bytes());
        let fill = |file: File| -> io::Result<()> {
            let mut out = BufWriter::new(file);
            Sources::new(self.path(), manifest)
                .carry_out(fetch, &mut |bytes| out.write_all(bytes))?;
            let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            if let Some(bytes) = bytes {
                // Without the zeros up to the next page.
                file.set_len(bytes)?;
            }
            file.sync_all()
        };
        let check = |aside: &str| match lost.held {
            Held::Shard(rank, _) => self.check_shard(aside, manifest, rank, &mut |_| {}),
            Held::Guard(node) => self.check_guard(aside, manifest, node, &mut |_| {}),
            Held::Manifest | Held::Copy(_) => self.check_copy(aside, manifest),
        };
        self.replace(&lost.name, fill, check)
    }

    /// Writes a manifest, or a copy of it.
    pub(super) fn put_manifest(
        &self,
        manifest: &Manifest,
        name: &str,
        dry_run: bool,
    ) -> Result<(), String> {
        if dry_run {
            return Ok(());
        }
        let fill = |mut file: File| {
            file.write_all(&manifest.encode())?;
            file.sync_all()
        };
        self.replace(name, fill, |aside| self.check_copy(aside, manifest))
    }

    fn replace(
        &self,
        name: &str,
        fill: impl FnOnce(File) -> io::Result<()>,
        check: impl FnOnce(&str) -> Result<(), Fault>,
    ) -> Result<(), String> {
        let aside_name = format!("{name}{UNTIL_WHOLE}");
        let (path, aside) = (self.path().join(name), self.path().join(&aside_name));
        let above = path.parent().unwrap_or(self.path());
        let write = || -> io::Result<()> {
            if !above.exists() {
                DirBuilder::new().mode(0o700).create(above)?;
            }
            match fs::remove_file(&aside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut options = OpenOptions::new();
            fill(options.write(true).create_new(true).mode(0o600).open(&aside)?)
        };
        let whole = write().map_err(|error| error.to_string()).and_then(|()| {
            let is_not = |fault| format!("what came of it is not what was written: {fault}");
            check(&aside_name).map_err(is_not)
        });
        let named = whole.and_then(|()| {
            let sync = |path| File::open(path).and_then(|directory| directory.sync_all());
            let named = fs::rename(&aside, &path).and_then(|()| sync(above));
            named.and_then(|()| sync(self.path())).map_err(|error| error.to_string())
        });
        if named.is_err() {
            // What is left under this name is no file of a version, and the next start removes it.
            let _left = fs::remove_file(&aside);
        }
        named
    }
}
