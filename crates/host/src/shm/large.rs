//! Large pages, where much memory is used as a whole: 2 MiB instead of 4 KiB.
//!
//! With them an arena is faulted in, mapped again by the next incarnation and taken down with a
//! dead one at a hundredth of the work. Shared memory gets them by itself only where the
//! administrator says so; whoever asks for the collapse of a range gets them wherever there are any.
//!
//! Invariants: no byte is changed, touched or signalled about; whatever the kernel cannot do leaves
//! pages of the usual size. Deliberately absent: reserved huge pages, which only an administrator
//! has.

use std::io;
use std::ptr::{self, NonNull};

use mainstay_comm::layout::PAGE_BYTES;
use rustix::mm::{self, Advice, MapFlags, ProtFlags};

/// Bytes of a large page. Where they are others, nothing is collapsed.
pub(crate) const LARGE_PAGE_BYTES: usize = 2 << 20;
/// Least length for which large pages are asked for.
pub(super) const LARGE_BYTES_MIN: usize = 2 * LARGE_PAGE_BYTES;

/// Asks for large pages where `of` has none yet, as all of it is used: a page fault then clears two
/// megabytes instead of four kilobytes.
pub(crate) fn prefer_large_pages(of: &[u8]) {
    let skip = of.as_ptr().align_offset(PAGE_BYTES);
    if of.len() < LARGE_BYTES_MIN + skip {
        return;
    }
    let bytes = (of.len() - skip) / PAGE_BYTES * PAGE_BYTES;
    let start = of[skip..].as_ptr().cast_mut().cast();
    // SAFETY: whole pages of the caller's own slice; the advice changes no byte of them.
    let _only_advice = unsafe { mm::madvise(start, bytes, Advice::LinuxHugepage) };
}

/// Address space, of no access, for a mapping of `bytes` that begins where a large page may. Whoever
/// takes it maps over it; should that fail, a hole of addresses stays, and no memory.
pub(super) fn reserve(bytes: usize) -> io::Result<*mut u8> {
    let bytes = bytes.checked_next_multiple_of(PAGE_BYTES).ok_or(io::ErrorKind::InvalidInput)?;
    let whole = bytes.checked_add(LARGE_PAGE_BYTES).ok_or(io::ErrorKind::InvalidInput)?;
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
    // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
    let base = unsafe { mm::mmap_anonymous(ptr::null_mut(), whole, ProtFlags::empty(), flags) }?;
    let base = base.cast::<u8>();
    let before = base.align_offset(LARGE_PAGE_BYTES);
    for (at, len) in [(0, before), (before + bytes, LARGE_PAGE_BYTES - before)] {
        if len > 0 {
            // SAFETY: `at` lies in the reservation, of which the two parts and `bytes` are all.
            let part = unsafe { base.add(at) };
            // SAFETY: whole pages of the reservation just made, which nobody knows yet.
            unsafe { mm::munmap(part.cast(), len) }?;
        }
    }
    // SAFETY: an address of the reservation.
    Ok(unsafe { base.add(before) })
}

/// Faults in all of a shared mapping; a fresh one, of a file that has no pages yet, in large ones.
///
/// # Safety
/// The range is a mapping of shared memory.
pub(super) unsafe fn fault_in(base: NonNull<u8>, bytes: usize, fresh: bool) {
    if fresh {
        // An extent without any page is not collapsed, so each gets one. All are collapsed in one
        // call, as each call waits for all processors. Before Linux 6.1 there is no collapse, and in
        // want of large pages it ends at the first that it does not get.
        let extents = bytes / LARGE_PAGE_BYTES;
        let started = (0..extents).try_for_each(|i| {
            // SAFETY: the extent lies in the caller's range.
            let extent = unsafe { base.add(i * LARGE_PAGE_BYTES) };
            // SAFETY: the first page of the caller's range from there.
            unsafe { advise(extent, PAGE_BYTES, libc::MADV_POPULATE_READ) }
        });
        if started.is_ok() {
            // SAFETY: whole extents of the caller's range.
            let _pages_of_the_usual_size =
                unsafe { advise(base, extents * LARGE_PAGE_BYTES, libc::MADV_COLLAPSE) };
        }
    }
    // SAFETY: the caller's range. Before Linux 5.14 the first capture faults them in.
    let _as_touched = unsafe { advise(base, bytes, libc::MADV_POPULATE_READ) };
}

/// # Safety
/// The range is a mapping, and the advice changes no byte of it.
unsafe fn advise(start: NonNull<u8>, bytes: usize, advice: libc::c_int) -> io::Result<()> {
    // SAFETY: the caller's promise.
    match unsafe { libc::madvise(start.as_ptr().cast(), bytes, advice) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_begins_where_a_large_page_may() {
        for bytes in [1, PAGE_BYTES, LARGE_PAGE_BYTES + 1, 5 * LARGE_PAGE_BYTES] {
            let place = reserve(bytes).unwrap();
            assert_eq!(place.align_offset(LARGE_PAGE_BYTES), 0);
        }
        assert!(reserve(usize::MAX).is_err());
    }

    #[test]
    fn large_pages_change_no_byte() {
        let bytes: Vec<u8> = (0..LARGE_BYTES_MIN + 9999).map(|i| i as u8).collect();
        for from in [0, 1, 4095] {
            prefer_large_pages(&bytes[from..]);
        }
        prefer_large_pages(&[]);
        assert!(bytes.iter().enumerate().all(|(i, byte)| *byte == i as u8));
    }
}
