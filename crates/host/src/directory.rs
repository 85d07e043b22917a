//! A job's checkpoint directory: locked, written aside, synced, published by rename.
//!
//! Invariants: one live launcher a directory; a published name is never replaced; a file under its
//! final name is whole and synced, and so is its directory entry; nothing outside the directory
//! is touched. Deliberately absent: which version is written, trusted or pruned (`ckpt` decides)
//! and what the bytes mean.

mod direct;
mod look;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, RenameFlags};

pub(crate) use self::direct::{Direct, Staging};

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
        builder.recursive(true).mode(0o700).create(path).map_err(failed("create the directory"))?;
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
                names.extend(entry?.file_name().into_string());
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

    /// Opens a file for reading.
    ///
    /// # Errors
    /// When it is missing or unreadable.
    pub fn open_file(&self, name: &str) -> Result<File, DirectoryError> {
        open_regular(&self.path.join(name)).map_err(|source| self.failed(name, "open", source))
    }

    /// Creates a new file that `fill` writes, and syncs it. A file left by a failure is removed.
    ///
    /// # Errors
    /// When the name exists, or writing or syncing fails.
    pub fn write_new(
        &self,
        name: &str,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<(), DirectoryError> {
        self.write(name, true, fill)
    }

    /// Replaces the content of a file that was created before, and syncs it.
    ///
    /// # Errors
    /// When it is not there, or writing or syncing fails.
    pub fn rewrite(
        &self,
        name: &str,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<(), DirectoryError> {
        self.write(name, false, fill)
    }

    fn write(
        &self,
        name: &str,
        new: bool,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<(), DirectoryError> {
        let path = self.path.join(name);
        let write = || -> io::Result<()> {
            let mut options = OpenOptions::new();
            options.write(true).create_new(new).truncate(!new).mode(0o600);
            let mut file = options.open(&path)?;
            fill(&mut file)?;
            file.sync_data()
        };
        write().map_err(|source| {
            if new && source.kind() != io::ErrorKind::AlreadyExists {
                // Best effort: what no manifest names is ignored.
                let _removed = fs::remove_file(&path);
            }
            self.failed(name, "write", source)
        })
    }

    /// Gives a synced file its final name without replacing another, and syncs the directory.
    ///
    /// # Errors
    /// When the final name exists or the file system refuses.
    pub fn publish(&self, aside: &str, name: &str) -> Result<(), DirectoryError> {
        let publish = || -> io::Result<()> {
            let d = &self.handle;
            match rustix::fs::renameat_with(d, aside, d, name, RenameFlags::NOREPLACE) {
                Ok(()) => {}
                Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                    fs::hard_link(self.path.join(aside), self.path.join(name))?;
                    fs::remove_file(self.path.join(aside))?;
                }
                Err(error) => return Err(error.into()),
            }
            self.handle.sync_all()
        };
        publish().map_err(|source| self.failed(name, "publish", source))
    }

    /// Takes a final name back, if it is there: the file goes by its name aside again. Synced, so
    /// that what is removed next is known for what it is after a power failure, too.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn withdraw(&self, name: &str, aside: &str) -> Result<(), DirectoryError> {
        let there = |result: io::Result<()>| match result {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        let withdraw = || -> io::Result<()> {
            there(fs::rename(self.path.join(name), self.path.join(aside)))?;
            // Two names of one file are left as they are by a rename.
            there(fs::remove_file(self.path.join(name)))?;
            self.handle.sync_all()
        };
        withdraw().map_err(|source| self.failed(name, "withdraw", source))
    }

    /// Syncs the directory, so that the names in it survive a power failure.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn sync(&self) -> Result<(), DirectoryError> {
        self.handle.sync_all().map_err(|source| self.failed("", "sync", source))
    }

    /// Removes files, missing ones included, and syncs the directory.
    ///
    /// # Errors
    /// When a file is there and cannot be removed.
    pub fn remove(&self, names: &[String]) -> Result<(), DirectoryError> {
        for name in names {
            match fs::remove_file(self.path.join(name)) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(self.failed(name, "remove", source));
                }
                Ok(()) | Err(_) => {}
            }
        }
        self.sync()
    }

    /// Removes the directory and all in it.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn destroy(self) -> Result<(), DirectoryError> {
        fs::remove_dir_all(&self.path).map_err(|source| self.failed("", "remove", source))
    }

    fn failed(&self, name: &str, action: &'static str, source: io::Error) -> DirectoryError {
        let gone = source.kind() == io::ErrorKind::NotFound && !self.path.exists();
        let mend = if gone {
            "the directory has vanished; give another --ckpt-dir"
        } else {
            mend(&source)
        };
        let path = if name.is_empty() { self.path.clone() } else { self.path.join(name) };
        DirectoryError::Io { path, action, source, mend }
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

    fn scratch(name: &str) -> PathBuf {
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

    #[test]
    fn a_published_name_is_never_replaced() {
        let dir = Directory::open(&scratch("publish")).unwrap();
        dir.write_new("a", |f| f.write_all(b"first")).unwrap();
        dir.publish("a", "final").unwrap();
        dir.write_new("a", |f| f.write_all(b"second")).unwrap();
        assert!(dir.publish("a", "final").is_err());
        assert_eq!(dir.read("final", 100).unwrap(), b"first");
        assert!(dir.read("final", 2).unwrap_err().to_string().contains("too large"));
        dir.destroy().unwrap();
    }

    #[test]
    fn what_is_withdrawn_goes_aside_and_can_be_written_again() {
        let dir = Directory::open(&scratch("withdraw")).unwrap();
        dir.write_new("aside", |_| Ok(())).unwrap();
        dir.rewrite("aside", |f| f.write_all(b"content")).unwrap();
        dir.publish("aside", "final").unwrap();
        assert_eq!(dir.read("final", 100).unwrap(), b"content");
        for _ in 0..2 {
            dir.withdraw("final", "aside").unwrap();
            assert_eq!(dir.names().unwrap(), [LOCK, "aside"], "twice is once");
        }
        fs::hard_link(dir.path().join("aside"), dir.path().join("final")).unwrap();
        dir.withdraw("final", "aside").unwrap();
        assert_eq!(dir.names().unwrap(), [LOCK, "aside"], "also of two names of one file");
        assert!(dir.rewrite("other", |_| Ok(())).unwrap_err().to_string().contains("missing"));
        dir.destroy().unwrap();
    }

    #[test]
    fn a_failed_write_leaves_no_file_and_names_the_mend() {
        let dir = Directory::open(&scratch("full")).unwrap();
        let full = |_: &mut File| Err(io::Error::from(io::ErrorKind::StorageFull));
        let error = dir.write_new("a", full).unwrap_err().to_string();
        assert!(error.contains("make room"), "{error}");
        assert_eq!(dir.names().unwrap(), [LOCK]);
        dir.destroy().unwrap();
    }
}
