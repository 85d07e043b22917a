//! Agreements: exact effects, and a small world in which every order of events is tried.

use std::collections::BTreeSet;

use mainstay_control::agreement::{Agreements, Effect, Input, Question};
use mainstay_types::wire::Group;
use mainstay_types::{Epoch, Rank, Step};

fn question(context: u32, members: u32, round: u64) -> Question {
    Question { group: Group { context, lowest: Rank(0), members }, round }
}

fn step(engine: &mut Agreements, input: Input) -> Vec<Effect> {
    let mut effects = Vec::new();
    engine.step(input, &mut effects);
    effects
}

fn arrived(rank: u32, epoch: u32, question: Question, ok: bool) -> Input {
    Input::Arrived { rank: Rank(rank), epoch: Epoch(epoch), question, step: Step(7), ok }
}

fn told(ranks: &[u32], epoch: u32, question: Question, ok: bool) -> Vec<Effect> {
    let ok = Some(ok);
    let tell = |rank: &u32| Effect::Tell { rank: Rank(*rank), epoch: Epoch(epoch), question, ok };
    ranks.iter().map(tell).collect()
}

fn dropped(rank: u32, what: &'static str) -> Vec<Effect> {
    vec![Effect::Dropped { rank: Rank(rank), what }]
}

#[test]
fn all_are_told_the_same_when_the_last_one_comes() {
    let mut engine = Agreements::new(Epoch(4));
    for (round, flags) in [[true; 3], [true, false, true], [false; 3]].into_iter().enumerate() {
        let this = question(0, 3, round as u64);
        assert_eq!(step(&mut engine, arrived(2, 4, this, flags[2])), []);
        assert_eq!(step(&mut engine, arrived(0, 4, this, flags[0])), []);
        assert!(engine.is_waiting(Rank(0)) && !engine.is_waiting(Rank(1)));
        let all = flags.iter().all(|ok| *ok);
        let last = arrived(1, 4, this, flags[1]);
        assert_eq!(step(&mut engine, last), told(&[0, 1, 2], 4, this, all));
        assert!(!engine.is_waiting(Rank(0)));
    }
    assert_eq!(engine, Agreements::new(Epoch(4)), "nothing is kept of what was decided");
}

#[test]
fn groups_do_not_mix_and_a_rank_is_in_one_agreement_at_a_time() {
    let mut engine = Agreements::new(Epoch(1));
    let (low, all) = (question(1, 2, 0), question(0, 3, 0));
    let high = Question { group: Group { lowest: Rank(2), ..low.group }, round: 0 };
    assert_eq!(step(&mut engine, arrived(0, 1, low, true)), []);
    assert_eq!(step(&mut engine, arrived(2, 1, high, false)), []);
    let twice = dropped(0, "an agreement beside another");
    assert_eq!(step(&mut engine, arrived(0, 1, low, true)), twice);
    assert_eq!(step(&mut engine, arrived(0, 1, all, true)), twice);
    assert_eq!(step(&mut engine, arrived(1, 1, low, true)), told(&[0, 1], 1, low, true));
    assert_eq!(step(&mut engine, arrived(3, 1, high, true)), told(&[2, 3], 1, high, false));
    // Of another size it is another group, whoever is wrong about it.
    let other = question(1, 3, 1);
    assert_eq!(step(&mut engine, arrived(0, 1, question(1, 2, 1), true)), []);
    assert_eq!(step(&mut engine, arrived(1, 1, other, true)), []);
    assert_eq!(
        step(&mut engine, arrived(5, 1, question(0, 0, 0), true)),
        dropped(5, "an agreement of nobody")
    );
}

#[test]
fn an_epoch_takes_what_is_undecided_with_it() {
    let mut engine = Agreements::new(Epoch(1));
    let this = question(0, 2, 0);
    assert_eq!(step(&mut engine, arrived(0, 1, this, true)), []);
    assert_eq!(step(&mut engine, Input::Raised { epoch: Epoch(2) }), []);
    let old = "an agreement of another epoch";
    assert_eq!(step(&mut engine, arrived(1, 1, this, true)), dropped(1, old));
    assert_eq!(step(&mut engine, arrived(1, 3, this, true)), dropped(1, old));
    assert_eq!(step(&mut engine, arrived(1, 2, this, true)), []);
    assert_eq!(step(&mut engine, arrived(0, 2, this, false)), told(&[0, 1], 2, this, false));
}

#[test]
fn ranks_in_different_steps_are_all_told_so() {
    let mut engine = Agreements::new(Epoch(1));
    let this = question(0, 2, 0);
    let at = |rank, step| {
        let (rank, epoch, step) = (Rank(rank), Epoch(1), Step(step));
        Input::Arrived { rank, epoch, question: this, step, ok: true }
    };
    assert_eq!(step(&mut engine, at(0, 4)), []);
    let tell = |rank| Effect::Tell { rank: Rank(rank), epoch: Epoch(1), question: this, ok: None };
    assert_eq!(step(&mut engine, at(1, 5)), [tell(0), tell(1)]);
}

const N: usize = 3;

/// A rank, from its arrival on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Member {
    Before,
    Arrived,
    /// It has looked at the epoch, and seen this.
    Looked {
        raised: bool,
    },
    /// It looks the other way round, and its socket was empty.
    Empty,
    Agreed(bool),
    Interrupted,
    Dead,
}

