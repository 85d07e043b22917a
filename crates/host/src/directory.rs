//! A job's checkpoint directory: opened, locked, read, and changed by the operations of a commit.
//!
//! Invariants: one live launcher a directory; its own entry is durable before anything is written
//! into it; nothing outside it is touched. Deliberately absent: which file operation comes next and
//! which version is written, trusted or pruned (`ckpt` decides), and what the bytes mean.

mod carry;
mod direct;
mod look;
mod mend;
mod nodes;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

pub(crate) use self::carry::Carrier;
pub(crate) use self::direct::{Direct, STAGING_BYTES, Spent, Staging};
pub(crate) use self::nodes::{located, node_names};

/// The lock file's name.
pub(crate) const LOCK: &str = "LOCK";

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another launcher lives on it.
    #[error(
        "checkpoint directory {path} is in use by process {holder}; wait for that job or give \
         another --ckpt-dir"
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Who holds it, as far as its lock file tells.
        holder: String,
    },
    /// The file system refused.
    #[error("{path}: cannot {action}: {source}; {mend}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
        /// What to do about it.
        mend: &'static str,
    },
}

fn mend(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room there or give another --ckpt-dir"
        }
        io::ErrorKind::FileTooLarge => {
            "raise the limit on the size of a file (ulimit -f) or give another --ckpt-dir"
        }
        io::ErrorKind::PermissionDenied => "give a --ckpt-dir that you may write",
        io::ErrorKind::ReadOnlyFilesystem => "give a --ckpt-dir on a writable file system",
        io::ErrorKind::NotFound => "it is missing: put it back or give another --ckpt-dir",
        io::ErrorKind::NotADirectory => "a directory is needed; give another --ckpt-dir",
        _ => "check the file system or give another --ckpt-dir",
    }
}

/// An open, locked checkpoint directory.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    handle: File,
    /// `None` while it is only looked at.
    _lock: Option<File>,
}

impl Directory {
    /// Opens `path`, creating it for its owner alone, and locks it.
    ///
    /// # Errors
    /// [`DirectoryError::Locked`] when another launcher has it, [`DirectoryError::Io`] when it
    /// cannot be made, entered or written.
    pub fn open(path: &Path) -> Result<Self, DirectoryError> {
        let failed = |action: &'static str| {
            move |source: io::Error| {
                let mend = mend(&source);
                DirectoryError::Io { path: path.to_owned(), action, source, mend }
            }
        };
        let mut builder = fs::DirBuilder::new();
        let new = missing(path);
        builder.recursive(true).mode(0o700).create(path).map_err(failed("create the directory"))?;
        new.iter().try_for_each(|new| sync_entry(new)).map_err(failed("sync what it is in"))?;
        let path = fs::canonicalize(path).map_err(failed("enter the directory"))?;
        let handle = File::open(&path).map_err(failed("open the directory"))?;
        // The directory itself is locked, so that a lock file that was removed or replaced does not
        // let a second launcher in; the file tells who has it.
        let locked = lock_exclusively(&handle);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let mut lock = options.open(path.join(LOCK)).map_err(failed("write the lock file"))?;
        let file = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive);
        match locked.and(file) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let holder = io::read_to_string(&lock).unwrap_or_default().trim().to_owned();
                return Err(DirectoryError::Locked { path, holder });
            }
            Err(error) => return Err(failed("lock the directory")(error.into())),
        }
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(failed("write the lock file"))?;
        Ok(Self { path, handle, _lock: Some(lock) })
    }

    /// Its absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names in it, sorted.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn names(&self) -> Result<Vec<String>, DirectoryError> {
        let list = || -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in fs::read_dir(&self.path)? {
                let Ok(name) = entry?.file_name().into_string() else { continue };
                match node_names(&self.path, &name)? {
                    Some(inside) => names.extend(inside),
                    None => names.push(name),
                }
            }
            names.sort();
            Ok(names)
        };
        list().map_err(|source| self.failed("", "list the directory", source))
    }

    /// Reads a whole file of at most `limit` bytes.
    ///
    /// # Errors
    /// When it is missing, unreadable or larger.
    pub fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, DirectoryError> {
        let read = || -> io::Result<Vec<u8>> {
            let file = open_regular(&self.path.join(name))?;
            if file.metadata()?.len() > limit {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too large"));
            }
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut io::Read::take(file, limit), &mut bytes)?;
            Ok(bytes)
        };
        read().map_err(|source| self.failed(name, "read", source))
    }

    /// Opens a file for reading; a shard wherever it lies.
    ///
    /// # Errors
    /// When it is missing or unreadable.
    pub fn open_file(&self, name: &str) -> Result<File, DirectoryError> {
        let place = located(&self.path, name);
        open_regular(&self.path.join(place)).map_err(|source| self.failed(name, "open", source))
    }

    /// Removes the directory and all in it.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn destroy(self) -> Result<(), DirectoryError> {
        fs::remove_dir_all(&self.path).map_err(|source| self.failed("", "remove", source))
    }

    /// Whether its path leads to it; `None` if nothing is there.
    fn is_in_its_place(&self) -> Option<bool> {
        let (now, then) = (fs::metadata(&self.path).ok()?, self.handle.metadata().ok()?);
        Some((now.dev(), now.ino()) == (then.dev(), then.ino()))
    }

    fn failed(&self, name: &str, action: &'static str, source: io::Error) -> DirectoryError {
        let gone = source.kind() == io::ErrorKind::NotFound;
        let mend = match (gone, self.is_in_its_place()) {
            (true, None) => "the directory has vanished; give another --ckpt-dir",
            (true, Some(false)) => "another directory is in its place; give another --ckpt-dir",
            _ => mend(&source),
        };
        let path = if name.is_empty() { self.path.clone() } else { self.path.join(name) };
        DirectoryError::Io { path, action, source, mend }
    }
}

