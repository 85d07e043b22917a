//! Which pages of this process were written: write protection by userfaultfd, resolved by the kernel
//! itself (`WP_ASYNC`), and `PAGEMAP_SCAN`, which tells of the pages that lost it and protects them again.
//!
//! A page counts as not written only while it is present and still carries the mark that [`Watcher::watch`]
//! or an earlier [`Watcher::written`] gave it. All that takes a page away takes the mark with it: unmapping,
//! `MADV_DONTNEED`, a page that was never there, one on swap. What takes the whole range away, such as new
//! memory at the old address, loses the registration, and that is an error here.
//!
//! Invariants: only private anonymous memory is watched; a range that another userfaultfd took over is an
//! error; no write ever waits for this process. Deliberately absent: what is done with the answer.
//! Writes that go around the page table of this process are not seen: those of a device, or of the kernel
//! for io_uring, into pages that were pinned before the last call. [`pinned`] tells of the lasting ones.

use std::fs;
use std::io;
use std::mem::size_of;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use rustix::fs::{Mode, OFlags, open};

/// `UFFD_USER_MODE_ONLY`: what an unprivileged process may have. It restricts who may be made to wait,
/// and here nobody is.
const USER_MODE_ONLY: libc::c_int = 1;
const API: u64 = 0xAA;
const FEATURE_PAGEFAULT_FLAG_WP: u64 = 1;
const FEATURE_WP_UNPOPULATED: u64 = 1 << 13;
const FEATURE_WP_ASYNC: u64 = 1 << 15;
const MODE_WP: u64 = 2;
const PROTECT: u64 = 1;

const IOCTL_API: u64 = 0xC018_AA3F;
const IOCTL_REGISTER: u64 = 0xC020_AA00;
const IOCTL_WRITEPROTECT: u64 = 0xC018_AA06;
const IOCTL_PAGEMAP_SCAN: u64 = 0xC060_6610;

const PAGE_IS_WRITTEN: u64 = 1 << 1;
const PAGE_IS_PRESENT: u64 = 1 << 3;
const SCAN_WP_MATCHING: u64 = 1;
const SCAN_CHECK_WPASYNC: u64 = 2;

/// Ranges that one scan gives at most.
const REGIONS: usize = 2048;

/// `struct uffdio_api`.
#[repr(C)]
struct ApiWords {
    api: u64,
    features: u64,
    ioctls: u64,
}

/// `struct uffdio_register`; `struct uffdio_writeprotect` is the first three words of it.
#[repr(C)]
struct RangeWords {
    start: u64,
    len: u64,
    mode: u64,
    ioctls: u64,
}

/// `struct page_region`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

/// `struct pm_scan_arg`.
#[repr(C)]
struct ScanWords {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// Why writes cannot be noticed here.
#[derive(Debug, thiserror::Error)]
pub enum Unwatchable {
    /// There is no userfaultfd, or it is forbidden.
    #[error("the kernel gives no userfaultfd ({0}); a container's seccomp profile may forbid it")]
    Userfaultfd(io::Error),
    /// It lacks what is needed of it.
    #[error("the kernel's userfaultfd has no asynchronous write protection; Linux 6.7 has")]
    NoAsync,
    /// It cannot be asked what was written.
    #[error("the kernel has no PAGEMAP_SCAN ({0}); Linux 6.7 has")]
    NoScan(io::Error),
    /// A test asked for this.
    #[error("MAINSTAY_NO_USERFAULTFD is set")]
    Unwanted,
}

/// A line to the kernel, which watches ranges of this process.
#[derive(Debug)]
pub struct Watcher {
    userfaultfd: OwnedFd,
    pagemap: OwnedFd,
    regions: Vec<Region>,
}

impl Watcher {
    /// Opens the line.
    ///
    /// # Errors
    /// [`Unwatchable`] names what this system lacks.
    pub fn open() -> Result<Self, Unwatchable> {
        if std::env::var_os("MAINSTAY_NO_USERFAULTFD").is_some() {
            return Err(Unwatchable::Unwanted);
        }
        let flags = libc::O_CLOEXEC | libc::O_NONBLOCK | USER_MODE_ONLY;
        // SAFETY: the call takes flags and gives a descriptor.
        let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, flags) };
        let fd = RawFd::try_from(fd).ok().filter(|fd| *fd >= 0);
        let fd = fd.ok_or_else(|| Unwatchable::Userfaultfd(io::Error::last_os_error()))?;
        // SAFETY: the descriptor was just given to this process, and nobody else knows it.
        let userfaultfd = unsafe { OwnedFd::from_raw_fd(fd) };
        let features = FEATURE_PAGEFAULT_FLAG_WP | FEATURE_WP_UNPOPULATED | FEATURE_WP_ASYNC;
        let mut api = ApiWords { api: API, features, ioctls: 0 };
        // SAFETY: the words are those of this request.
        let agreed = unsafe { request(&userfaultfd, IOCTL_API, &raw mut api) };
        agreed.map_err(|_| Unwatchable::NoAsync)?;
        let pagemap = open("/proc/self/pagemap", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let pagemap = pagemap.map_err(|error| Unwatchable::NoScan(error.into()))?;
        let regions = vec![Region::default(); REGIONS];
        let mut watcher = Self { userfaultfd, pagemap, regions };
        // An empty range asks whether there is such a call.
        watcher.scan(0..0, |_| {}).map_err(Unwatchable::NoScan)?;
        Ok(watcher)
    }

