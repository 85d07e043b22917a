//! Segments, arenas and blobs: what is given by descriptor arrives, what must not change cannot.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use mainstay_ckpt::format::memory::{ReadAt, WriteAt};
use mainstay_ckpt::kernel::Residency;
use mainstay_comm::layout::{Control, Layout, Status};
use mainstay_host::shm::futex::{self, Woken};
use mainstay_host::shm::{Arena, Blob, OWNER_DIED, Segment, allocate_arena};
use mainstay_types::limits::RING_BYTES_MIN;
use mainstay_types::{Rank, crc32c};

fn layout(n: u32) -> Layout {
    Layout::new(n, RING_BYTES_MIN).unwrap()
}

fn given(fd: impl AsFd) -> OwnedFd {
    fd.as_fd().try_clone_to_owned().unwrap()
}

#[test]
fn a_rank_sees_the_supervisors_words_and_the_other_way_round() {
    let supervisor = Segment::create(layout(2)).unwrap();
    let fd = given(supervisor.fd().unwrap());
    let rank = Segment::join(&fd, layout(2), Rank(1)).unwrap();
    supervisor.control(Control::Epoch).store(7, SeqCst);
    assert_eq!(rank.control(Control::Epoch).load(SeqCst), 7);
    rank.status(Rank(1), Status::Step).store(9, SeqCst);
    assert_eq!(supervisor.status(Rank(1), Status::Step).load(SeqCst), 9);
    assert!(rank.fd().is_none());
}

#[cfg(target_env = "gnu")]
#[test]
fn a_claimed_lane_stays_mapped_and_is_marked_when_its_thread_ends() {
    let supervisor = Segment::create(layout(2)).unwrap();
    let fd = given(supervisor.fd().unwrap());
    let died = || supervisor.owner(Rank(1)).load(SeqCst) & OWNER_DIED != 0;
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let rank = Rc::new(Segment::join(&fd, layout(2), Rank(1)).unwrap());
            rank.claim(Rank(1)).unwrap();
            // The lock is in the thread's list of robust locks, whoever still holds the segment.
            drop(rank);
            assert!(!died());
        });
        thread.join().unwrap();
    });
    // The kernel marks before it says that the thread has ended.
    assert!(died());
}

#[test]
fn ring_bytes_wrap_and_keep_their_checksum() {
    let segment = Segment::create(layout(2)).unwrap();
    let text: Vec<u8> = (0..=255).cycle().take(1000).collect();
    let near_end = RING_BYTES_MIN as u64 * 3 - 500;
    let ring = segment.layout().ring(Rank(1), Rank(0));
    assert_eq!(segment.ring_in(ring, near_end, &text), crc32c(&text));
    let mut back = vec![0; text.len()];
    assert_eq!(segment.ring_out(ring, near_end, &mut back), crc32c(&text));
    assert_eq!(back, text);
    let mut start = [0; 500];
    segment.ring_out(ring, 0, &mut start);
    assert_eq!(start, text[500..]);
}

#[test]
fn a_new_epoch_starts_with_empty_rings_and_no_waits() {
    let segment = Segment::create(layout(3)).unwrap();
    assert!(segment.rings_at_rest());
    segment.head(Rank(2), Rank(1)).store(64, SeqCst);
    segment.waiting(Rank(0)).store(1, SeqCst);
    assert!(!segment.rings_at_rest());
    segment.reset_channels();
    assert!(segment.rings_at_rest());
    assert_eq!(segment.waiting(Rank(0)).load(SeqCst), 0);
}

#[test]
fn a_segment_of_another_shape_is_refused() {
    let supervisor = Segment::create(layout(2)).unwrap();
    let fd = given(supervisor.fd().unwrap());
    assert!(Segment::join(&fd, layout(3), Rank(0)).is_err());
    supervisor.control(Control::Magic).store(1, SeqCst);
    assert!(Segment::join(&fd, layout(2), Rank(0)).is_err());
}

#[test]
fn an_arena_is_shared_and_checks_its_size() {
    let (fd, bytes) = allocate_arena(10_000).unwrap();
    assert_eq!(bytes, 12_288);
    let rank = Arena::writable(given(&fd), bytes).unwrap();
    let hint = Residency::Cached;
    assert_eq!((&rank).write_at(5000, b"123456789", hint), 0xE306_9283);
    let supervisor = Arena::readable(given(&fd), bytes).unwrap();
    let mut back = [0; 9];
    assert_eq!(supervisor.read_at(5000, &mut back, hint), Ok(0xE306_9283));
    assert_eq!(&back, b"123456789");
    assert!(supervisor.read_at(bytes - 8, &mut back, hint).is_err());
    assert!(Arena::writable(fd, 4096).is_err());
}

#[test]
fn an_arena_of_large_pages_keeps_its_bytes_and_its_size() {
    let asked = (9 << 20) + 4096 + 10;
    let (fd, bytes) = allocate_arena(asked).unwrap();
    let written: Vec<u8> = (0..bytes).map(|i| (i / 4093) as u8).collect();
    let first = Arena::writable(given(&fd), bytes).unwrap();
    let hint = Residency::Streaming;
    let sum = (&first).write_at(0, &written, hint);
    // The next incarnation maps it again, the drain reads it, the one before may still be there.
    let next = Arena::writable(given(&fd), bytes).unwrap();
    let drain = Arena::readable(given(&fd), bytes).unwrap();
    for arena in [&first, &next, &drain] {
        let mut back = vec![0; written.len()];
        assert_eq!(arena.read_at(0, &mut back, hint), Ok(sum));
        assert!(back == written);
    }
    (&next).write_at(bytes - 4, b"last", Residency::Cached);
    drop(next);
    let mut back = [0; 4];
    drain.read_at(bytes - 4, &mut back, Residency::Cached).unwrap();
    assert_eq!(&back, b"last");
    assert!(Arena::writable(fd, bytes - 4096).is_err(), "another size");
}

#[test]
fn a_blob_reads_back_and_can_never_change() {
    let blob = Blob::create("test", &[b"1234", b"", b"56789"]).unwrap();
    assert_eq!(&*blob, b"123456789");
    assert_eq!(blob.crc(), 0xE306_9283);
    assert!(rustix::io::write(&blob, b"x").is_err());
    let other = Blob::open(given(&blob), 9).unwrap();
    assert_eq!(&*other, b"123456789");
    assert!(Blob::open(given(&blob), 8).is_err());
    let empty = Blob::create("test", &[]).unwrap();
    assert!(empty.is_empty());
    let (arena, bytes) = allocate_arena(4096).unwrap();
    assert!(Blob::open(arena, bytes).is_err(), "an arena may change");
}

#[test]
fn a_wait_ends_at_a_change_or_at_its_bound() {
    let segment = Segment::create(layout(1)).unwrap();
    let bell = segment.bell(Rank(0));
    let soon = Duration::from_millis(1);
    assert_eq!(futex::wait(bell, 0, soon), Woken::TimedOut);
    segment.ring_all();
    assert_eq!(futex::wait(bell, 0, soon), Woken::Changed);
}
