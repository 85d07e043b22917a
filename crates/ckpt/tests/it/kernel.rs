//! Every kernel against the `crc32c` crate, over all lengths, alignments and seeds that matter.

use mainstay_ckpt::kernel::{Kernel, STREAM_BYTES_MIN, crc_of};
use mainstay_ckpt::{Residency, copy_crc};
use mainstay_types::crc32c_append;

use crate::random::Random;

const HINTS: [Residency; 2] = [Residency::Cached, Residency::Streaming];
const GUARD: u8 = 0xA5;

/// Copies within guarded memory and compares bytes, sum and guards.
fn check(kernel: Kernel, data: &[u8], dst_at: usize, crc: u32, hint: Residency) {
    let mut memory = vec![GUARD; dst_at + data.len() + 64];
    let end = dst_at + data.len();
    let found = kernel.copy_crc(&mut memory[dst_at..end], data, crc, hint);
    let what = (kernel.name(), data.len(), dst_at, crc, hint);
    assert_eq!(found, crc32c_append(crc, data), "{what:?}");
    assert!(&memory[dst_at..end] == data, "{what:?}");
    let (before, after) = (&memory[..dst_at], &memory[end..]);
    assert!(before.iter().chain(after).all(|b| *b == GUARD), "{what:?}");
}

#[test]
fn every_length_to_4096_agrees() {
    let mut random = Random(1);
    let data = random.bytes(4096 + 64);
    for kernel in Kernel::available() {
        for len in 0..=4096 {
            let (from, to) = (random.below(64) as usize, random.below(64) as usize);
            let crc = random.next() as u32;
            check(kernel, &data[from..from + len], to, crc, Residency::Cached);
        }
    }
}

#[test]
fn every_alignment_agrees() {
    let data = Random(2).bytes(1024);
    for kernel in Kernel::available() {
        for from in 0..33 {
            for to in 0..33 {
                for len in [0, 1, 31, 255, 256, 257, 500, 900] {
                    let part = &data[from..from + len];
                    check(kernel, part, to, 0, Residency::Cached);
                }
            }
        }
    }
}

#[test]
fn streamed_copies_agree() {
    let mut random = Random(3);
    let data = random.bytes(STREAM_BYTES_MIN + 8192);
    for kernel in Kernel::available() {
        for hint in HINTS {
            for around in [0, 1, 33, 127, 4095] {
                for to in [0, 1, 8, 31, 32, 63] {
                    let len = STREAM_BYTES_MIN - 1 + around;
                    let from = random.below(64) as usize;
                    let crc = random.next() as u32;
                    check(kernel, &data[from..from + len], to, crc, hint);
                }
            }
        }
    }
}

#[test]
fn pieces_sum_to_the_whole() {
    let mut random = Random(4);
    let data = random.bytes(100_000);
    for kernel in Kernel::available() {
        let mut copy = vec![0; data.len()];
        let (mut at, mut crc) = (0, 0);
        while at < data.len() {
            let end = (at + random.below(9000) as usize).min(data.len());
            crc = kernel.copy_crc(&mut copy[at..end], &data[at..end], crc, HINTS[at % 2]);
            at = end;
        }
        assert_eq!((crc, &copy), (mainstay_types::crc32c(&data), &data));
    }
}

#[test]
fn extreme_words_agree() {
    for byte in [0x00, 0xFF, 0x80, 0x01] {
        let data = vec![byte; 10_000];
        for kernel in Kernel::available() {
            for crc in [0, u32::MAX, 1, 1 << 31] {
                check(kernel, &data, 5, crc, Residency::Cached);
            }
        }
    }
}

#[test]
fn short_copies_and_sums_agree_with_the_crate() {
    let data: Vec<u8> = (0..600_usize).map(|i| (i * 131 + 7) as u8).collect();
    for len in 0..300 {
        let (from, crc) = (&data[len % 9..][..len], len as u32 * 77);
        let mut copy = vec![0; len];
        let found = copy_crc(&mut copy, from, crc, Residency::Cached);
        assert_eq!((found, copy.as_slice()), (mainstay_types::crc32c_append(crc, from), from));
    }
    fn sums<const N: usize>(data: &[u8]) {
        let bytes = data.first_chunk::<N>().unwrap();
        assert_eq!(crc_of(bytes), mainstay_types::crc32c(bytes), "{N} bytes");
    }
    sums::<0>(&data);
    sums::<3>(&data);
    sums::<8>(&data);
    sums::<13>(&data);
    sums::<60>(&data);
    sums::<64>(&data);
}

#[test]
fn the_best_kernel_is_the_last_available() {
    assert_eq!(Some(Kernel::best()), Kernel::available().last());
    assert_eq!(Kernel::ALL[0], Kernel::Portable);
}

#[test]
#[should_panic(expected = "a copy fills its destination")]
fn lengths_that_differ_are_a_broken_invariant() {
    copy_crc(&mut [0; 3], &[0; 4], 0, Residency::Cached);
}
