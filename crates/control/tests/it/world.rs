//! An abstract world around the recovery engine: processes, sockets, the epoch word, and a driver.
//!
//! Every move of the world is one thing that can really happen next. The driver here does what
//! `docs/protocols/recovery.md` asks of one, and nothing else; what the engine must never do is
//! asserted where the driver carries out an effect. Deliberately absent: states of a rank that the
//! engine cannot tell apart.

mod driver;
mod past;

use std::collections::VecDeque;

use mainstay_control::recovery::{Config, Input, Policy, Recovery};
use mainstay_control::{Ending, FenceReason, Hints, classify};
use mainstay_types::{Epoch, Incarnation, Rank, Step, Version};

/// What a rank has sent and the supervisor has not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Up {
    Hello,
    Ack(Epoch),
    Restored(Epoch),
    RestoreFailed(Epoch),
    Result(Epoch),
}

/// What the supervisor has sent and the rank has not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Down {
    Raised(Epoch),
    Open(Epoch),
}

/// Where the process of a rank is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Life {
    /// There is none.
    None,
    /// Before its hello.
    Starting,
    /// On its socket.
    Waiting,
    /// In the program, under this epoch.
    Inside { epoch: Epoch, restored: bool, result: bool },
    /// Unwinding, having read this epoch; it will acknowledge it.
    Leaving(Epoch),
    /// Ended and not reaped.
    Dead(Ending),
}

/// A rank's process and the sockets to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    pub(crate) life: Life,
    pub(crate) incarnation: Option<Incarnation>,
    pub(crate) up: VecDeque<Up>,
    pub(crate) down: VecDeque<Down>,
    /// Why the driver killed it.
    fenced: Option<FenceReason>,
    said_hello: bool,
    /// Whether this incarnation has been in the program.
    entered: bool,
    /// The epoch that it last acknowledged, or that its hello was taken for.
    acked: Option<Epoch>,
    /// The epoch in which it last had its state.
    restored: Option<Epoch>,
    /// The epoch in which it last sent a result.
    result: Option<Epoch>,
}

/// Faults that may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Faults {
    /// SIGKILL from outside.
    pub(crate) kills: u32,
    /// A suspicion, deserved or not.
    pub(crate) suspects: u32,
    /// A copy that cannot be restored.
    pub(crate) torn: u32,
    /// Ctrl-C.
    pub(crate) stops: u32,
    /// How many ranks may be struck: ranks below this. All ranks are alike, so a walk may take
    /// the first struck for rank 0, the next other one for rank 1, and so on.
    pub(crate) within: usize,
    /// Whether a strike lets the next one reach one rank further.
    pub(crate) alike: bool,
}

/// One thing that can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// A rank does its next thing; some have two.
    Rank(usize, bool),
    /// The supervisor reads one message of a rank.
    Read(usize),
    /// The supervisor reaps a dead rank.
    Reap(usize),
    Kill(usize),
    Suspect(usize),
    Stop,
}

impl Move {
    pub(crate) fn is_fault(self) -> bool {
        matches!(self, Self::Kill(_) | Self::Suspect(_) | Self::Stop | Self::Rank(_, true))
    }
}

/// The whole world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) engine: Recovery,
    policy: Policy,
    pub(crate) ranks: Vec<Process>,
    pub(crate) faults: Faults,
    /// The epoch in the control page.
    word: Epoch,
    finished: Option<Epoch>,
    opened: Option<Epoch>,
    recovered: Option<Epoch>,
    /// The exit code, once the job ended.
    pub(crate) end: Option<u8>,
    /// Failures that the engine reported, and failures that happened.
    pub(crate) failures: u32,
    pub(crate) struck: u32,
}

const FIRST: Epoch = Epoch(1);

impl World {
    pub(crate) fn new(config: Config, faults: Faults) -> Self {
        let process = Process {
            life: Life::None,
            incarnation: None,
            up: VecDeque::new(),
            down: VecDeque::new(),
            fenced: None,
            said_hello: false,
            entered: false,
            acked: None,
            restored: None,
            result: None,
        };
        let mut world = Self {
            engine: Recovery::new(config, FIRST),
            policy: config.policy,
            ranks: vec![process; config.n as usize],
            faults,
            word: FIRST,
            finished: None,
            opened: None,
            recovered: None,
            end: None,
            failures: 0,
            struck: 0,
        };
        world.give(Input::Start);
        world
    }

