//! Which jobs `--resume` may mean when it names none.
//!
//! Invariant: a job that still runs, or that has no version, is never meant. Deliberately absent:
//! whether the command line fits and the versions are whole; `resume` looks at those.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mainstay_ckpt::{FileName, parse_name};
use rustix::fs::FlockOperation;

use crate::directory::LOCK;

/// The directories of jobs with a version that nobody works in, the one written last first.
pub(crate) fn latest(jobs: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(jobs).into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let idle = paths.filter(|path| !in_use(path));
    let mut dated: Vec<_> = idle.filter_map(|path| Some((newest_manifest(&path)?, path))).collect();
    dated.sort_by(|a, b| b.cmp(a));
    dated.into_iter().map(|(_, path)| path).collect()
}

/// Whether a launcher holds the directory's lock.
fn in_use(directory: &Path) -> bool {
    let Ok(lock) = File::open(directory.join(LOCK)) else {
        return false;
    };
    // Released as the file is closed.
    rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared).is_err()
}

/// When the newest manifest of a directory was written.
fn newest_manifest(directory: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(directory).ok()?.filter_map(Result::ok);
    let manifests = entries.filter(|entry| {
        let name = entry.file_name();
        matches!(name.to_str().and_then(parse_name), Some(FileName::Manifest { .. }))
    });
    manifests.filter_map(|entry| entry.metadata().ok()?.modified().ok()).max()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn jobs_are_listed_that_wrote_a_version_and_have_ended_the_last_first() {
        let jobs = std::env::temp_dir().join(format!("mainstay-latest-{}", std::process::id()));
        let write = |job: &str, name: &str, at: u64| {
            std::fs::create_dir_all(jobs.join(job)).unwrap();
            let file = File::create(jobs.join(job).join(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(at)).unwrap();
            file
        };
        assert!(latest(&jobs).is_empty(), "there is no such directory");
        write("empty", LOCK, 900);
        write("empty", "v00000001.e1.r0.i0.shard", 900);
        assert!(latest(&jobs).is_empty(), "no manifest, nothing to go on from");
        write("older", "v00000001.manifest", 100);
        write("newer", "v00000001.manifest", 50);
        write("newer", "v00000002.manifest", 200);
        write("live", "v00000009.manifest", 300);
        let lock = write("live", LOCK, 300);
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).unwrap();
        assert_eq!(latest(&jobs), [jobs.join("newer"), jobs.join("older")]);
        drop(lock);
        assert_eq!(latest(&jobs)[0], jobs.join("live"), "its launcher is gone");
        std::fs::remove_dir_all(&jobs).unwrap();
    }
}
