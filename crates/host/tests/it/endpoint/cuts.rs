//! Consistent cuts: late and early messages, and a restore that delivers every message once.

use std::sync::atomic::Ordering::SeqCst;

use mainstay_ckpt::Cut;
use mainstay_comm::layout::{Counter, Status};
use mainstay_host::endpoint::{CommError, CutState, Endpoint, Fold, Resume};
use mainstay_types::wire::Early;
use mainstay_types::{Late, Rank, Version};

use super::world::{World, all, text};

const A: Rank = Rank(0);
const B: Rank = Rank(1);
pub(super) const V: Version = Version(1);

/// What the supervisor gives each rank to restore version 1, from what all handed in.
pub(super) fn resume(rank: Rank, saved: &[(CutState, Late)]) -> Resume {
    let (state, late) = saved[rank.index()].clone();
    let suppress = saved.iter().map(|(peer, _)| peer.delivered[rank.index()]);
    let early = saved.iter().zip(0..).flat_map(|((peer, _), id)| {
        let mine = peer.early.iter().filter(|early| early.peer == rank);
        mine.map(move |early| Early { peer: Rank(id), ..*early })
    });
    Resume {
        version: V,
        suppress: suppress.collect(),
        early: early.collect(),
        cut: Cut {
            sent: state.sent,
            delivered: state.delivered,
            unexpected: state.unexpected,
            rounds: state.rounds,
            communicators: state.communicators,
        },
        late,
    }
}

/// Epoch 2 from version 1.
pub(super) fn restored(world: &World, saved: &[(CutState, Late)]) -> Vec<Endpoint> {
    world.raise(2);
    world.segment.reset_channels();
    let ranks = Rank::all(u32::try_from(saved.len()).unwrap());
    ranks.map(|rank| world.joined(rank, 2, Some(resume(rank, saved)))).collect()
}

pub(super) fn pair(world: &World) -> (Endpoint, Endpoint) {
    world.target(1);
    (world.joined(A, 1, None), world.joined(B, 1, None))
}

#[test]
fn what_is_here_at_a_capture_is_saved_and_what_is_half_here_is_late() {
    let world = World::new(2);
    let (mut a, mut b) = pair(&world);
    a.send(B, 0, 1, b"whole").unwrap();
    let big = a.isend(B, 0, 2, &text(5, 300_000)).unwrap();
    let b_cut = b.cut(V).unwrap();
    assert_eq!(b_cut.unexpected.len(), 1);
    assert_eq!(b_cut.delivered, [1, 0]);
    assert_eq!(b.late_ready(), None, "the sender has not captured");
    while a.test(big) == Ok(false) {
        b.progress().unwrap();
    }
    a.wait(big).unwrap();
    assert_eq!(b.recv_vec(A, 0, 2), Ok(text(5, 300_000)));
    a.cut(V).unwrap();
    let late = late_of(&mut b).messages;
    assert_eq!((late.len(), late[0].sequence), (1, 2));
    assert_eq!(late[0].payload, text(5, 300_000));
    assert_eq!(world.segment.counter(B, Counter::Late).load(SeqCst), 1);
}

/// The late log that [`Endpoint::late_ready`] gives once all have captured.
pub(super) fn late_of(e: &mut Endpoint) -> Late {
    let (version, late) = e.late_ready().expect("every sender has captured");
    assert_eq!(version, V);
    assert_eq!(e.late_ready(), None, "once");
    late
}

