//! Whatever sources send and receives take: the memory holds, and so do the shares.

use mainstay_comm::credits::{Credits, MESSAGE_COST_BYTES};
use mainstay_types::Rank;

use crate::random::Random;

/// Payload of a message that costs so much.
fn payload(cost: u64) -> u64 {
    cost - MESSAGE_COST_BYTES
}

#[test]
fn a_source_has_its_share_and_what_is_left_of_the_pool() {
    const UNIT: u64 = MESSAGE_COST_BYTES;
    // Shares of two units, a pool of four.
    let mut credits = Credits::new(2, 8 * UNIT);
    let (noisy, quiet) = (Rank(0), Rank(1));
    assert_eq!(credits.share(), 2 * UNIT);
    for _ in 0..6 {
        assert!(credits.admit(noisy, 0));
    }
    assert!(!credits.admit(noisy, 0), "its share and the pool are full");
    assert!(credits.admit(quiet, 0) && credits.admit(quiet, 0));
    assert!(!credits.admit(quiet, 0));
    assert_eq!(credits.used(), 8 * UNIT);
    // What the noisy one gives back is the pool's first.
    credits.refund(noisy, 0);
    assert!(credits.admit(quiet, 0));
    assert!(!credits.admit(noisy, 0));
    // What has to be kept is kept, and its source pays for it later.
    credits.charge(noisy, payload(4 * UNIT));
    credits.refund(quiet, 0);
    assert!(!credits.admit(quiet, 0), "the pool is overdrawn, and it is beyond its share");
    credits.refund(quiet, 0);
    assert!(credits.admit(quiet, 0), "within its share");
    credits.clear();
    assert_eq!(credits.used(), 0);
    assert!(credits.admit(noisy, payload(6 * UNIT)) && !credits.admit(noisy, 0));
}

#[test]
fn what_no_memory_holds_is_refused_without_a_trace() {
    let mut credits = Credits::new(3, 0);
    assert!(!credits.admit(Rank(0), 0), "also an empty one costs something");
    let mut credits = Credits::new(3, 1 << 20);
    for bytes in [u64::MAX, 1 << 40, 1 << 20] {
        assert!(!credits.admit(Rank(2), bytes));
    }
    assert_eq!(credits.used(), 0);
}

#[test]
#[should_panic(expected = "paid for before")]
fn nothing_is_given_back_twice() {
    let mut credits = Credits::new(1, 1 << 20);
    assert!(credits.admit(Rank(0), 9));
    credits.refund(Rank(0), 9);
    credits.refund(Rank(0), 9);
}

/// Every sequence of six calls with messages of one and two units, for every small memory: the
/// account agrees with one that is kept by hand.
#[test]
fn every_short_history_keeps_the_bound_and_the_shares() {
    const UNIT: u64 = MESSAGE_COST_BYTES;
    for units in 0..8_u64 {
        let bytes = units * UNIT;
        for history in 0..6_u64.pow(6) {
            let mut credits = Credits::new(2, bytes);
            let mut kept: [Vec<u64>; 2] = [Vec::new(), Vec::new()];
            let mut rest = history;
            for _ in 0..6 {
                let (call, source) = (rest % 3, (rest / 3 % 2) as usize);
                rest /= 6;
                let rank = Rank(source as u32);
                match call {
                    0 => {
                        if let Some(bytes) = kept[source].pop() {
                            credits.refund(rank, bytes);
                        }
                    }
                    size => {
                        let message = payload(size * UNIT);
                        check(&mut credits, &mut kept, source, message, bytes);
                    }
                }
            }
        }
    }
}

/// Thousands of seeded histories of seven sources with messages of all sizes.
#[test]
fn long_histories_keep_the_bound_and_the_shares() {
    for seed in 0..2000 {
        let mut random = Random(seed);
        let bytes = random.below(200_000);
        let mut credits = Credits::new(7, bytes);
        let mut kept: [Vec<u64>; 7] = std::array::from_fn(|_| Vec::new());
        for _ in 0..300 {
            let source = random.below(7) as usize;
            match random.below(5) {
                0 | 1 if !kept[source].is_empty() => {
                    let at = random.below(kept[source].len() as u64) as usize;
                    credits.refund(Rank(source as u32), kept[source].swap_remove(at));
                }
                _ => {
                    let shift = random.below(17);
                    let message = random.below(1 << shift);
                    check(&mut credits, &mut kept, source, message, bytes);
                }
            }
        }
        for (rank, messages) in Rank::all(7).zip(&kept) {
            messages.iter().for_each(|bytes| credits.refund(rank, *bytes));
        }
        assert_eq!(credits.used(), 0, "seed {seed}");
    }
}

/// Admits a message if the account does, and asserts that it had to, or must not have.
fn check<const N: usize>(
    credits: &mut Credits,
    kept: &mut [Vec<u64>; N],
    source: usize,
    message: u64,
    bytes: u64,
) {
    let cost = |messages: &Vec<u64>| -> u64 {
        messages.iter().map(|payload| payload + MESSAGE_COST_BYTES).sum()
    };
    let admitted = credits.admit(Rank(source as u32), message);
    let own = cost(&kept[source]) + message + MESSAGE_COST_BYTES;
    if own <= credits.share() {
        assert!(admitted, "within its share");
    }
    if admitted {
        kept[source].push(message);
    }
    let used: u64 = kept.iter().map(cost).sum();
    assert_eq!(credits.used(), used);
    assert!(used <= bytes, "{used} of {bytes}");
}
