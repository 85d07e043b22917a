//! An abstract world around the recovery engine: processes, sockets, the epoch word, and a driver.
//!
//! Every move of the world is one thing that can really happen next. The driver here does what
//! `docs/protocols/recovery.md` asks of one, and nothing else; what the engine must never do is
//! asserted where the driver carries out an effect. Deliberately absent: states of a rank that the
//! engine cannot tell apart.

use std::collections::VecDeque;

use mainstay_control::recovery::{Config, Effect, Input, Phase, Policy, Recovery};
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
    Inside {
        epoch: Epoch,
        restored: bool,
        result: bool,
    },
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
        matches!(
            self,
            Self::Kill(_) | Self::Suspect(_) | Self::Stop | Self::Rank(_, true)
        )
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
    pub(crate) dropped: u32,
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
            dropped: 0,
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
            let restoring = matches!(
                process.life,
                Life::Inside {
                    restored: false,
                    ..
                }
            );
            if restoring && self.faults.torn > 0 {
                moves.push(Move::Rank(r, true));
            }
            if self.faults.kills > 0 {
                moves.push(Move::Kill(r));
            }
            if self.faults.suspects > 0 && self.end.is_none() {
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
                self.struck += 1;
                self.ranks[r].life = Life::Dead(by(9));
            }
            Move::Suspect(r) => {
                self.faults.suspects -= 1;
                self.struck += 1;
                let (rank, reason) = (rank_of(r), FenceReason::Stopped);
                self.give(Input::Suspect { rank, reason });
            }
            Move::Stop => {
                self.faults.stops -= 1;
                self.give(Input::Stop { signal: 2 });
            }
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
                    process.life = Life::Inside {
                        epoch,
                        restored,
                        result,
                    };
                }
            },
            Life::Inside { epoch, .. } if self.finished == Some(epoch) => {
                process.life = Life::Dead(Ending::Exit(0));
            }
            Life::Inside { epoch, .. } if torn => {
                self.faults.torn -= 1;
                process.up.push_back(Up::RestoreFailed(epoch));
                process.life = Life::Inside {
                    epoch,
                    restored: true,
                    result: true,
                };
            }
            Life::Inside { epoch, .. } if self.word != epoch => {
                process.life = Life::Leaving(self.word);
            }
            Life::Inside {
                epoch,
                restored: false,
                ..
            } => {
                process.up.push_back(Up::Restored(epoch));
                process.restored = Some(epoch);
                process.life = Life::Inside {
                    epoch,
                    restored: true,
                    result: false,
                };
            }
            Life::Inside { epoch, .. } => {
                process.up.push_back(Up::Result(epoch));
                process.result = Some(epoch);
                process.life = Life::Inside {
                    epoch,
                    restored: true,
                    result: true,
                };
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
            Up::RestoreFailed(epoch) => Input::RestoreFailed {
                rank,
                epoch,
                version,
                why,
            },
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
        let hints = Hints {
            fenced: process.fenced.take(),
            joined: process.said_hello,
            ..Hints::default()
        };
        let input = Input::Died {
            rank: rank_of(r),
            incarnation: process.incarnation.expect("it was started"),
            verdict: classify(ending, &hints),
            step: Step(0),
        };
        self.give(input);
    }

    /// The driver: one input, then all effects in order.
    pub(crate) fn give(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        let mut effects = Vec::new();
        while let Some(input) = inputs.pop_front() {
            self.engine.step(input, &mut effects);
            for effect in effects.drain(..) {
                assert_eq!(self.end, None, "nothing follows the end");
                inputs.extend(self.carry_out(effect));
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Spawn { rank, incarnation } => self.spawn(rank, incarnation),
            Effect::Kill {
                rank,
                incarnation,
                reason,
            } => {
                let process = &mut self.ranks[rank.index()];
                assert_eq!(
                    process.incarnation,
                    Some(incarnation),
                    "kills only the living"
                );
                assert_eq!(process.fenced, None, "kills once");
                process.fenced = Some(reason);
                if !matches!(process.life, Life::Dead(_)) {
                    process.life = Life::Dead(by(9));
                }
            }
            Effect::Terminate { rank, incarnation } => {
                let process = &mut self.ranks[rank.index()];
                assert_eq!(process.incarnation, Some(incarnation));
                if !matches!(process.life, Life::Dead(_)) {
                    process.life = Life::Dead(by(15));
                }
            }
            Effect::RaiseEpoch { epoch, .. } => {
                assert_eq!(epoch, self.word.next(), "epochs grow by one");
                assert_eq!(self.finished, None, "nothing is raised once finished");
                self.word = epoch;
            }
            Effect::TellRaised { rank, epoch } => self.tell(rank, epoch),
            Effect::Open { epoch } => {
                self.open(epoch);
                let (version, step) = (None, Step(0));
                return Some(Input::Opened {
                    epoch,
                    version,
                    step,
                });
            }
            Effect::Finish { epoch } => self.finish(epoch),
            Effect::End { code, .. } => self.ended(code),
            Effect::Failure { .. } => {
                self.failures += 1;
                assert!(
                    self.failures <= self.struck,
                    "nobody is blamed for our own kills"
                );
            }
            Effect::Dropped { .. } => self.dropped += 1,
            Effect::Recovered { epoch } => self.recover(epoch),
            Effect::Note(text) => assert!(!text.is_empty()),
        }
        None
    }

    fn spawn(&mut self, rank: Rank, incarnation: Incarnation) {
        if self.policy == Policy::Restart {
            let of_old = |process: &Process| process.entered && process.life != Life::None;
            assert!(
                !self.ranks.iter().any(of_old),
                "nothing of the old world is left"
            );
        }
        let process = &mut self.ranks[rank.index()];
        assert_eq!(
            process.life,
            Life::None,
            "started only when the last one is reaped"
        );
        assert!(
            process
                .incarnation
                .is_none_or(|last| incarnation == last.next())
        );
        assert_eq!(self.finished, None, "nobody is started once finished");
        process.incarnation = Some(incarnation);
        process.life = Life::Starting;
        process.said_hello = false;
        process.entered = false;
        process.acked = None;
        process.restored = None;
        process.result = None;
    }

    fn tell(&mut self, rank: Rank, epoch: Epoch) {
        let process = &mut self.ranks[rank.index()];
        assert_eq!(epoch, self.word, "told of the newest epoch");
        assert!(process.down.is_empty(), "one unanswered question at a time");
        assert!(
            matches!(process.life, Life::Waiting | Life::Dead(_)),
            "told on its socket"
        );
        process.down.push_back(Down::Raised(epoch));
    }

    /// The heart of it: when an epoch opens, nobody can touch the rings.
    fn open(&mut self, epoch: Epoch) {
        assert_eq!(epoch, self.word, "opens the newest epoch");
        assert!(self.opened < Some(epoch), "opens it once");
        self.opened = Some(epoch);
        for process in &mut self.ranks {
            // A rank that died since it acknowledged touches nothing either.
            assert!(matches!(process.life, Life::Waiting | Life::Dead(_)));
            assert_eq!(
                process.acked,
                Some(epoch),
                "every rank acknowledged this epoch"
            );
            assert!(process.up.is_empty(), "and has said nothing since");
            assert!(process.down.is_empty() || matches!(process.life, Life::Dead(_)));
            process.down.push_back(Down::Open(epoch));
        }
    }

    fn recover(&mut self, epoch: Epoch) {
        assert!(epoch > FIRST && self.opened == Some(epoch));
        assert!(self.recovered < Some(epoch), "said once");
        self.recovered = Some(epoch);
        for process in &self.ranks {
            assert_eq!(process.restored, Some(epoch), "every rank has its state");
        }
    }

    fn finish(&mut self, epoch: Epoch) {
        assert!(epoch == FIRST || self.recovered == Some(epoch));
        assert_eq!(self.finished, None, "finishes once");
        assert!(self.opened == Some(epoch) && self.word == epoch);
        for process in &self.ranks {
            assert_eq!(process.result, Some(epoch), "all results are of this epoch");
        }
        self.finished = Some(epoch);
    }

    fn ended(&mut self, code: u8) {
        assert!(self.ranks.iter().all(|process| process.life == Life::None));
        assert_eq!(*self.engine.phase(), Phase::Ended);
        if self.finished.is_some() {
            assert_eq!(code, 0, "once finished, nothing fails the job");
        }
        self.end = Some(code);
    }

    /// Whatever is older than the present changes nothing, in any state.
    pub(crate) fn refuse_the_past(&self) {
        let mut past = Vec::new();
        for (r, process) in self.ranks.iter().enumerate() {
            let rank = rank_of(r);
            let (version, why) = (Version(1), String::new());
            for epoch in (0..self.word.0).map(Epoch) {
                past.push(Input::Restored { rank, epoch });
                past.push(Input::Result { rank, epoch });
                let why = why.clone();
                past.push(Input::RestoreFailed {
                    rank,
                    epoch,
                    version,
                    why,
                });
            }
            for epoch in (0..=self.opened.map_or(0, |e| e.0)).map(Epoch) {
                past.push(Input::Ack { rank, epoch });
            }
            for old in (0..process.incarnation.map_or(0, |i| i.0)).map(Incarnation) {
                past.push(Input::Hello {
                    rank,
                    incarnation: old,
                });
                let verdict = classify(by(9), &Hints::default());
                past.push(Input::Died {
                    rank,
                    incarnation: old,
                    verdict,
                    step: Step(0),
                });
            }
        }
        past.push(Input::Start);
        let mut engine = self.engine.clone();
        let mut effects = Vec::new();
        let count = past.len();
        for input in past {
            engine.step(input, &mut effects);
        }
        let dropped = |effect: &Effect| matches!(effect, Effect::Dropped { .. });
        assert!(
            effects.len() == count && effects.iter().all(dropped),
            "{effects:?}"
        );
        assert!(engine == self.engine, "{self:#?}");
    }
}

pub(crate) fn by(signal: i32) -> Ending {
    let core = false;
    Ending::Signal { signal, core }
}

pub(crate) fn rank_of(index: usize) -> Rank {
    Rank(u32::try_from(index).expect("few ranks"))
}
