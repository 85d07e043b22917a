//! A look at a checkpoint directory before anything is started.
//!
//! Invariant: nothing is made, changed or kept. Deliberately absent: what lies in it.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::FlockOperation;

use super::{Directory, DirectoryError, LOCK, mend};

impl Directory {
    /// Looks at `path` without changing or keeping anything; `None` if it could be made.
    ///
    /// # Errors
    /// As [`Directory::open`], as far as that can be told.
    pub fn look(path: &Path) -> Result<Option<Self>, DirectoryError> {
        use rustix::fs::{Access, access};
        let failed = |action: &'static str, source: io::Error| {
            let mend = mend(&source);
            DirectoryError::Io { path: path.to_owned(), action, source, mend }
        };
        let wanted = Access::WRITE_OK | Access::EXEC_OK;
        let own = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(failed("enter the directory", error)),
            Ok(data) if data.is_dir() => true,
            Ok(_) => {
                let error = io::ErrorKind::NotADirectory.into();
                return Err(failed("enter the directory", error));
            }
        };
        if !own {
            let absolute =
                std::path::absolute(path).map_err(|e| failed("find the directory", e))?;
            let above = absolute.ancestors().skip(1).find(|above| above.exists());
            let above = above.unwrap_or(Path::new("/"));
            let able = access(above, wanted).map_err(Into::into).and_then(|()| {
                if above.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
            });
            return able.map(|()| None).map_err(|error| failed("create the directory", error));
        }
        access(path, wanted).map_err(|error| failed("write in the directory", error.into()))?;
        let path = fs::canonicalize(path).map_err(|error| failed("enter the directory", error))?;
        let handle = File::open(&path).map_err(|error| failed("open the directory", error))?;
        if rustix::fs::flock(&handle, FlockOperation::NonBlockingLockShared).is_err() {
            let holder = fs::read_to_string(path.join(LOCK)).unwrap_or_default().trim().to_owned();
            return Err(DirectoryError::Locked { path, holder });
        }
        let _unlocked = rustix::fs::flock(&handle, FlockOperation::Unlock);
        Ok(Some(Self { path, handle, _lock: None }))
    }
}