    /// Everything that can happen next.
    pub(crate) fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        for (r, process) in self.ranks.iter().enumerate() {
            if !process.up.is_empty() {
                moves.push(Move::Read(r));
            }
            let alive = match process.life {
                Life::None => continue,
                Life::Dead(_) => {
                    if process.up.is_empty() {
                        moves.push(Move::Reap(r));
                    }
                    continue;
                }
                Life::Waiting => !process.down.is_empty(),
                Life::Inside { epoch, result, .. } => {
                    !result || self.word != epoch || self.finished == Some(epoch)
                }
                Life::Starting | Life::Leaving(_) => true,
            };
            if alive {
                moves.push(Move::Rank(r, false));
            }
            let restoring = matches!(process.life, Life::Inside { restored: false, .. });
            if restoring && self.faults.torn > 0 {
                moves.push(Move::Rank(r, true));
            }
            let strikable = r < self.faults.within;
            if strikable && self.faults.kills > 0 {
                moves.push(Move::Kill(r));
            }
            if strikable && self.faults.suspects > 0 && self.end.is_none() {
                moves.push(Move::Suspect(r));
            }
        }
        if self.faults.stops > 0 && self.end.is_none() {
            moves.push(Move::Stop);
        }
        moves
    }

    /// Lets one thing happen.
    pub(crate) fn make(&mut self, chosen: Move) {
        match chosen {
            Move::Rank(r, torn) => self.rank(r, torn),
            Move::Read(r) => self.read(r),
            Move::Reap(r) => self.reap(r),
            Move::Kill(r) => {
                self.faults.kills -= 1;
                self.strike(r);
                self.ranks[r].life = Life::Dead(by(9));
            }
            Move::Suspect(r) => {
                self.faults.suspects -= 1;
                self.strike(r);
                let (rank, reason) = (rank_of(r), FenceReason::Stopped);
                self.give(Input::Suspect { rank, reason });
            }
            Move::Stop => {
                self.faults.stops -= 1;
                self.give(Input::Stop { signal: 2 });
            }
        }
    }

    fn strike(&mut self, r: usize) {
        self.struck += 1;
        if self.faults.alike && r + 1 == self.faults.within {
            self.faults.within += 1;
        }
    }

    /// A rank does the next thing.
    fn rank(&mut self, r: usize, torn: bool) {
        let process = &mut self.ranks[r];
        match process.life {
            Life::Starting => {
                process.up.push_back(Up::Hello);
                process.life = Life::Waiting;
            }
            Life::Waiting => match process.down.pop_front().expect("it was told something") {
                Down::Raised(epoch) => {
                    process.acked = Some(epoch);
                    process.up.push_back(Up::Ack(epoch));
                }
                Down::Open(epoch) => {
                    process.entered = true;
                    let (restored, result) = (false, false);
                    process.life = Life::Inside { epoch, restored, result };
                }
            },
            Life::Inside { epoch, .. } if self.finished == Some(epoch) => {
                process.life = Life::Dead(Ending::Exit(0));
            }
            Life::Inside { epoch, .. } if torn => {
                self.faults.torn -= 1;
                process.up.push_back(Up::RestoreFailed(epoch));
                process.life = Life::Inside { epoch, restored: true, result: true };
            }
            Life::Inside { epoch, .. } if self.word != epoch => {
                process.life = Life::Leaving(self.word);
            }
            Life::Inside { epoch, restored: false, .. } => {
                process.up.push_back(Up::Restored(epoch));
                process.restored = Some(epoch);
                process.life = Life::Inside { epoch, restored: true, result: false };
            }
            Life::Inside { epoch, .. } => {
                process.up.push_back(Up::Result(epoch));
                process.result = Some(epoch);
                process.life = Life::Inside { epoch, restored: true, result: true };
            }
            Life::Leaving(epoch) => {
                process.acked = Some(epoch);
                process.up.push_back(Up::Ack(epoch));
                process.life = Life::Waiting;
            }
            Life::None | Life::Dead(_) => unreachable!("the dead do nothing"),
        }
    }

    /// The supervisor reads a rank's next message.
    fn read(&mut self, r: usize) {
        let rank = rank_of(r);
        let process = &mut self.ranks[r];
        let (version, why) = (Version(1), String::new());
        let input = match process.up.pop_front().expect("it said something") {
            Up::Hello => {
                process.said_hello = true;
                process.acked.get_or_insert(self.word);
                let incarnation = process.incarnation.expect("it was started");
                Input::Hello { rank, incarnation }
            }
            Up::Ack(epoch) => Input::Ack { rank, epoch },
            Up::Restored(epoch) => Input::Restored { rank, epoch },
            Up::RestoreFailed(epoch) => Input::RestoreFailed { rank, epoch, version, why },
            Up::Result(epoch) => Input::Result { rank, epoch },
        };
        self.give(input);
    }

    /// The supervisor reaps a rank whose last words it has read.
    fn reap(&mut self, r: usize) {
        let process = &mut self.ranks[r];
        let Life::Dead(ending) = std::mem::replace(&mut process.life, Life::None) else {
            unreachable!("only the dead are reaped");
        };
        process.down.clear();
        let hints =
            Hints { fenced: process.fenced.take(), joined: process.said_hello, ..Hints::default() };
        let input = Input::Died {
            rank: rank_of(r),
            incarnation: process.incarnation.expect("it was started"),
            verdict: classify(ending, &hints),
            step: Step(0),
        };
        self.give(input);
    }
}

pub(crate) fn by(signal: i32) -> Ending {
    let core = false;
    Ending::Signal { signal, core }
}

pub(crate) fn rank_of(index: usize) -> Rank {
    Rank(u32::try_from(index).expect("few ranks"))
}
