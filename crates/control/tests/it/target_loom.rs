//! The target protocol under loom: one supervisor, two ranks, every interleaving and every stale
//! load, and every party stopped for ever before any of its stores.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test -p mainstay-control --test it target_loom`.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use loom::sync::atomic::{AtomicU64, Ordering, fence};
use mainstay_control::target::words::{Target, Word};
use mainstay_types::{Step, Version};

/// How the party that owns a word dies.
struct Death;

/// A word as one party sees it. All words of a party share what is left of its life.
#[derive(Clone)]
struct Mortal {
    word: Arc<AtomicU64>,
    stores_left: Arc<AtomicUsize>,
}

impl Word for Mortal {
    fn load(&self) -> u64 {
        self.word.load(Ordering::Acquire)
    }

    fn store(&self, value: u64) {
        match self.stores_left.load(Relaxed) {
            0 => resume_unwind(Box::new(Death)),
            left => self.stores_left.store(left - 1, Relaxed),
        }
        self.word.store(value, Ordering::Release);
    }

    fn fence() {
        fence(Ordering::SeqCst);
    }
}

/// The words of the job: the target's three and a step for each rank.
struct Words {
    target: [Arc<AtomicU64>; 3],
    steps: [Arc<AtomicU64>; 2],
}

impl Words {
    fn new() -> Self {
        let word = || Arc::new(AtomicU64::new(0));
        Self { target: [word(), word(), word()], steps: [word(), word()] }
    }

    fn target(&self, life: &Arc<AtomicUsize>) -> Target<Mortal> {
        let [step, version, slot] = &self.target;
        Target {
            step: mortal(step, life),
            version: mortal(version, life),
            slot: mortal(slot, life),
        }
    }
}

fn mortal(word: &Arc<AtomicU64>, life: &Arc<AtomicUsize>) -> Mortal {
    Mortal { word: Arc::clone(word), stores_left: Arc::clone(life) }
}

/// Runs a party until it is through or dead; what it had done by then lies in `done`.
fn live(party: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(party))
        && !payload.is::<Death>()
    {
        resume_unwind(payload);
    }
}

type Capture = Option<(Version, u8)>;

/// One rank: completes steps `1..=steps`; gives back what it captured at each that it completed.
fn rank(target: &Target<Mortal>, own: &Mortal, steps: u64) -> Vec<Capture> {
    let mut completed = Vec::new();
    live(|| {
        for step in 1..=steps {
            completed.push(target.at_step(own, Step(step)));
        }
    });
    completed
}

/// The supervisor: proposes targets 1, 2, … until one holds; gives back the one that did.
fn supervisor(target: &Target<Mortal>, steps: &[Mortal], targets: u64) -> Option<u64> {
    let mut held = None;
    live(|| {
        for at in 1..=targets {
            target.publish(Version(at + 10), u8::try_from(at % 2).unwrap(), Step(at));
            if Target::holds(Step(at), steps.iter().cloned()) {
                held = Some(at);
                return;
            }
            target.withdraw();
        }
    });
    held
}

/// Explores the protocol with so many targets and steps; `lives` are the stores that the
/// supervisor and the ranks live for.
fn explore(targets: u64, steps: u64, lives: [usize; 3], preemptions: Option<usize>) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(move || {
        let words = Words::new();
        let life = lives.map(|stores| Arc::new(AtomicUsize::new(stores)));
        let ranks: Vec<_> = (0..2)
            .map(|r| {
                let target = words.target(&life[r + 1]);
                let own = mortal(&words.steps[r], &life[r + 1]);
                loom::thread::spawn(move || rank(&target, &own, steps))
            })
            .collect();
        let seen: Vec<_> = words.steps.iter().map(|step| mortal(step, &life[0])).collect();
        let held = supervisor(&words.target(&life[0]), &seen, targets);
        for rank in ranks {
            for (capture, step) in rank.join().unwrap().into_iter().zip(1..) {
                // Whatever is captured at a step is the version that was meant for it.
                let meant = (Version(step + 10), u8::try_from(step % 2).unwrap());
                assert!(capture.is_none_or(|capture| capture == meant));
                // Every rank that completes a target that holds captures at it.
                if held == Some(step) {
                    assert_eq!(capture, Some(meant));
                }
            }
        }
    });
}

const FOR_EVER: usize = usize::MAX;

#[test]
fn one_target_all_interleavings() {
    explore(1, 1, [FOR_EVER; 3], None);
}

#[test]
fn a_second_target_after_a_void_one() {
    explore(2, 2, [FOR_EVER; 3], Some(3));
}

#[test]
fn the_supervisor_stops_before_any_store() {
    // Two proposals are four stores and a withdrawal each.
    for stores in 0..10 {
        explore(2, 2, [stores, FOR_EVER, FOR_EVER], Some(2));
    }
}

#[test]
fn a_rank_stops_before_any_store() {
    for stores in 0..2 {
        explore(2, 2, [FOR_EVER, stores, FOR_EVER], Some(2));
        explore(2, 2, [FOR_EVER, stores, stores], Some(2));
    }
}
