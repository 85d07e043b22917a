//! A segment with a thread for each rank, as a launcher would make it with processes.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use mainstay_comm::layout::{Control, Layout};
use mainstay_host::endpoint::{Endpoint, EndpointConfig, Group, Resume};
use mainstay_host::shm::Segment;
use mainstay_types::limits::RING_BYTES_MIN;
use mainstay_types::{Epoch, Incarnation, Rank};

/// The supervisor's side.
pub(super) struct World {
    pub(super) segment: Segment,
    n: u32,
    by: By,
}

/// How collectives go that could go either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// Over boards.
    Boards,
    /// By messages, which a run that compares them asks for.
    Messages,
}

/// All ranks, as a communicator of this number.
pub(super) fn all(e: &Endpoint, communicator: u32) -> Group {
    Group::all(communicator, e.n(), e.rank())
}

impl World {
    /// `n` ranks with the smallest rings, in epoch 1.
    pub(super) fn new(n: u32) -> Self {
        let segment = Segment::create(Layout::new(n, RING_BYTES_MIN).unwrap()).unwrap();
        segment.control(Control::Epoch).store(1, Ordering::SeqCst);
        Self { segment, n, by: By::Messages }
    }

    /// The same with collectives over boards.
    pub(super) fn with_boards(n: u32) -> Self {
        Self { by: By::Boards, ..Self::new(n) }
    }

    /// Names version 1 as the one to capture, as the supervisor does before anybody captures.
    pub(super) fn target(&self, step: u64) {
        let put = |word, value| self.segment.control(word).store(value, Ordering::SeqCst);
        put(Control::TargetVersion, 1);
        put(Control::Target, step);
    }

    /// Raises the epoch as the supervisor does.
    pub(super) fn raise(&self, epoch: u64) {
        self.segment.control(Control::Epoch).store(epoch, Ordering::SeqCst);
        self.segment.ring_all();
    }

    /// The endpoint of a rank, in no epoch yet.
    pub(super) fn endpoint(&self, rank: Rank) -> Endpoint {
        let layout = *self.segment.layout();
        let fd = self.segment.fd().unwrap().try_clone_to_owned().unwrap();
        Endpoint::new(EndpointConfig {
            segment: Rc::new(Segment::join(&fd, layout, rank).unwrap()),
            rank,
            may_spin: false,
            audit: self.by == By::Messages,
            point: Box::new(|_| {}),
            launcher_gone: Box::new(|| false),
        })
    }

    /// The endpoint of a rank in an epoch, behind the prologue if there is one.
    pub(super) fn joined(&self, rank: Rank, epoch: u32, resume: Option<Resume>) -> Endpoint {
        let mut endpoint = self.endpoint(rank);
        let incarnations = vec![Incarnation(0); self.n as usize];
        endpoint.begin_epoch(Epoch(epoch), &incarnations, resume).unwrap();
        endpoint.end_prologue();
        endpoint
    }

    /// Runs `body` at every rank in epoch 1, each in a thread; what each returned.
    pub(super) fn run<T: Send>(&self, body: impl Fn(&mut Endpoint) -> T + Sync) -> Vec<T> {
        std::thread::scope(|scope| {
            let ranks: Vec<_> = Rank::all(self.n)
                .map(|rank| {
                    let body = &body;
                    scope.spawn(move || body(&mut self.joined(rank, 1, None)))
                })
                .collect();
            let end = |rank: std::thread::ScopedJoinHandle<'_, T>| rank.join().unwrap();
            ranks.into_iter().map(end).collect()
        })
    }
}

/// Runs `body` at each of `n` ranks of a new world.
pub(super) fn ranks<T: Send>(n: u32, body: impl Fn(&mut Endpoint) -> T + Sync) -> Vec<T> {
    World::new(n).run(body)
}

/// The same, once over boards and once by messages.
pub(super) fn both_ways<T: Send>(n: u32, body: impl Fn(&mut Endpoint) -> T + Sync) -> [Vec<T>; 2] {
    [World::with_boards(n), World::new(n)].map(|world| world.run(&body))
}

/// Bytes that differ by message and place.
pub(super) fn text(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 56) as u8
    };
    (0..bytes).map(|_| next()).collect()
}