#[test]
fn late_messages_are_delivered_after_a_restore_and_numbers_go_on() {
    let world = World::new(2);
    let (mut a, mut b) = pair(&world);
    a.send(B, 0, 1, b"one").unwrap();
    let b_cut = b.cut(V).unwrap();
    a.send(B, 0, 1, b"two").unwrap();
    a.send(B, 0, 1, b"three").unwrap();
    assert_eq!(b.recv_vec(A, 0, 1), Ok(b"one".to_vec()));
    assert_eq!(b.recv_vec(A, 0, 1), Ok(b"two".to_vec()));
    let a_cut = a.cut(V).unwrap();
    assert_eq!((a_cut.sent[1], b_cut.delivered[0]), (3, 1));
    let late = late_of(&mut b);
    let numbers: Vec<_> = late.messages.iter().map(|m| (m.source, m.sequence)).collect();
    assert_eq!(numbers, [(A, 2), (A, 3)]);
    let saved = [(a_cut, late_of(&mut a)), (b_cut, late)];
    let mut ranks = restored(&world, &saved);
    ranks[0].send(B, 0, 1, b"four").unwrap();
    for expected in ["one", "two", "three", "four"] {
        let got = ranks[1].recv_vec(A, 0, 1).unwrap();
        assert_eq!(got, expected.as_bytes());
    }
}

#[test]
fn early_messages_are_not_sent_again_and_a_difference_is_noticed() {
    let world = World::new(2);
    let (mut a, mut b) = pair(&world);
    let a_cut = a.cut(V).unwrap();
    a.send(B, 0, 1, b"early").unwrap();
    a.send(B, 0, 2, &text(1, 50_000)).unwrap();
    assert_eq!(b.recv_vec(A, 0, 1), Ok(b"early".to_vec()));
    let b_cut = b.cut(V).unwrap();
    assert_eq!(b_cut.early.len(), 2, "one received, one unexpected");
    assert_eq!((a_cut.sent[1], b_cut.delivered[0]), (0, 2));
    let saved = [(a_cut, late_of(&mut a)), (b_cut, late_of(&mut b))];
    let mut ranks = restored(&world, &saved);
    ranks[0].send(B, 0, 1, b"early").unwrap();
    ranks[0].send(B, 0, 2, &text(1, 50_000)).unwrap();
    assert!(world.segment.rings_at_rest(), "both are suppressed");
    let suppressed = world.segment.counter(A, Counter::Suppressed);
    assert_eq!(suppressed.load(SeqCst), 2);
    ranks[0].send(B, 0, 1, b"new").unwrap();
    assert_eq!(ranks[1].recv_vec(A, 0, 1), Ok(b"new".to_vec()));
    assert_eq!(ranks[1].recv_vec(A, 0, 2), Ok(text(1, 50_000)));

    let mut again = restored(&world, &saved);
    let diverged = Err(CommError::Diverged { peer: B, sequence: 1 });
    assert_eq!(again[0].send(B, 0, 1, b"Early"), diverged);
}

#[test]
fn the_prologue_of_a_restored_entry_is_no_part_of_the_history() {
    let world = World::new(2);
    let (mut a, mut b) = pair(&world);
    let b_cut = {
        b.send(A, 0, 1, b"late").unwrap();
        b.cut(V).unwrap()
    };
    b.send(A, 0, 1, b"early").unwrap();
    a.progress().unwrap();
    let a_cut = a.cut(V).unwrap();
    assert_eq!((a_cut.unexpected.len(), a_cut.early.len()), (2, 1));
    let saved = [(a_cut, late_of(&mut a)), (b_cut, late_of(&mut b))];
    world.raise(2);
    world.segment.reset_channels();
    let [mut a, mut b] = [A, B].map(|rank| {
        let mut e = world.endpoint(rank);
        let incarnations = [mainstay_types::Incarnation(0); 2];
        let from = Some(resume(rank, &saved));
        e.begin_epoch(mainstay_types::Epoch(2), &incarnations, from).unwrap();
        e
    });
    // The same tag as the messages of the version, which it neither gets nor is taken for.
    b.send(A, 0, 1, b"prologue").unwrap();
    b.send(A, 0, 1, b"and a second, never received").unwrap();
    b.end_prologue();
    b.send(A, 0, 1, b"early").unwrap();
    b.send(A, 0, 1, b"new").unwrap();
    assert_eq!(a.recv_vec(B, 0, 1), Ok(b"prologue".to_vec()));
    a.end_prologue();
    a.progress().unwrap();
    for expected in ["late", "early", "new"] {
        assert_eq!(a.recv_vec(B, 0, 1).unwrap(), expected.as_bytes());
    }
    let cut = a.cut(Version(2)).unwrap();
    assert_eq!((cut.delivered[1], cut.unexpected.len()), (3, 0), "the history, and all of it");
}