/// Ranks with their sockets, the word in the control page, and the supervisor with its engine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct World {
    members: [Member; N],
    /// Arrivals that the supervisor has not read.
    sent: [bool; N],
    /// Decisions that a rank has not read.
    inbox: [Option<bool>; N],
    /// The control page.
    raised: bool,
    engine: Agreements,
    /// How ranks have ended so far, those that died since included.
    ends: BTreeSet<Member>,
}

/// In which order a rank looks at the epoch and at its socket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    EpochFirst,
    SocketFirst,
}

impl World {
    fn new() -> Self {
        Self {
            members: [Member::Before; N],
            sent: [false; N],
            inbox: [None; N],
            raised: false,
            engine: Agreements::new(Epoch(1)),
            ends: BTreeSet::new(),
        }
    }

    /// Every world that one event makes of this one.
    fn next(&self, flags: [bool; N], order: Order) -> Vec<Self> {
        let mut all = Vec::new();
        for (rank, ok) in flags.into_iter().enumerate() {
            all.extend(self.of_rank(rank, order));
            if self.members[rank] != Member::Dead {
                let mut dies = self.clone();
                dies.members[rank] = Member::Dead;
                all.push(dies);
            }
            if self.sent[rank] {
                all.push(self.read(rank, ok));
            }
        }
        // A death is noticed when all that the dead have said is read.
        let dead = (0..N).any(|rank| self.members[rank] == Member::Dead && !self.sent[rank]);
        if dead && !self.raised {
            let mut raised = self.clone();
            step(&mut raised.engine, Input::Raised { epoch: Epoch(2) });
            raised.raised = true;
            all.push(raised);
        }
        all
    }

    /// What a rank can do next.
    fn of_rank(&self, rank: usize, order: Order) -> Option<Self> {
        let mut world = self.clone();
        let member = &mut world.members[rank];
        let found = self.inbox[rank];
        *member = match (*member, order) {
            (Member::Before, _) if self.raised => Member::Interrupted,
            (Member::Before, _) => {
                world.sent[rank] = true;
                Member::Arrived
            }
            (Member::Arrived, Order::EpochFirst) => Member::Looked { raised: self.raised },
            (Member::Looked { raised }, _) => match found {
                Some(ok) => Member::Agreed(ok),
                None if raised => Member::Interrupted,
                None => Member::Arrived,
            },
            (Member::Arrived, Order::SocketFirst) => found.map_or(Member::Empty, Member::Agreed),
            (Member::Empty, _) if self.raised => Member::Interrupted,
            (Member::Empty, _) => Member::Arrived,
            (Member::Agreed(_) | Member::Interrupted | Member::Dead, _) => return None,
        };
        let end = *member;
        if matches!(end, Member::Agreed(_) | Member::Interrupted) {
            world.ends.insert(end);
        }
        Some(world)
    }

    /// The supervisor reads a rank's arrival, and does what the engine says.
    fn read(&self, rank: usize, ok: bool) -> Self {
        let mut world = self.clone();
        world.sent[rank] = false;
        let arrival = arrived(rank as u32, 1, question(0, N as u32, 0), ok);
        for effect in step(&mut world.engine, arrival) {
            if let Effect::Tell { rank, ok, .. } = effect {
                world.inbox[rank.index()] = ok;
            }
        }
        world
    }

    /// Whether a rank went on where another was interrupted, or with another answer.
    fn is_torn(&self) -> bool {
        self.ends.len() > 1
    }
}

/// All worlds that can come about; the number of those that are torn, and the ends.
fn explore(flags: [bool; N], order: Order) -> (usize, BTreeSet<[Member; N]>) {
    let mut seen = BTreeSet::from([World::new()]);
    let mut todo = vec![World::new()];
    let (mut torn, mut ends) = (0, BTreeSet::new());
    while let Some(world) = todo.pop() {
        torn += usize::from(world.is_torn());
        let over = |m: &Member| matches!(m, Member::Agreed(_) | Member::Interrupted | Member::Dead);
        if world.members.iter().all(over) {
            ends.insert(world.members);
        }
        for next in world.next(flags, order) {
            if seen.insert(next.clone()) {
                todo.push(next);
            }
        }
    }
    assert!(seen.len() > 500, "{} worlds", seen.len());
    (torn, ends)
}

#[test]
fn whoever_dies_and_when_living_ranks_end_alike() {
    use Member::{Agreed, Dead, Interrupted};
    for bits in 0..8_u32 {
        let flags = [bits & 1 != 0, bits & 2 != 0, bits & 4 != 0];
        let (torn, ends) = explore(flags, Order::EpochFirst);
        assert_eq!(torn, 0, "{flags:?}");
        let all = Agreed(bits == 7);
        for end in [[all; N], [all, Dead, all], [Interrupted, Dead, Interrupted], [Dead; N]] {
            assert!(ends.contains(&end), "{end:?}");
        }
        assert!(ends.iter().flatten().all(|end| [all, Dead, Interrupted].contains(end)));
    }
}

/// The order in which a rank looks is what the promise rests on: the other one breaks it.
#[test]
fn a_rank_that_looks_at_its_socket_first_may_miss_a_decision() {
    assert!(explore([true; N], Order::SocketFirst).0 > 0);
}
