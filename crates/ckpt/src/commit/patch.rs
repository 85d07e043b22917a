//! Writing bytes of a published file anew that are known to be bad, where they lie.
//!
//! The file is made anew from a good copy and compared; a block that differs is written over, if it has
//! bytes that were found bad, and nothing else is touched. That is safe at any moment of a crash: what
//! is written is what the file held when it was synced, so a sector that a crash leaves old is as bad as
//! it was, one that it leaves new is right, and one that was right before is not written with anything
//! else. No reader believes a byte that no checksum covers, so none believes the file before all of it
//! is right. Invariant: a difference where nothing was found bad is an error, as then the bytes are not
//! those that were written. Deliberately absent: files, and who found what.

use std::ops::Range;

/// What is compared and written at once: at least a block of any file system's page cache.
pub const PATCH_BYTES: usize = 4096;

/// Bytes differ that nobody found to be bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes at {at} are not known to be bad and would be written differently")]
pub struct WouldChange {
    /// The first of them.
    pub at: u64,
}

/// Which blocks of `truth`, which belongs at offset `at`, a multiple of [`PATCH_BYTES`], are to be written.
///
/// `found` is what is there instead: shorter where the file ends before, and `None` where it cannot be
/// read, which counts as bad. `bad` are the bytes known to be bad; what lies beyond the end of a file is.
///
/// # Errors
/// [`WouldChange`] when other bytes differ, too.
pub fn patches(
    at: u64,
    truth: &[u8],
    found: Option<&[u8]>,
    bad: &[Range<u64>],
) -> Result<Vec<Range<usize>>, WouldChange> {
    let mut blocks = Vec::new();
    for from in (0..truth.len()).step_by(PATCH_BYTES) {
        let block = from..truth.len().min(from + PATCH_BYTES);
        let Some(found) = found else {
            blocks.push(block);
            continue;
        };
        let old = found.get(from..found.len().min(block.end)).unwrap_or_default();
        let new = &truth[block.clone()];
        if old == new {
            continue;
        }
        let is_bad = |at: u64| bad.iter().any(|range| range.contains(&at));
        let pairs = (at + from as u64..).zip(old.iter().zip(new));
        let other = pairs.into_iter().find(|(at, (old, new))| old != new && !is_bad(*at));
        if let Some((at, _)) = other {
            return Err(WouldChange { at });
        }
        blocks.push(block);
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blocks_with_bad_bytes_are_written_and_no_other_difference_is_accepted() {
        let truth: Vec<u8> = (0..10_000).map(|i| (i % 251) as u8).collect();
        let at = 8192;
        assert_eq!(patches(at, &truth, Some(&truth), &[]), Ok(vec![]));
        let mut rotten = truth.clone();
        rotten[5000] ^= 1;
        let bad = at + 4900..at + 5100;
        let patched = patches(at, &truth, Some(&rotten), std::slice::from_ref(&bad)).unwrap();
        assert_eq!((patched.len(), patched[0].clone()), (1, 4096..8192));
        rotten[9999] ^= 1;
        assert_eq!(patches(at, &truth, Some(&rotten), &[bad]), Err(WouldChange { at: at + 9999 }));
        assert_eq!(patches(at, &truth, Some(&rotten), &[]), Err(WouldChange { at: at + 5000 }));
    }

    #[test]
    fn what_is_missing_or_unreadable_is_bad() {
        let truth = [7; 9000];
        assert_eq!(patches(0, &truth, Some(&truth[..5000]), &[]), Ok(vec![4096..8192, 8192..9000]));
        assert_eq!(patches(0, &truth, Some(&[]), &[]).unwrap().len(), 3);
        assert_eq!(patches(4096, &truth, None, &[]).unwrap().len(), 3);
    }
}
