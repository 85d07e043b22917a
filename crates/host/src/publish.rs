//! Publishing a file: written aside in the same directory, synced, then renamed over the name.
//!
//! Invariants: at every moment the name shows the old content or the whole new one; nothing but a
//! regular file is ever replaced, a link's target in its place, and it keeps its mode. Deliberately
//! absent: directories of checkpoints; see `directory`.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A file that lies written and synced beside its final name. Dropped unpublished, it is removed.
#[derive(Debug)]
pub struct Aside {
    aside: Option<PathBuf>,
    path: PathBuf,
}

/// Whether a file could be published under `path`, as far as that can be seen beforehand.
///
/// # Errors
/// Why not.
pub fn check(path: &Path) -> io::Result<()> {
    use rustix::fs::{Access, access};
    let path = &target(path)?;
    match fs::metadata(path) {
        Ok(_) => access(path, Access::WRITE_OK)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    if !fs::metadata(parent)?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(access(parent, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// The file that a path means: behind links, and regular if it is there.
fn target(path: &Path) -> io::Result<PathBuf> {
    let path = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    match fs::symlink_metadata(&path) {
        Ok(data) if data.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(data) if !data.is_file() => {
            let why = "it is a device, a pipe or a link that leads nowhere, and no file";
            Err(io::Error::new(io::ErrorKind::InvalidInput, why))
        }
        Ok(_) => Ok(path),
        Err(_) if path.file_name().is_none() => Err(io::ErrorKind::IsADirectory.into()),
        Err(_) => Ok(path),
    }
}

/// A file that is being written beside its final name. Dropped before it is whole, it is removed.
#[derive(Debug)]
pub struct Draft {
    file: File,
    aside: Aside,
}

/// Begins to write a file aside.
///
/// # Errors
/// Whatever the file system says; nothing is left behind then.
pub fn draft(path: &Path) -> io::Result<Draft> {
    let path = &target(path)?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.part", std::process::id()));
    let place = path.with_file_name(hidden);
    let aside = Aside { aside: Some(place.clone()), path: path.to_owned() };
    Ok(Draft { file: File::create(&place)?, aside })
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Draft {
    /// Writes bytes at an offset.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, at)
    }

    /// The file is whole: gives it the mode of the one that it replaces, and syncs it.
    ///
    /// # Errors
    /// Whatever the file system says; nothing is left behind then.
    pub fn end(self) -> io::Result<Aside> {
        if let Ok(old) = fs::metadata(&self.aside.path) {
            self.file.set_permissions(old.permissions())?;
        }
        self.file.sync_all()?;
        Ok(self.aside)
    }
}

/// Writes the parts aside, one behind the other, and syncs them.
///
/// # Errors
/// Whatever the file system says; nothing is left behind then.
pub fn aside(path: &Path, parts: &[&[u8]]) -> io::Result<Aside> {
    let mut draft = draft(path)?;
    for part in parts {
        draft.write_all(part)?;
    }
    draft.end()
}

/// Publishes the parts under `path` at once.
///
/// # Errors
/// As [`aside`].
pub fn file(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    aside(path, parts)?.publish()
}

impl Aside {
    /// Gives the file its name and syncs the directory.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn publish(mut self) -> io::Result<()> {
        if let Some(aside) = &self.aside {
            fs::rename(aside, &self.path)?;
            self.aside = None;
        }
        self.sync()
    }

    /// As [`Aside::publish`], unless there is a file of that name.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], and whatever the file system says.
    pub fn publish_new(mut self) -> io::Result<()> {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        if let Some(aside) = &self.aside {
            match renameat_with(CWD, aside, CWD, &self.path, RenameFlags::NOREPLACE) {
                Ok(()) => self.aside = None,
                // What is left aside has two names now, and loses that one below.
                Err(Errno::INVAL | Errno::NOSYS) => fs::hard_link(aside, &self.path)?,
                Err(error) => return Err(error.into()),
            }
        }
        self.sync()
    }

    /// Syncs the directory.
    fn sync(&self) -> io::Result<()> {
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if let Some(aside) = &self.aside {
            let _gone_already = fs::remove_file(aside);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_where_nothing_can_be_published_is_known_beforehand() {
        let dir = std::env::temp_dir();
        assert!(check(&dir.join("x.f64")).is_ok());
        assert!(check(Path::new("x.f64")).is_ok());
        let kind = |path: &Path| check(path).unwrap_err().kind();
        assert_eq!(kind(&dir), io::ErrorKind::IsADirectory);
        assert_eq!(kind(&dir.join("mainstay-none/x.f64")), io::ErrorKind::NotFound);
        assert_eq!(kind(Path::new("/dev/null/x.f64")), io::ErrorKind::NotADirectory);
    }

    #[test]
    fn a_link_is_followed_a_mode_kept_and_what_is_no_file_left_alone() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = std::env::temp_dir().join(format!("mainstay-kinds-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (path, link, pipe) = (dir.join("x"), dir.join("link"), dir.join("pipe"));
        fs::write(&path, b"old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        symlink(&path, &link).unwrap();
        file(&link, &[b"new"]).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .unwrap();
        symlink(dir.join("nowhere"), dir.join("broken")).unwrap();
        for bad in [pipe.clone(), dir.join("broken"), dir.clone()] {
            assert!(check(&bad).is_err(), "{bad:?}");
            assert!(file(&bad, &[b"lost"]).is_err(), "{bad:?}");
        }
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 4, "nothing aside is left");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn an_unpublished_file_leaves_nothing_and_a_published_one_is_whole() {
        let dir = std::env::temp_dir().join(format!("mainstay-publish-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("x.f64");
        drop(aside(&path, &[b"lost"]).unwrap());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        file(&path, &[b"one", b"two"]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"onetwo");
        let again = aside(&path, &[b"three"]).unwrap().publish_new().unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"onetwo");
        fs::remove_file(&path).unwrap();
        let mut places = draft(&path).unwrap();
        places.write_all(b"onexxx").unwrap();
        places.write_at(3, b"two").unwrap();
        places.end().unwrap().publish_new().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"onetwo");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "nothing aside is left");
        assert!(file(&dir.join("missing/x"), &[b""]).is_err());
        fs::remove_dir_all(&dir).unwrap();
    }
}