#[test]
fn nothing_is_kept_for_a_version_that_is_void() {
    let world = World::new(2);
    let (mut a, mut b) = pair(&world);
    b.cut(V).unwrap();
    a.send(B, 0, 1, b"late").unwrap();
    assert_eq!(b.recv_vec(A, 0, 1), Ok(b"late".to_vec()));
    let kept = world.segment.counter(B, Counter::Late);
    assert_eq!(kept.load(SeqCst), 1);
    world.target(0);
    a.send(B, 0, 1, b"of no version").unwrap();
    assert_eq!(b.late_ready(), None);
    a.send(B, 0, 1, b"of no version").unwrap();
    b.progress().unwrap();
    a.cut(V).unwrap();
    assert_eq!(b.late_ready(), None);
    assert_eq!(kept.load(SeqCst), 2, "the one that came before the void was seen");
}

#[test]
fn a_version_that_contradicts_itself_is_refused() {
    let world = World::new(2);
    let (mut a, mut b) = pair(&world);
    let b_cut = b.cut(V).unwrap();
    a.send(B, 0, 1, b"late").unwrap();
    let a_cut = a.cut(V).unwrap();
    let mut late = late_of(&mut b);
    late.messages[0].sequence = 2;
    let saved = [(a_cut, Late::default()), (b_cut, late)];
    let mut e = world.endpoint(B);
    let incarnations = [mainstay_types::Incarnation(0); 2];
    let bad = e.begin_epoch(mainstay_types::Epoch(1), &incarnations, Some(resume(B, &saved)));
    assert!(bad.unwrap_err().to_string().contains("late message 2"));
    assert_eq!(e.barrier(&all(&e, 0)), Err(CommError::Interrupted));
}

/// A rank's program: in each step it sends to its right, and from step 3 on it receives from its
/// left what that sent two steps before, so that ranks run apart by several steps.
struct Program {
    step: u64,
    acc: u64,
}

const STEPS: u64 = 40;
const LAG: u64 = 2;

impl Program {
    /// The next collective. Odd ranks are a step behind in them, and some two, so that some lie
    /// across every cut.
    fn meet(&mut self, e: &mut Endpoint) -> Result<(), CommError> {
        let (group, me) = (all(e, 0), u64::from(e.rank().0));
        let Some(number) = self.step.checked_sub(1 + me % 3) else { return Ok(()) };
        if number >= STEPS - LAG {
            return Ok(());
        }
        let bytes = self.acc.to_le_bytes();
        let sum: u64 = match number % 8 {
            0 => {
                e.barrier(&group)?;
                number
            }
            // Whole blocks, segments in one piece, segments in more.
            kind @ 1..=3 => {
                let mut block = bytes.repeat([1, 5000, 30_000][kind as usize - 1]);
                let combine = &mut |low: &mut [u8], high: &[u8]| {
                    low.iter_mut()
                        .zip(high)
                        .for_each(|(low, high)| *low = low.wrapping_mul(3) ^ high);
                };
                e.allreduce(&group, &mut block, &mut Fold { element_bytes: 8, combine })?;
                block.iter().map(|byte| u64::from(*byte)).sum()
            }
            _ => {
                let block = text(self.acc, (self.acc % 700) as usize);
                let blocks = vec![&block[..]; e.n() as usize];
                let all = e.alltoall(&group, &blocks)?.concat();
                let sum = all
                    .iter()
                    .chain(e.allgather(&group, &block)?.concat().iter())
                    .fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
                sum % 1_000_003
            }
        };
        self.acc = self.acc.wrapping_mul(31).wrapping_add(sum) % 1_000_003;
        Ok(())
    }

