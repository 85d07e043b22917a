//! The operations of a commit and of a removal, carried out on a real directory.
//!
//! Invariants: a file is synced through the descriptor that wrote it, once; a final name is never
//! replaced; nothing is touched in a directory that has taken the place of the one that was opened;
//! the error that is told is the first one. Deliberately absent: which operation comes
//! next; `ckpt::commit` decides.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use mainstay_ckpt::commit::{Fault, Files, Leftovers, Op, Outcome, Removal, archive};
use mainstay_types::Version;
use rustix::fs::{
    AtFlags, Mode, OFlags, RenameFlags, linkat, openat, renameat, renameat_with, unlinkat,
};

use super::{Directory, DirectoryError};

/// Carries out operations, one after the other.
#[derive(Debug)]
pub(crate) struct Carrier<'a> {
    directory: &'a Directory,
    /// The file that was made or written last, until it is synced.
    open: Option<(String, File)>,
    /// The first error.
    error: Option<DirectoryError>,
}

impl<'a> Carrier<'a> {
    pub(crate) fn new(directory: &'a Directory) -> Self {
        Self { directory, open: None, error: None }
    }

    /// The first error since the last call.
    pub(crate) fn take_error(&mut self) -> Option<DirectoryError> {
        self.error.take()
    }

    /// Carries out an operation that needs no content and no word.
    pub(crate) fn carry_out(&mut self, op: &Op) -> Outcome {
        let (name, action, result) = match op {
            Op::Create(name) => (name.as_str(), "create", self.create(name)),
            Op::Sync(name) => (name.as_str(), "sync", self.sync(name)),
            Op::SyncNames => ("", "sync", self.directory.sync_names().map(|()| Outcome::Done)),
            Op::Publish { aside, manifest } => {
                (manifest.as_str(), "publish", self.publish(aside, manifest))
            }
            Op::Withdraw { manifest, aside } => {
                (manifest.as_str(), "withdraw", self.withdraw(manifest, aside))
            }
            Op::Remove(name) => {
                let removed = unlinkat(&self.directory.handle, name, AtFlags::empty());
                (name.as_str(), "remove", there(removed))
            }
            // These are the caller's, who has the content and hears the word.
            Op::Write(name, _) => (name.as_str(), "write", Err(io::ErrorKind::Unsupported.into())),
            Op::Ask => ("", "publish", Err(io::ErrorKind::Unsupported.into())),
        };
        self.outcome(name, action, result)
    }

