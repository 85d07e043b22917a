//! Boards under loom: nobody sleeps through the last post, and no area is filled while it is read.
//!
//! Areas are cells that loom guards against races, and a sleep has no bound, as in `ring_loom`.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering, fence};
use loom::thread;

use mainstay_comm::board::{Line, Note, Shown, WORDS, area};
use mainstay_types::Epoch;

use super::ring_loom::{Bell, Frame, Life, W64, model};

const E: Epoch = Epoch(1);

/// A rank's line, areas and bell.
struct Rank {
    words: [AtomicU64; WORDS],
    areas: [Frame; 2],
    bell: Bell,
}

impl Rank {
    fn new() -> Self {
        let words = std::array::from_fn(|_| AtomicU64::new(0));
        Self { words, areas: [Frame::default(), Frame::default()], bell: Bell::default() }
    }

    fn with<T>(&self, body: impl FnOnce(&Line<'_, W64<'_>>) -> T) -> T {
        let life = Life::endless();
        let words: [W64<'_>; WORDS] = std::array::from_fn(|i| W64(&self.words[i], &life));
        body(&Line(&words))
    }

    fn has_come(&self, round: u64) -> bool {
        self.with(|line| line.has_come(round))
    }
}

/// What `host` does: fill, post, fence, look, wake or sleep, read.
fn take_part(ranks: &[Rank], me: usize, round: u64) {
    let life = Life::endless();
    let note = Note { colour: 0, kind: 1, total: round };
    ranks[me].areas[area(round)].write(round + 1);
    ranks[me].with(|line| line.post(E, round, note));
    fence(Ordering::SeqCst);
    let met = || ranks.iter().all(|rank| rank.has_come(round));
    if met() {
        for other in ranks.iter().enumerate().filter(|(i, _)| *i != me).map(|(_, rank)| rank) {
            if other.bell.waiting.load(Ordering::Relaxed) != 0 {
                other.bell.ring(&life);
            }
        }
    }
    while !met() {
        ranks[me].bell.sleep_unless(&life, met);
    }
    for rank in ranks {
        assert_eq!(rank.with(|line| line.look(E, round)), Shown::Here(note));
        assert_eq!(rank.areas[area(round)].read(), round + 1);
    }
}

fn run(n: usize, rounds: u64) {
    let ranks: Arc<Vec<Rank>> = Arc::new((0..n).map(|_| Rank::new()).collect());
    let others: Vec<_> = (1..n)
        .map(|me| {
            let ranks = Arc::clone(&ranks);
            thread::spawn(move || (0..rounds).for_each(|round| take_part(&ranks, me, round)))
        })
        .collect();
    (0..rounds).for_each(|round| take_part(&ranks, 0, round));
    others.into_iter().for_each(|other| other.join().unwrap());
}

#[test]
fn two_ranks_meet_in_every_round_and_read_what_was_shown() {
    model(|| run(2, 3));
}

#[test]
fn the_last_of_three_wakes_the_others() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(|| run(3, 1));
}
