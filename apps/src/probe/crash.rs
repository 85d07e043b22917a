//! Ranks that end by themselves in the midst of the work.
//!
//! Invariants: only the named rank fails, in the named step, after that step's messages and before
//! its checkpoint; with a marker file it fails once, otherwise at every attempt, as a bug does.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use mainstay::{Job, Result};

use super::load::{Load, steps_with};

/// Where a rank fails.
#[derive(Debug, Clone)]
pub struct Place {
    /// The step, from 1.
    pub step: u64,
    /// The rank.
    pub rank: usize,
    /// A file that is made at the first failure and prevents others.
    pub once: Option<PathBuf>,
}

impl Place {
    /// Whether a rank that works on `step` must fail now.
    fn is_here(&self, rank: usize, step: u64) -> io::Result<bool> {
        if (rank, step) != (self.rank, self.step) {
            return Ok(false);
        }
        self.once.as_deref().map_or(Ok(true), is_first)
    }
}

/// Makes the marker; `false` if it is there already.
fn is_first(marker: &Path) -> io::Result<bool> {
    match OpenOptions::new().write(true).create_new(true).open(marker) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e),
    }
}

/// One rank panics.
///
/// # Errors
/// An interruption, or a marker that cannot be made.
///
/// # Panics
/// That is its purpose.
pub fn panic_at(job: &Job, load: Load, place: &Place) -> Result<()> {
    steps_with(job, load, |world, work| {
        let here = place.is_here(world.rank(), work.step)?;
        assert!(!here, "panic on purpose in step {} of rank {}", work.step, world.rank());
        Ok(())
    })
}

/// One rank leaves by `exit`, also with code 0.
///
/// # Errors
/// An interruption, or a marker that cannot be made.
#[allow(clippy::exit, reason = "leaving without a word is the fault to show")]
pub fn exit_at(job: &Job, load: Load, place: &Place, code: i32) -> Result<()> {
    steps_with(job, load, |world, work| {
        if place.is_here(world.rank(), work.step)? {
            std::process::exit(code);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_one_rank_and_one_step() {
        let place = Place { step: 3, rank: 1, once: None };
        assert!(place.is_here(1, 3).unwrap() && place.is_here(1, 3).unwrap());
        assert!(!place.is_here(1, 2).unwrap() && !place.is_here(0, 3).unwrap());
    }

    #[test]
    fn a_marker_makes_it_happen_once() {
        let marker = crate::testing::scratch("marker", b"");
        std::fs::remove_file(&*marker).unwrap();
        let place = Place { step: 3, rank: 1, once: Some(marker.to_path_buf()) };
        assert!(!place.is_here(1, 2).unwrap());
        assert!(place.is_here(1, 3).unwrap());
        assert!(!place.is_here(1, 3).unwrap());
        let nowhere = Place { once: Some("no/such/folder/marker".into()), ..place };
        assert!(nowhere.is_here(1, 3).is_err());
    }
}
