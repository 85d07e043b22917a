//! Ring positions and doorbells, with one thread; the models are in `loom`.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use mainstay_comm::bell;
use mainstay_comm::ring::{Broken, Consumer, Producer, chunk_bytes, frame_bytes};
use mainstay_types::limits::{CHUNK_BYTES, FRAME_HEADER_BYTES, RING_BYTES_MIN};

use super::random::Random;

#[test]
fn frames_are_whole_lines_and_several_fit() {
    assert_eq!(frame_bytes(0), 64);
    assert_eq!(frame_bytes(1), 128);
    assert_eq!(frame_bytes(64), 128);
    assert_eq!(frame_bytes(65), 192);
    assert_eq!(chunk_bytes(RING_BYTES_MIN), RING_BYTES_MIN / 4);
    assert_eq!(chunk_bytes(1 << 20), CHUNK_BYTES);
    assert!(chunk_bytes(RING_BYTES_MIN).is_multiple_of(FRAME_HEADER_BYTES));
}

#[test]
fn a_full_ring_takes_no_more_until_room_is_given_back() {
    let (head, tail) = (AtomicU64::new(0), AtomicU64::new(0));
    let (mut p, mut c) = (Producer::new(256), Consumer::new(256));
    assert_eq!(c.available(&head), Ok(0));
    assert_eq!(p.has_room(&tail, 256), Ok(true));
    assert_eq!(p.has_room(&tail, 257), Ok(false));
    p.publish(&head, 192);
    assert_eq!((p.position(), p.has_room(&tail, 128)), (192, Ok(false)));
    assert_eq!((c.position(), c.available(&head)), (0, Ok(192)));
    assert!(c.release(&tail, 128), "half a ring is due to be told");
    assert_eq!((c.position(), c.available(&head)), (128, Ok(64)));
    assert_eq!(p.has_room(&tail, 128), Ok(true));
}

#[test]
fn the_writer_is_told_once_for_each_quarter() {
    let (head, tail) = (AtomicU64::new(0), AtomicU64::new(0));
    let (mut p, mut c) = (Producer::new(1024), Consumer::new(1024));
    let mut told = 0;
    for _ in 0..64 {
        p.publish(&head, 64);
        assert_eq!(c.available(&head), Ok(64));
        told += u32::from(c.release(&tail, 64));
    }
    assert_eq!(told, 16);
}

#[test]
fn a_crowded_ring_is_one_where_a_full_frame_does_not_fit() {
    let head = AtomicU64::new(0);
    let (mut p, mut c) = (Producer::new(256), Consumer::new(256));
    p.publish(&head, 128);
    assert_eq!(c.is_crowded(&head, 128), Ok(false));
    p.publish(&head, 64);
    assert_eq!(c.is_crowded(&head, 128), Ok(true));
}

#[test]
fn positions_that_contradict_the_ring_are_refused() {
    let word = |value| AtomicU64::new(value);
    let mut p = Producer::new(256);
    p.publish(&word(0), 256);
    assert_eq!(p.has_room(&word(257), 64), Err(Broken), "read more than written");
    assert_eq!(p.has_room(&word(128), 64), Ok(true));
    p.publish(&word(0), 128);
    assert_eq!(p.has_room(&word(64), 64), Err(Broken), "gone back");
    let mut c = Consumer::new(256);
    assert_eq!(c.available(&word(257)), Err(Broken), "more than fits");
    assert_eq!(c.is_crowded(&word(128), 64), Ok(false));
    assert_eq!(c.is_crowded(&word(64), 64), Err(Broken), "gone back");
}

/// Against a plain counter: whatever the order of calls, no byte is lost or invented, and a writer
/// without room for a quarter leaves a reader that has something to take.
#[test]
fn random_calls_keep_the_invariant() {
    for seed in 0..200 {
        let mut random = Random(seed);
        let (head, tail) = (AtomicU64::new(0), AtomicU64::new(0));
        let capacity = 64 << (2 + random.below(6));
        let (mut p, mut c) = (Producer::new(capacity), Consumer::new(capacity));
        let (mut written, mut read, mut told_at) = (0_u64, 0_u64, 0_u64);
        for _ in 0..2000 {
            let bytes = 64 * (1 + random.below(capacity as u64 / 64 / 4));
            if random.below(2) == 0 {
                let fits = written - read + bytes <= capacity as u64;
                assert_eq!(p.has_room(&tail, bytes), Ok(fits), "seed {seed}");
                if fits {
                    p.publish(&head, bytes);
                    written += bytes;
                } else {
                    let missed = read - told_at;
                    assert!(missed < capacity as u64 / 4 && written > read, "seed {seed}");
                }
            } else {
                let available = c.available(&head).unwrap();
                assert!(available <= written - read);
                assert_eq!(available == 0, written == read, "seed {seed}");
                if available > 0 {
                    let bytes = bytes.min(available);
                    read += bytes;
                    if c.release(&tail, bytes) {
                        told_at = read;
                    }
                }
            }
            assert_eq!(head.load(Ordering::Relaxed), written);
            assert_eq!(tail.load(Ordering::Relaxed), read);
        }
    }
}

#[test]
fn a_bell_is_rung_only_for_a_sleeper_and_changes_what_it_sleeps_on() {
    let (waiting, count) = (AtomicU32::new(0), AtomicU32::new(u32::MAX));
    assert!(!bell::is_needed(&waiting));
    let seen = bell::prepare(&waiting, &count);
    assert!(bell::is_needed(&waiting));
    bell::ring(&count);
    assert_ne!(count.load(Ordering::Relaxed), seen);
    bell::cancel(&waiting);
    assert!(!bell::is_needed(&waiting));
}