    /// Watches the pages of a range from now on: none of them counts as written.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] of memory that is not private and anonymous; whatever the kernel
    /// says, such as that another userfaultfd has it.
    pub fn watch(&self, pages: &Range<usize>) -> io::Result<()> {
        if !is_private_anonymous(pages) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.register(pages)?;
        self.protect(pages, PROTECT)
    }

    /// Stops watching the pages of a range: writing them costs nothing more.
    ///
    /// # Errors
    /// Whatever the kernel says, such as that it is not watched.
    pub fn release(&self, pages: &Range<usize>) -> io::Result<()> {
        self.protect(pages, 0)
    }

    /// Gives the ranges that may have been written since they were last asked for, and watches them again.
    ///
    /// # Errors
    /// Whatever the kernel says: of a range that is not watched, or not any more. Then nothing is known of
    /// it, also not of what was given before the error.
    pub fn written(
        &mut self,
        pages: &Range<usize>,
        give: impl FnMut(Range<usize>),
    ) -> io::Result<()> {
        self.scan(pages.clone(), give)?;
        // It is watched, as the scan has checked; that it is by this line shows here, as it can be by one
        // only. What is registered already stays as it is.
        self.register(pages)
    }

    fn scan(&mut self, pages: Range<usize>, mut give: impl FnMut(Range<usize>)) -> io::Result<()> {
        let (mut at, end) = (pages.start as u64, pages.end as u64);
        loop {
            let mut scan = ScanWords {
                size: size_of::<ScanWords>() as u64,
                flags: SCAN_WP_MATCHING | SCAN_CHECK_WPASYNC,
                start: at,
                end,
                walk_end: 0,
                vec: self.regions.as_mut_ptr() as u64,
                vec_len: self.regions.len() as u64,
                max_pages: 0,
                // Written, or not present: nothing is known of what is not there.
                category_inverted: PAGE_IS_PRESENT,
                category_mask: 0,
                category_anyof_mask: PAGE_IS_WRITTEN | PAGE_IS_PRESENT,
                return_mask: PAGE_IS_WRITTEN,
            };
            // SAFETY: the words are those of this request, and the vector has as many regions as they say.
            let count = unsafe { request(&self.pagemap, IOCTL_PAGEMAP_SCAN, &raw mut scan) }?;
            for region in &self.regions[..count.min(self.regions.len())] {
                give(region.start as usize..region.end as usize);
            }
            if scan.walk_end >= end || scan.walk_end <= at {
                let whole = scan.walk_end >= end;
                return if whole { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            at = scan.walk_end;
        }
    }

    fn register(&self, pages: &Range<usize>) -> io::Result<()> {
        let mut words = range_words(pages, MODE_WP);
        // SAFETY: the words are those of this request. A write to the range is resolved by the kernel: no
        // access of this process changes its meaning.
        unsafe { request(&self.userfaultfd, IOCTL_REGISTER, &raw mut words) }.map(|_| ())
    }

    fn protect(&self, pages: &Range<usize>, mode: u64) -> io::Result<()> {
        let mut words = range_words(pages, mode);
        // SAFETY: as for `register`; the request reads the first three words.
        unsafe { request(&self.userfaultfd, IOCTL_WRITEPROTECT, &raw mut words) }.map(|_| ())
    }
}

fn range_words(pages: &Range<usize>, mode: u64) -> RangeWords {
    RangeWords { start: pages.start as u64, len: pages.len() as u64, mode, ioctls: 0 }
}

/// # Safety
/// The words are those that the request reads and writes.
unsafe fn request<T>(fd: &OwnedFd, number: u64, words: *mut T) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let answer = unsafe { libc::ioctl(fd.as_raw_fd(), number as _, words) };
    usize::try_from(answer).map_err(|_| io::Error::last_os_error())
}

/// Whether all of a range is private memory of no file, which only this process writes.
fn is_private_anonymous(range: &Range<usize>) -> bool {
    fs::read_to_string("/proc/self/maps").is_ok_and(|maps| covers(&maps, range))
}

/// Whether lines of `/proc/self/maps` that are private, writable and of no file cover a range.
fn covers(maps: &str, range: &Range<usize>) -> bool {
    let mut at = range.start;
    for line in maps.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(place), Some(rights), Some(inode)) = (words.next(), words.next(), words.nth(2))
        else {
            return false;
        };
        let place = place.split_once('-').map(|(from, to)| {
            (usize::from_str_radix(from, 16).ok(), usize::from_str_radix(to, 16).ok())
        });
        let Some((Some(from), Some(to))) = place else { return false };
        if to <= at || from >= range.end {
            continue;
        }
        if from > at || inode != "0" || !(rights.starts_with("rw") && rights.ends_with('p')) {
            return false;
        }
        at = to;
    }
    at >= range.end
}

/// Whether pages of this process are pinned for long, so that a device or the kernel may write them
/// without a trace; also if that cannot be known.
pub fn pinned() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPin:"));
    line.and_then(|line| line.split_ascii_whitespace().next()) != Some("0")
}

#[cfg(test)]
mod tests;
