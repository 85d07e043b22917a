//! What the kernel does with pages that are watched: each way in which they change or go.

use std::io::Read;
use std::ptr;

use rustix::mm::{self, Advice, MapFlags, MremapFlags, ProtFlags};

use super::*;

const PAGE: usize = 4096;
const LARGE: usize = 2 << 20;
const PRIVATE: MapFlags = MapFlags::PRIVATE;

/// Pages of a mapping that end with it.
struct Pages {
    base: *mut u8,
    bytes: usize,
}

impl Pages {
    /// Private and anonymous, at a multiple of a large page, in large pages if wanted and there are any.
    fn new(bytes: usize, large: bool) -> Self {
        let (rw, whole) = (ProtFlags::READ | ProtFlags::WRITE, bytes + LARGE);
        // SAFETY: new memory at an address of the kernel's choice.
        let base = unsafe { mm::mmap_anonymous(ptr::null_mut(), whole, rw, PRIVATE) }.unwrap();
        let base = base.cast::<u8>();
        // SAFETY: within the mapping, which is longer by a large page.
        let base = unsafe { base.add(base.align_offset(LARGE)) };
        let advice = if large { Advice::LinuxHugepage } else { Advice::LinuxNoHugepage };
        // SAFETY: the mapping just made; the advice changes no byte.
        unsafe { mm::madvise(base.cast(), bytes, advice) }.unwrap();
        let mut pages = Self { base, bytes };
        pages.bytes_mut().fill(1);
        pages
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: a mapping of so many initialised bytes, borrowed with this value.
        unsafe { std::slice::from_raw_parts_mut(self.base, self.bytes) }
    }

    fn range(&self) -> Range<usize> {
        self.base as usize..self.base as usize + self.bytes
    }

    fn map_again(&self, from: usize, bytes: usize) {
        let (rw, flags) = (ProtFlags::READ | ProtFlags::WRITE, PRIVATE | MapFlags::FIXED);
        // SAFETY: within the mapping.
        let place = unsafe { self.base.add(from) };
        // SAFETY: it replaces pages of the mapping, which nobody borrows.
        unsafe { mm::mmap_anonymous(place.cast(), bytes, rw, flags) }.unwrap();
    }

    fn advise(&self, from: usize, bytes: usize, advice: Advice) {
        // SAFETY: within the mapping.
        let place = unsafe { self.base.add(from) };
        // SAFETY: pages of the mapping, which nobody borrows, and bytes of any value are valid.
        unsafe { mm::madvise(place.cast(), bytes, advice) }.unwrap();
    }
}

/// Page numbers that may have been written.
fn written(watcher: &mut Watcher, pages: &Pages) -> io::Result<Vec<usize>> {
    let (range, mut all) = (pages.range(), Vec::new());
    watcher.written(&range, |part| {
        all.extend((part.start - range.start) / PAGE..(part.end - range.start) / PAGE);
    })?;
    Ok(all)
}

fn watched(bytes: usize, large: bool) -> (Watcher, Pages) {
    let pages = Pages::new(bytes, large);
    let mut watcher = Watcher::open().unwrap();
    watcher.watch(&pages.range()).unwrap();
    assert_eq!(written(&mut watcher, &pages).unwrap(), [0; 0], "nothing yet");
    (watcher, pages)
}

/// Whether this system can watch at all; elsewhere there is nothing to test.
fn can_watch() -> bool {
    Watcher::open().is_ok()
}

#[test]
fn each_page_that_is_written_is_told_of_once() {
    if !can_watch() {
        return;
    }
    for large in [false, true] {
        let (mut watcher, mut pages) = watched(3 * LARGE, large);
        for page in [0, 1, 7, 511, 512, 1535] {
            pages.bytes_mut()[page * PAGE + page] ^= 1;
        }
        assert_eq!(written(&mut watcher, &pages).unwrap(), [0, 1, 7, 511, 512, 1535]);
        assert_eq!(written(&mut watcher, &pages).unwrap(), [0; 0]);
        // The same value again is a write as well.
        pages.bytes_mut()[9 * PAGE] = 1;
        assert_eq!(written(&mut watcher, &pages).unwrap(), [9]);
    }
}

#[test]
fn more_ranges_than_one_scan_gives_are_all_given() {
    if !can_watch() {
        return;
    }
    let (mut watcher, mut pages) = watched(16 * LARGE, false);
    let every_second: Vec<usize> = (0..16 * 512).step_by(2).collect();
    for page in &every_second {
        pages.bytes_mut()[page * PAGE] = 2;
    }
    assert!(every_second.len() > REGIONS);
    assert_eq!(written(&mut watcher, &pages).unwrap(), every_second);
}