    /// Writes the content of a file that was made before.
    pub(crate) fn fill(
        &mut self,
        name: &str,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Outcome {
        let write = || -> io::Result<()> {
            let mut file = match self.open.take() {
                Some((open, file)) if open == name => file,
                _ => {
                    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    openat(&self.directory.handle, name, flags, Mode::empty())?.into()
                }
            };
            fill(&mut file)?;
            self.open = Some((name.to_owned(), file));
            Ok(())
        };
        let written = write().map(|()| Outcome::Done);
        self.outcome(name, "write", written)
    }

    /// Makes a file by its path, which has to lead to the directory that was opened: whoever looks for
    /// versions later goes by the path, too.
    fn create(&mut self, name: &str) -> io::Result<Outcome> {
        if self.directory.is_in_its_place() != Some(true) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.directory.make_place(name)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(self.directory.path.join(name))?;
        self.open = Some((name.to_owned(), file));
        Ok(Outcome::Done)
    }

    /// Syncs a file and lets go of it: whatever a failed sync has lost, another could not tell.
    fn sync(&mut self, name: &str) -> io::Result<Outcome> {
        match self.open.take() {
            Some((open, file)) if open == name => file.sync_data().map(|()| Outcome::Done),
            _ => Err(io::Error::other("it was not written before")),
        }
    }

    fn publish(&self, aside: &str, manifest: &str) -> io::Result<Outcome> {
        use rustix::io::Errno;
        let d = &self.directory.handle;
        match renameat_with(d, aside, d, manifest, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(Outcome::Done),
            Err(Errno::INVAL | Errno::NOSYS) => {
                linkat(d, aside, d, manifest, AtFlags::empty())?;
                Ok(Outcome::Copied)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn withdraw(&self, manifest: &str, aside: &str) -> io::Result<Outcome> {
        let d = &self.directory.handle;
        let renamed = there(renameat(d, manifest, d, aside))?;
        // Two names of one file are left as they are by a rename.
        there(unlinkat(d, manifest, AtFlags::empty()))?;
        Ok(renamed)
    }

    fn outcome(
        &mut self,
        name: &str,
        action: &'static str,
        result: io::Result<Outcome>,
    ) -> Outcome {
        let error = match result {
            Ok(outcome) => return outcome,
            Err(error) => error,
        };
        let outcome = outcome_of(&error);
        let error = self.directory.failed(name, action, error);
        self.error.get_or_insert(error);
        outcome
    }
}

impl Directory {
    /// Removes a published version, its manifest first; what is missing is as good as removed. What
    /// is cut short, the next start of a job in this directory brings to its end.
    ///
    /// # Errors
    /// The first file that is there and cannot be removed. Then at least a mark stays with the rest.
    pub fn prune(&self, files: &Files) -> Result<(), DirectoryError> {
        self.carry_out(Removal::prune(files))
    }

    /// Makes durable what is seen in the directory, and removes what nobody can want.
    ///
    /// # Errors
    /// As [`prune`](Self::prune).
    pub fn clean(&self, leftovers: &Leftovers) -> Result<(), DirectoryError> {
        self.carry_out(Removal::of_leftovers(leftovers))
    }

    /// Marks a published version as kept for good.
    ///
    /// # Errors
    /// When the mark cannot be made durable.
    pub fn archive(&self, version: Version) -> Result<(), DirectoryError> {
        let mut carrier = Carrier::new(self);
        for op in archive(version) {
            if !matches!(carrier.carry_out(&op), Outcome::Done | Outcome::AlreadyExists) {
                break;
            }
            // A mark that is there already is as good.
            let _there = carrier.take_error().filter(|_| matches!(op, Op::Create(_)));
        }
        carrier.take_error().map_or(Ok(()), Err)
    }

    fn carry_out(&self, mut removal: Removal) -> Result<(), DirectoryError> {
        let mut carrier = Carrier::new(self);
        while let Some(op) = removal.next() {
            removal.done(carrier.carry_out(&op));
        }
        carrier.take_error().map_or(Ok(()), Err)
    }
}

/// A name that is not there is an outcome, and no error.
fn there(result: rustix::io::Result<()>) -> io::Result<Outcome> {
    match result {
        Ok(()) => Ok(Outcome::Done),
        Err(rustix::io::Errno::NOENT) => Ok(Outcome::NotFound),
        Err(error) => Err(error.into()),
    }
}

fn outcome_of(error: &io::Error) -> Outcome {
    use io::ErrorKind::{
        AlreadyExists, FileTooLarge, NotFound, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    match error.kind() {
        AlreadyExists => Outcome::AlreadyExists,
        NotFound => Outcome::NotFound,
        StorageFull | QuotaExceeded | FileTooLarge => Outcome::Failed(Fault::Full),
        ReadOnlyFilesystem => Outcome::Failed(Fault::ReadOnly),
        _ if error.raw_os_error() == Some(libc::EIO) => Outcome::Failed(Fault::Io),
        _ => Outcome::Failed(Fault::Other),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use mainstay_ckpt::commit::{Commit, Content, Next};
    use mainstay_types::Version;

    use super::*;
    use crate::directory::LOCK;
    use crate::directory::tests::scratch;

    fn files() -> Files {
        Files::new(Version(1), vec!["v00000001.e1.r0.i0.shard".to_owned()])
    }

    /// Commits a version, doing something before one of its operations; says of a failure whether
    /// all is gone, and the first error.
    fn commit(
        dir: &Directory,
        mut before: impl FnMut(&Op) -> Option<Outcome>,
    ) -> Result<(), (bool, Option<String>)> {
        let (mut commit, mut carrier) = (Commit::new(files()), Carrier::new(dir));
        let mut end = None;
        while let Some(next) = commit.next() {
            let op = match next {
                Next::Do(op) => op,
                Next::Published => {
                    end = Some(Ok(()));
                    continue;
                }
                Next::Failed(failure) => {
                    let error = carrier.take_error().map(|error| error.to_string());
                    end = Some(Err((failure.clean, error)));
                    continue;
                }
            };
            let outcome = before(&op).unwrap_or_else(|| match &op {
                Op::Ask => Outcome::Done,
                Op::Write(name, Content::Part(_)) => carrier.fill(name, |f| f.write_all(b"part")),
                Op::Write(name, Content::Manifest) => carrier.fill(name, |f| f.write_all(b"all")),
                _ => carrier.carry_out(&op),
            });
            commit.done(outcome);
        }
        end.unwrap()
    }

    #[test]
    fn a_version_is_published_pruned_and_gone() {
        let dir = Directory::open(&scratch("carry")).unwrap();
        assert_eq!(commit(&dir, |_| None), Ok(()));
        let Files { manifest, parts, .. } = files();
        assert_eq!(dir.names().unwrap(), [LOCK, parts[0].as_str(), manifest.as_str()]);
        assert_eq!(dir.read(&manifest, 100).unwrap(), b"all");
        assert_eq!(dir.read(&parts[0], 100).unwrap(), b"part");
        assert!(dir.read(&manifest, 2).unwrap_err().to_string().contains("too large"));
        for _ in 0..2 {
            dir.prune(&files()).unwrap();
            assert_eq!(dir.names().unwrap(), [LOCK], "twice is once");
        }
        dir.destroy().unwrap();
    }

    #[test]
    fn what_others_have_made_is_neither_replaced_nor_removed() {
        let Files { aside, manifest, parts } = files();
        for (name, left) in [
            (&aside, vec![aside.as_str()]),
            (&parts[0], vec![parts[0].as_str()]),
            // The shards stay: the manifest may name them.
            (&manifest, vec![parts[0].as_str(), manifest.as_str(), aside.as_str()]),
        ] {
            let dir = Directory::open(&scratch("foreign")).unwrap();
            let path = dir.path().join(name);
            let mut first = true;
            let ended = commit(&dir, |op| {
                let due = matches!(op, Op::Publish { .. }) || *name != manifest;
                if due && std::mem::take(&mut first) {
                    fs::write(&path, b"theirs").unwrap();
                }
                None
            });
            let (_, error) = ended.unwrap_err();
            assert!(error.unwrap().contains(name.as_str()));
            assert_eq!(dir.names().unwrap()[1..], left);
            assert_eq!(dir.read(name, 100).unwrap(), b"theirs");
            dir.destroy().unwrap();
        }
    }

    #[test]
    fn what_is_withdrawn_goes_by_one_name_also_where_publishing_takes_two() {
        let dir = Directory::open(&scratch("two")).unwrap();
        let Files { aside, manifest, .. } = files();
        let link = |op: &Op| {
            let Op::Publish { aside, manifest } = op else {
                return None;
            };
            fs::hard_link(dir.path().join(aside), dir.path().join(manifest)).unwrap();
            Some(Outcome::Copied)
        };
        assert_eq!(commit(&dir, link), Ok(()));
        assert_eq!(dir.names().unwrap().len(), 3, "the second name is removed");
        fs::hard_link(dir.path().join(&manifest), dir.path().join(&aside)).unwrap();
        let op = Op::Withdraw { manifest, aside: aside.clone() };
        let mut carrier = Carrier::new(&dir);
        assert_eq!(carrier.carry_out(&op), Outcome::Done);
        assert_eq!(carrier.carry_out(&op), Outcome::NotFound);
        assert_eq!(dir.names().unwrap()[2..], [aside]);
        dir.destroy().unwrap();
    }

    #[test]
    fn a_directory_that_has_taken_the_place_of_another_is_not_touched() {
        let (path, away) = (scratch("place"), scratch("away"));
        let dir = Directory::open(&path).unwrap();
        let Files { aside, manifest, parts } = files();
        let theirs = [&aside, &manifest, &parts[0]];
        let ended = commit(&dir, |op| {
            // It is moved once the first shard was made.
            if matches!(op, Op::Write(_, Content::Part(0))) {
                fs::rename(&path, &away).unwrap();
                fs::create_dir(&path).unwrap();
                for name in theirs {
                    fs::write(path.join(name), b"theirs").unwrap();
                }
            }
            None
        });
        assert_eq!(ended, Ok(()), "it goes on where it was");
        assert!(away.join(&manifest).exists());
        let (clean, error) = commit(&dir, |_| None).unwrap_err();
        assert!(clean && error.unwrap().contains("another directory is in its place"));
        dir.prune(&files()).unwrap();
        assert!(!away.join(&manifest).exists());
        assert!(theirs.iter().all(|name| fs::read(path.join(name)).unwrap() == b"theirs"));
        fs::remove_dir_all(&path).unwrap();
        fs::remove_dir_all(&away).unwrap();
    }

    #[test]
    fn a_failed_write_leaves_no_file_and_names_the_mend() {
        let dir = Directory::open(&scratch("full")).unwrap();
        let mut carrier = Carrier::new(&dir);
        assert_eq!(carrier.carry_out(&Op::Create("a".to_owned())), Outcome::Done);
        let full = |_: &mut File| Err(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(carrier.fill("a", full), Outcome::Failed(Fault::Full));
        // What failed to be written is not open any more, and cannot be synced.
        let sync = carrier.carry_out(&Op::Sync("a".to_owned()));
        assert_eq!(sync, Outcome::Failed(Fault::Other));
        assert!(carrier.take_error().unwrap().to_string().contains("make room"));
        assert_eq!(carrier.fill("b", |_| Ok(())), Outcome::NotFound);
        assert!(carrier.take_error().unwrap().to_string().contains("missing"));
        dir.destroy().unwrap();
        let dir = Directory::open(&scratch("full")).unwrap();
        let failed = |op: &Op| {
            let wanted = matches!(op, Op::Sync(name) if name.ends_with("shard"));
            wanted.then_some(Outcome::Failed(Fault::Io))
        };
        assert_eq!(commit(&dir, failed), Err((true, None)));
        assert_eq!(dir.names().unwrap(), [LOCK], "after a failed sync, too");
        dir.destroy().unwrap();
    }
}
