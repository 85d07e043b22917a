//! Helpers of this crate's unit tests: scratch files, gzip, and ranks as threads.
//!
//! Deliberately absent from every build but the tests'.

use std::io::Write;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A file that vanishes with its owner.
pub(crate) struct Scratch(PathBuf);

impl Deref for Scratch {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Writes `bytes` into a fresh file whose name ends in `name`.
pub(crate) fn scratch(name: &str, bytes: &[u8]) -> Scratch {
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let unique = format!("mainstay-apps-{}-{number}-{name}", std::process::id());
    let path = std::env::temp_dir().join(unique);
    std::fs::write(&path, bytes).unwrap();
    Scratch(path)
}

/// `bytes`, compressed.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The project's own copy of the real matrix.
pub(crate) fn real_matrix() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/bcsstk16.mtx.gz")
}

/// The project's own copy of the real terrain.
pub(crate) fn terrain() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/jacksboro.asc.gz")
}