#[test]
fn what_the_kernel_writes_for_the_program_is_told_of() {
    if !can_watch() {
        return;
    }
    let (mut watcher, mut pages) = watched(LARGE, false);
    let (mut from, to) = std::os::unix::net::UnixStream::pair().unwrap();
    std::io::Write::write_all(&mut &to, &[3; 100]).unwrap();
    from.read_exact(&mut pages.bytes_mut()[5 * PAGE..][..100]).unwrap();
    let mut zero = fs::File::open("/dev/zero").unwrap();
    zero.read_exact(&mut pages.bytes_mut()[8 * PAGE..10 * PAGE]).unwrap();
    rustix::rand::getrandom(
        &mut pages.bytes_mut()[20 * PAGE..][..8],
        rustix::rand::GetRandomFlags::empty(),
    )
    .unwrap();
    assert_eq!(written(&mut watcher, &pages).unwrap(), [5, 8, 9, 20]);
}

#[test]
fn pages_that_were_given_back_count_as_written() {
    if !can_watch() {
        return;
    }
    for large in [false, true] {
        let (mut watcher, pages) = watched(3 * LARGE, large);
        pages.advise(5 * PAGE, 2 * PAGE, Advice::LinuxDontNeed);
        // A whole large page, so that no table of pages is left either.
        pages.advise(LARGE, LARGE, Advice::LinuxDontNeed);
        let gone: Vec<usize> = [5, 6].into_iter().chain(512..1024).collect();
        assert_eq!(written(&mut watcher, &pages).unwrap(), gone);
        // Nobody has touched them since: nothing is known of them still.
        assert_eq!(written(&mut watcher, &pages).unwrap(), gone);
        let mut pages = pages;
        assert!(pages.bytes_mut()[LARGE..2 * LARGE].iter().all(|byte| *byte == 0));
        pages.bytes_mut()[LARGE + 3 * PAGE] = 1;
        assert!(written(&mut watcher, &pages).unwrap().contains(&515));
        // Read before anybody asks: they are present again, and were never written.
        pages.advise(9 * PAGE, PAGE, Advice::LinuxDontNeed);
        pages.advise(2 * LARGE, LARGE, Advice::LinuxDontNeed);
        assert_eq!((pages.bytes_mut()[9 * PAGE], pages.bytes_mut()[2 * LARGE + 5 * PAGE]), (0, 0));
        let now = written(&mut watcher, &pages).unwrap();
        assert!(now.contains(&9) && (1024..1536).all(|page| now.contains(&page)), "{large}");
        // What was only said to be of no more use.
        pages.bytes_mut()[20 * PAGE] = 4;
        written(&mut watcher, &pages).unwrap();
        pages.advise(20 * PAGE, PAGE, Advice::LinuxFree);
        let now = written(&mut watcher, &pages).unwrap();
        assert!(now.contains(&20) || pages.bytes_mut()[20 * PAGE] == 4);
    }
}

#[test]
fn new_memory_at_an_old_address_is_an_error() {
    if !can_watch() {
        return;
    }
    for (from, bytes) in [(0, LARGE), (0, PAGE), (LARGE - PAGE, PAGE), (7 * PAGE, 9 * PAGE)] {
        let (mut watcher, mut pages) = watched(LARGE, false);
        pages.map_again(from, bytes);
        pages.bytes_mut()[from] = 1;
        assert!(written(&mut watcher, &pages).is_err(), "{from} {bytes}");
        // Watched anew, it is like any other.
        pages.bytes_mut().fill(1);
        watcher.watch(&pages.range()).unwrap();
        pages.bytes_mut()[from] = 2;
        assert_eq!(written(&mut watcher, &pages).unwrap(), [from / PAGE]);
    }
}

#[test]
fn memory_that_was_moved_away_and_back_is_an_error() {
    if !can_watch() {
        return;
    }
    let (mut watcher, mut pages) = watched(LARGE, false);
    let other = Pages::new(LARGE, false);
    for (from, to) in [(pages.base, other.base), (other.base, pages.base)] {
        let (flags, bytes) = (MremapFlags::MAYMOVE, LARGE);
        // SAFETY: both are mappings of this test, which nobody borrows.
        unsafe { mm::mremap_fixed(from.cast(), bytes, bytes, flags, to.cast()) }.unwrap();
    }
    pages.bytes_mut()[PAGE] = 2;
    assert!(written(&mut watcher, &pages).is_err());
    watcher.watch(&pages.range()).unwrap();
    pages.bytes_mut()[2 * PAGE] = 2;
    assert_eq!(written(&mut watcher, &pages).unwrap(), [2]);
}