/// The directories of a path that are not there yet.
fn missing(path: &Path) -> Vec<PathBuf> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.ancestors().take_while(|above| !above.exists()).map(Path::to_owned).collect()
}

/// Makes the entry of a new directory durable: without it, all that is in it is lost.
fn sync_entry(new: &Path) -> io::Result<()> {
    let Some(above) = new.parent() else {
        return Ok(());
    };
    match File::open(above) {
        // Who may make a directory in one that he may not read cannot sync it, either.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
        Ok(above) => above.sync_all(),
    }
}

/// Locks the directory. A look at it locks it, too, for an instant, which is not to be mistaken for a
/// job.
fn lock_exclusively(handle: &File) -> rustix::io::Result<()> {
    let mut looks = 10;
    loop {
        match rustix::fs::flock(handle, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) if looks > 0 => looks -= 1,
            other => return other,
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Opens a file for reading, and nothing that could block or is not a file.
fn open_regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a regular file"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("mainstay-{}-{name}", std::process::id()));
        let _old = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn a_second_launcher_is_refused_by_name() {
        let path = scratch("lock");
        let first = Directory::open(&path).unwrap();
        let error = Directory::open(&path).unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        assert!(error.contains("--ckpt-dir"), "{error}");
        assert!(matches!(Directory::look(&path), Err(DirectoryError::Locked { .. })));
        first.destroy().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_look_makes_nothing_and_refuses_what_opening_would() {
        let path = scratch("look");
        assert!(Directory::look(&path.join("a/b")).unwrap().is_none());
        assert!(!path.exists());
        let dir = Directory::open(&path).unwrap();
        fs::write(path.join("file"), b"").unwrap();
        drop(dir);
        assert!(Directory::look(&path).unwrap().is_some());
        for bad in ["file", "file/below"] {
            let error = Directory::look(&path.join(bad)).unwrap_err().to_string();
            assert!(error.contains("--ckpt-dir") && error.contains(bad), "{error}");
        }
        Directory::open(&path).unwrap().destroy().unwrap();
    }
}
