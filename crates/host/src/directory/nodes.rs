//! Directories of nodes in a checkpoint directory.
//!
//! Invariant: one that was lost is made again by the next file in it, and its name is made durable with
//! those in it. Deliberately absent: what lies in them; `ckpt::format` says.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use mainstay_ckpt::parse_node;

use super::Directory;

/// The names in the directory of a node, each behind the directory's; `None` if `name` is none of them.
pub(crate) fn node_names(path: &Path, name: &str) -> io::Result<Option<Vec<String>>> {
    let node = path.join(name);
    if parse_node(name).is_none() || !node.is_dir() {
        return Ok(None);
    }
    let mut names = Vec::new();
    let entries = match fs::read_dir(node) {
        // It went meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(names)),
        entries => entries?,
    };
    for entry in entries {
        names.push(format!("{name}/{}", entry?.file_name().to_string_lossy()));
    }
    Ok(Some(names))
}

/// Where a file lies below a checkpoint directory.
pub(crate) fn located(path: &Path, name: &str) -> String {
    mainstay_ckpt::located(name, |place| path.join(place).exists())
}

impl Directory {
    /// Makes the directory of the node that a file lies in, if there is one and it is lost.
    pub(super) fn make_place(&self, name: &str) -> io::Result<()> {
        let Some((node, _)) = name.split_once('/') else { return Ok(()) };
        match DirBuilder::new().mode(0o700).create(self.path.join(node)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    /// Syncs the directories of nodes, and then the one that they lie in. One that was lost meanwhile has
    /// no names to be made durable.
    pub(crate) fn sync_names(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_name().to_str().and_then(parse_node).is_none() || !entry.path().is_dir() {
                continue;
            }
            match File::open(entry.path()).and_then(|node| node.sync_all()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.handle.sync_all()
    }
}