#[test]
fn a_range_of_another_userfaultfd_is_an_error() {
    if !can_watch() {
        return;
    }
    let (mut watcher, pages) = watched(LARGE, false);
    let mut other = Watcher::open().unwrap();
    assert!(other.watch(&pages.range()).is_err(), "one at a time");
    // The program takes new memory there and watches it itself.
    pages.map_again(0, LARGE);
    other.watch(&pages.range()).unwrap();
    assert!(written(&mut watcher, &pages).is_err());
    assert!(written(&mut other, &pages).is_ok());
    // What the other watches no more can be watched again.
    drop(other);
    let mut pages = pages;
    pages.bytes_mut().fill(1);
    watcher.watch(&pages.range()).unwrap();
    assert_eq!(written(&mut watcher, &pages).unwrap(), [0; 0]);
}

#[test]
fn rights_that_were_taken_and_given_back_hide_no_write() {
    if !can_watch() {
        return;
    }
    let (mut watcher, mut pages) = watched(LARGE, false);
    for rights in [mm::MprotectFlags::READ, mm::MprotectFlags::READ | mm::MprotectFlags::WRITE] {
        // SAFETY: the mapping of this test, which nobody writes meanwhile.
        unsafe { mm::mprotect(pages.base.cast(), LARGE / 2, rights) }.unwrap();
    }
    pages.bytes_mut()[3 * PAGE] = 2;
    pages.bytes_mut()[400 * PAGE] = 2;
    assert_eq!(written(&mut watcher, &pages).unwrap(), [3, 400]);
}

#[test]
fn a_child_hides_no_write_of_its_parent() {
    if !can_watch() {
        return;
    }
    let (mut watcher, mut pages) = watched(LARGE, false);
    pages.bytes_mut()[3 * PAGE] = 2;
    // SAFETY: the child does nothing but wait for its end.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: it takes no arguments that could be wrong, and returns when a signal comes.
        unsafe { libc::pause() };
        // SAFETY: _exit takes any code and does not return.
        unsafe { libc::_exit(0) };
    }
    assert!(child > 0);
    pages.bytes_mut()[4 * PAGE] = 2;
    assert_eq!(written(&mut watcher, &pages).unwrap(), [3, 4]);
    pages.bytes_mut()[4 * PAGE] = 3;
    pages.bytes_mut()[5 * PAGE] = 3;
    assert_eq!(written(&mut watcher, &pages).unwrap(), [4, 5]);
    // SAFETY: the child of this test, which was not waited for yet.
    unsafe { libc::kill(child, libc::SIGKILL) };
    let mut status = 0;
    // SAFETY: as above; the status is a local.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
}

#[test]
fn only_memory_that_nobody_else_writes_is_watched() {
    if !can_watch() {
        return;
    }
    let fd = super::super::super::shm::allocate_window(LARGE).unwrap();
    let rw = ProtFlags::READ | ProtFlags::WRITE;
    for flags in [MapFlags::SHARED, MapFlags::PRIVATE] {
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe { mm::mmap(ptr::null_mut(), LARGE, rw, flags, &fd, 0) }.unwrap();
        let pages = Pages { base: base.cast(), bytes: LARGE };
        let refused = Watcher::open().unwrap().watch(&pages.range()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::Unsupported, "{flags:?}");
    }
}

#[test]
fn pages_that_are_released_cost_and_hide_nothing() {
    if !can_watch() {
        return;
    }
    let (mut watcher, mut pages) = watched(LARGE, false);
    watcher.release(&pages.range()).unwrap();
    pages.bytes_mut()[PAGE] = 2;
    assert_eq!(written(&mut watcher, &pages).unwrap(), (0..512).collect::<Vec<_>>());
    assert!(!pinned());
}

#[test]
fn only_private_memory_of_no_file_is_covered() {
    let maps = "1000-3000 rw-p 00000000 00:00 0 \n\
                3000-5000 rw-p 00000000 00:00 0  [heap]\n\
                5000-6000 rw-s 00000000 00:01 7  /memfd:a (deleted)\n\
                6000-7000 rw-p 00000000 08:01 9  /data\n\
                8000-9000 r--p 00000000 00:00 0 \n\
                a000-b000 rw-p 00000000 00:00 0 \n";
    for (range, is) in [
        (0x1000..0x5000, true),
        (0x2000..0x4000, true),
        (0x0000..0x2000, false),
        (0x4000..0x6000, false),
        (0x6000..0x7000, false),
        (0x8000..0x9000, false),
        (0x9000..0xb000, false),
        (0xa000..0xb000, true),
        (0xa000..0xc000, false),
    ] {
        assert_eq!(covers(maps, &range), is, "{range:x?}");
    }
    assert!(!covers("garbage", &(0..1)));
}
