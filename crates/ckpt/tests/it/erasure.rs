//! Erasure codes against the `reed-solomon-erasure` crate's field, all kernels against each other, and
//! every loss that a code is for.

use mainstay_ckpt::erasure::field::{inverse, product};
use mainstay_ckpt::erasure::{Code, CodeError, Combination, Kernel, SHARDS_MAX};
use reed_solomon_erasure::galois_8 as oracle;

use crate::random::Random;

const GUARD: u8 = 0xA5;

/// Data and parity of a code over random bytes, in one vector.
fn shards(code: Code, bytes: usize, seed: u64) -> Vec<Vec<u8>> {
    let mut random = Random(seed);
    let data: Vec<_> = (0..code.data()).map(|_| random.bytes(bytes)).collect();
    let parity = applied(&code.encoder(), Kernel::best(), &data.iter().collect::<Vec<_>>());
    data.into_iter().chain(parity).collect()
}

/// The outputs, each within guarded memory at an odd place.
fn applied(sums: &Combination, kernel: Kernel, inputs: &[&Vec<u8>]) -> Vec<Vec<u8>> {
    let bytes = inputs[0].len();
    let mut rooms = vec![vec![GUARD; bytes + 130]; sums.outputs()];
    let places = 1..64;
    {
        let mut outputs: Vec<_> = rooms
            .iter_mut()
            .zip(places.clone().cycle())
            .map(|(room, place)| &mut room[place..place + bytes])
            .collect();
        let inputs: Vec<&[u8]> = inputs.iter().map(|input| &input[..]).collect();
        sums.apply_with(kernel, &inputs, &mut outputs);
    }
    let whole = |(room, place): (&Vec<u8>, usize)| {
        let (before, after) = (&room[..place], &room[place + bytes..]);
        assert!(before.iter().chain(after).all(|byte| *byte == GUARD), "{}", kernel.name());
        room[place..place + bytes].to_vec()
    };
    rooms.iter().zip(places.cycle()).map(whole).collect()
}

/// All subsets of so many of so many.
fn subsets(of: usize, count: usize) -> Vec<Vec<usize>> {
    let all = 0_u32..1 << of;
    let chosen = all.filter(|set| set.count_ones() as usize == count);
    chosen.map(|set| (0..of).filter(|i| set >> i & 1 == 1).collect()).collect()
}

#[test]
fn the_field_is_that_of_storage() {
    for a in 0..=255 {
        for b in 0..=255 {
            assert_eq!(product(a, b), oracle::mul(a, b), "{a} {b}");
        }
        assert_eq!(inverse(a), if a == 0 { 0 } else { oracle::div(1, a) }, "{a}");
    }
}

#[test]
fn parity_is_what_another_field_makes_of_the_same_matrix() {
    for (k, m) in [(1, 1), (3, 2), (4, 2), (10, 4), (128, 127), (254, 1)] {
        let code = Code::new(k, m).unwrap();
        let shards = shards(code, 33, 7);
        for (parity, found) in shards[k..].iter().enumerate() {
            let factor = |j: usize| {
                let element = |i: usize| (k + i) as u8 ^ j as u8;
                oracle::div(element(0), element(parity))
            };
            let term = |at: usize| (0..k).map(move |j| (j, at));
            for (at, found) in found.iter().enumerate() {
                let expected = term(at)
                    .map(|(j, at)| oracle::mul(factor(j), shards[j][at]))
                    .fold(0, |sum, term| sum ^ term);
                assert_eq!(*found, expected, "{k}+{m}, parity {parity}, byte {at}");
            }
        }
    }
}

#[test]
fn the_first_parity_is_the_exclusive_or() {
    let shards = shards(Code::new(5, 3).unwrap(), 100, 3);
    let xor = |at: usize| shards[..5].iter().fold(0, |sum, shard| sum ^ shard[at]);
    assert!((0..100).all(|at| shards[5][at] == xor(at)));
}

#[test]
fn kernels_agree_for_all_shapes_and_lengths() {
    for (k, m) in [(1, 1), (2, 1), (4, 2), (8, 3), (9, 4), (17, 5), (40, 9), (200, 55)] {
        if cfg!(miri) && k > 20 {
            continue;
        }
        let code = Code::new(k, m).unwrap();
        let lengths: &[usize] = if cfg!(miri) {
            // Slow, but it has every kernel, and sees each access.
            &[0, 1, 129, 300]
        } else if k > 100 {
            &[129, 4097]
        } else {
            &[0, 1, 63, 64, 65, 127, 128, 129, 4095, 4096, 9000]
        };
        for bytes in lengths {
            let shards = shards(code, *bytes, 11 + *bytes as u64);
            let data: Vec<_> = shards[..k].iter().collect();
            for kernel in Kernel::available() {
                let parity = applied(&code.encoder(), kernel, &data);
                assert!(parity == shards[k..], "{} {k}+{m} {bytes}", kernel.name());
            }
        }
    }
}

#[test]
fn every_loss_that_a_code_is_for_is_rebuilt_and_one_more_is_refused() {
    let mut losses = 0;
    for (k, m) in [(1, 1), (2, 1), (1, 3), (3, 2), (4, 2), (4, 4), (6, 3), (8, 4)] {
        let code = Code::new(k, m).unwrap();
        let all = shards(code, 70, 5);
        for count in 1..=m {
            for lost in subsets(k + m, count) {
                let left: Vec<_> = (0..k + m).filter(|shard| !lost.contains(shard)).collect();
                let rebuilder = code.rebuilder(&left, &lost).unwrap();
                let inputs: Vec<_> = left[..k].iter().map(|shard| &all[*shard]).collect();
                for kernel in Kernel::available() {
                    let found = applied(&rebuilder, kernel, &inputs);
                    let same = lost.iter().zip(&found).all(|(shard, bytes)| all[*shard] == *bytes);
                    assert!(same, "{} {k}+{m} without {lost:?}", kernel.name());
                }
                losses += 1;
            }
        }
        let left: Vec<_> = (m + 1..k + m).collect();
        let refused = code.rebuilder(&left, &[0]);
        assert_eq!(refused, Err(CodeError::TooFew { left: k - 1, needed: k }));
    }
    assert_eq!(losses, 2 + 3 + 14 + 15 + 21 + 162 + 129 + 793);
}

#[test]
fn what_is_no_code_or_no_shard_of_it_is_named() {
    for (data, parity) in [(0, 1), (1, 0), (SHARDS_MAX, 1), (usize::MAX, 1)] {
        assert_eq!(Code::new(data, parity), Err(CodeError::Size { data, parity }));
    }
    let code = Code::new(3, 2).unwrap();
    assert_eq!(code.rebuilder(&[0, 1, 5], &[2]), Err(CodeError::Shard(5)));
    assert_eq!(code.rebuilder(&[0, 1, 3], &[7]), Err(CodeError::Shard(7)));
    assert_eq!(code.rebuilder(&[0, 3, 3, 1], &[2]), Err(CodeError::Shard(3)));
    assert_eq!(code.rebuilder(&[0, 3, 4, 4], &[1]).unwrap().inputs(), 3);
}