    fn run(
        &mut self,
        e: &mut Endpoint,
        capture_at: u64,
        saved: &mut Saved<'_>,
    ) -> Result<(), CommError> {
        let (n, me) = (e.n(), e.rank().0);
        let (right, left) = (Rank((me + 1) % n), Rank((me + n - 1) % n));
        while self.step < STEPS {
            self.step += 1;
            let mut payload = text(self.acc, (self.acc % 500) as usize);
            payload.extend(self.acc.to_le_bytes());
            e.send(right, 0, (self.step % 3) as u32, &payload)?;
            if self.step > LAG {
                let got = e.recv_vec(left, 0, ((self.step - LAG) % 3) as u32)?;
                let sum: u64 = got.iter().map(|byte| u64::from(*byte) + 1).sum();
                self.acc = self.acc.wrapping_mul(31).wrapping_add(sum) % 1_000_003;
            }
            self.meet(e)?;
            e.check()?;
            if self.step == capture_at && saved.cut.is_none() {
                let program = Self { ..*self };
                saved.cut = Some((e.cut(V)?, program));
            }
            if let Some((_, late)) = e.late_ready() {
                saved.late = Some(late);
            }
            let status = saved.world.segment.status(e.rank(), Status::Step);
            status.store(self.step, SeqCst);
        }
        // Nobody leaves with a peer's counters unseen.
        while saved.cut.is_some() && saved.late.is_none() {
            saved.late = e.late_ready().map(|(_, late)| late);
            e.check()?;
            std::thread::yield_now();
        }
        Ok(())
    }
}

struct Saved<'w> {
    world: &'w World,
    cut: Option<(CutState, Program)>,
    late: Option<Late>,
}

fn fresh(rank: Rank) -> Program {
    Program { step: 0, acc: 1000 + u64::from(rank.0) }
}

/// Runs the job with a capture and an epoch raised once `rank 0` has passed `crash_at`; goes back
/// to the version if it is whole, else to the start; the final values of all ranks.
fn job(world: &World, capture_at: u64, crash_at: u64) -> Vec<u64> {
    let n = world.segment.layout().n();
    world.target(capture_at);
    let mut first: Vec<_> = std::thread::scope(|scope| {
        let ranks: Vec<_> = Rank::all(n)
            .map(|rank| {
                scope.spawn(move || {
                    let mut e = world.joined(rank, 1, None);
                    let (cut, late) = (None, None);
                    let mut saved = Saved { world, cut, late };
                    let mut program = fresh(rank);
                    let result = program.run(&mut e, capture_at, &mut saved);
                    assert!(matches!(result, Ok(()) | Err(CommError::Interrupted)));
                    saved
                })
            })
            .collect();
        let step = world.segment.status(A, Status::Step);
        while step.load(SeqCst) < crash_at {
            std::thread::yield_now();
        }
        world.raise(2);
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    });
    world.segment.reset_channels();
    let whole = first.iter().all(|s| s.cut.is_some() && s.late.is_some());
    let (mut programs, mut saved) = (vec![], vec![]);
    for (rank, s) in Rank::all(n).zip(&mut first) {
        let (cut, program) = s.cut.take().unwrap_or((CutState::default(), fresh(rank)));
        programs.push(if whole { program } else { fresh(rank) });
        saved.push((cut, s.late.take().unwrap_or_default()));
    }
    std::thread::scope(|scope| {
        let saved = &saved;
        let ranks: Vec<_> = Rank::all(n)
            .zip(programs)
            .map(|(rank, mut program)| {
                scope.spawn(move || {
                    let resume = whole.then(|| resume(rank, saved));
                    let mut e = world.joined(rank, 2, resume);
                    let (cut, late) = (None, None);
                    let mut saved = Saved { world, cut, late };
                    program.run(&mut e, STEPS + 1, &mut saved).unwrap();
                    program.acc
                })
            })
            .collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

#[test]
fn any_cut_and_any_crash_end_with_the_fault_free_values() {
    for n in [1, 2, 4] {
        let fault_free = job(&World::new(n), STEPS + 1, 0);
        for seed in 0..24 {
            let (capture_at, crash_at) = (1 + seed * 7 % 30, 1 + seed * 11 % STEPS);
            for world in [World::with_boards(n), World::new(n)] {
                let values = job(&world, capture_at, crash_at.max(capture_at));
                assert_eq!(values, fault_free, "n={n} seed={seed}");
            }
        }
    }
}
