//! What ranks say, and the answers.
//!
//! Invariant: a message of an older epoch changes nothing but what outlives epochs. Deliberately
//! absent: the loop; see `events`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mainstay_comm::layout::Status as Word;
use mainstay_control::Input;
use mainstay_control::agreement::{self, Question};
use mainstay_types::event::{Event, Level};
use mainstay_types::wire::{PROTOCOL, ToRank, ToSupervisor};
use mainstay_types::{Epoch, Incarnation, Rank, Step, exit};

use super::Supervisor;
use super::finish::Handed;
use super::inputs::Asked;
use super::member::ArenaMemory;
use super::strangers::{Stranger, is_for_descriptors};
use super::versions::Capture;
use crate::shm::{Blob, allocate_arena};
use crate::{procfs, sys};

impl Supervisor<'_> {
    /// The first message of a new connection.
    pub(super) fn stranger(&mut self, i: usize) {
        let Some(stranger) = self.strangers.get(i) else {
            return;
        };
        let message = match stranger.connection.receive() {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
            Ok((bytes, _)) => ToSupervisor::decode(&bytes).ok(),
            Err(_) => None,
        };
        let Stranger { connection, pid, .. } = self.strangers.remove(i);
        let Some(ToSupervisor::Hello { protocol, token, rank, incarnation, .. }) = message else {
            return;
        };
        let known = self.members.get(rank.index()).is_some_and(|member| {
            member.token == token && member.incarnation == incarnation && !member.joined()
        });
        if !known {
            // A token of an older incarnation, or of nobody: fenced by not being answered.
            return;
        }
        if self.members[rank.index()].hints.joined {
            let why = "this incarnation has joined before: a program calls `mainstay::run` once, \
                       and one process of a rank does";
            let _gone = connection.send(&ToRank::Refused { why: why.to_owned() }.encode(), &[]);
            return;
        }
        if protocol != PROTOCOL {
            let why = format!(
                "the program speaks protocol {protocol} and this launcher {PROTOCOL}: build both \
                 from the same release"
            );
            let _gone = connection.send(&ToRank::Refused { why }.encode(), &[]);
            return;
        }
        let member = &mut self.members[rank.index()];
        let joined = member.process.as_mut().map(|process| process.joined_as(pid));
        match joined {
            Some(Ok(())) => {}
            Some(Err(error)) if is_for_descriptors(&error) => return self.lacks_descriptor(&error),
            // It has ended meanwhile.
            Some(Err(_)) | None => return,
        }
        member.connection = Some(connection);
        member.hints.joined = true;
        self.hello(rank, incarnation, pid);
    }

    fn hello(&mut self, rank: Rank, incarnation: Incarnation, pid: u32) {
        let welcome = ToRank::Welcome {
            job: self.versions.job(),
            n: self.plan.config.n,
            ring_bytes: self.plan.layout.ring_bytes() as u64,
            may_spin: self.plan.config.n as usize <= procfs::processors(),
            audit: self.plan.config.audit,
            checks: self.plan.config.message_checks,
            seed: self.plan.config.seed,
            one_arena: self.plan.config.storage.arenas == 1,
            tracking: self.plan.config.storage.tracking,
            tape: self.plan.config.trace_records,
            injections: self.faults.of(rank),
        };
        let (segment, tapes) = (Arc::clone(&self.segment), Arc::clone(&self.tapes));
        if let Some(fd) = segment.fd() {
            let tape = tapes.get(rank.index()).map(AsFd::as_fd);
            let fds: Vec<_> = [fd].into_iter().chain(tape).collect();
            self.answer_with(rank, &welcome, &fds);
        }
        self.versions.program(pid);
        self.tell(&Event::RankUp { rank, incarnation, pid });
        self.measure.hello(rank, incarnation, sys::now(), &mut self.summary);
        self.feed(Input::Hello { rank, incarnation });
    }

    /// A message of a rank that has joined.
    pub(super) fn message(&mut self, i: usize, message: ToSupervisor, fds: Vec<OwnedFd>) {
        let rank = self.members[i].rank;
        match message {
            ToSupervisor::Hello { .. } => {}
            ToSupervisor::Ack { epoch } => self.feed(Input::Ack { rank, epoch }),
            ToSupervisor::Agree { epoch, group, round, step, ok } => {
                let question = Question { group, round };
                self.agreement(agreement::Input::Arrived { rank, epoch, question, step, ok });
            }
            ToSupervisor::Arena { epoch, slot, bytes } => self.arena(rank, epoch, slot, bytes),
            ToSupervisor::Captured { .. } => self.captured(rank, message),
            ToSupervisor::Late { epoch, version, bytes, crc } => {
                let blob = fds.into_iter().next().map(|fd| Blob::open(fd, bytes));
                let Some(Ok(blob)) = blob else {
                    return self.hang_up(i, "its late messages did not arrive whole");
                };
                let events = self.versions.late(rank, epoch, version, blob, crc);
                self.committed(events);
            }
            ToSupervisor::Ready { epoch } => {
                self.versions.ready(rank, epoch);
                self.tell_memory();
            }
            ToSupervisor::Restored { epoch, took_ns } => {
                if epoch == self.recovery.epoch() && self.versions.is_recovery(epoch) {
                    let (version, level) = self.versions.restored_from(rank);
                    let took = Duration::from_nanos(took_ns);
                    self.tell(&Event::Restored { rank, version, level, took });
                }
                self.feed(Input::Restored { rank, epoch });
                if self.recovery.is_restored()
                    && let Some(text) = self.versions.restored()
                {
                    self.note(text);
                }
            }
            ToSupervisor::RestoreFailed { epoch, version, part, why } => {
                let part = self.versions.bad_part(rank, part);
                let level = self.versions.restored_from(rank).1.unwrap_or(Level::Disk);
                if let Some(text) = self.versions.news_of(version, (part, level), &why) {
                    self.note(text);
                }
                let events = self.versions.copy_bad(part, version, level, &why);
                self.tell_all(events);
                self.feed(Input::RestoreFailed { rank, epoch, version, why });
            }
            ToSupervisor::Input { epoch, name } => self.input(rank, epoch, name),
            ToSupervisor::InputLoaded { epoch, name, bytes, crc } => {
                let blob = fds.into_iter().next().map(|fd| Blob::open(fd, bytes));
                self.input_loaded(rank, epoch, &name, blob.and_then(Result::ok), crc);
            }
            // Words of a history that is rolled back are no longer meant.
            ToSupervisor::Report { epoch, key, value } if epoch == self.recovery.epoch() => {
                self.results.report(key, value);
            }
            ToSupervisor::Output { epoch, path, why } if epoch == self.recovery.epoch() => {
                self.output(path.into(), &why);
            }
            ToSupervisor::Report { .. } | ToSupervisor::Output { .. } => {}
            ToSupervisor::Result { epoch, step, bytes, audit_bytes } => {
                self.result(rank, (epoch, step), fds, (bytes, audit_bytes));
            }
            ToSupervisor::Panicked { message } => self.members[i].hints.panicked = Some(message),
            ToSupervisor::Failed { message } => self.members[i].hints.failed = Some(message),
            ToSupervisor::FinishedEarly => self.members[i].hints.finished_early = true,
        }
    }

    /// Takes note of an output; better now than after the last step if it cannot be written.
    fn output(&mut self, path: PathBuf, why: &str) {
        if !why.is_empty() {
            let why = format!(
                "the output {} cannot be written: {why}; make its directory, or give another",
                path.display()
            );
            return self.feed(Input::GiveUp { code: exit::DIRECTORY, why });
        }
        self.results.output(path);
    }

    fn arena(&mut self, rank: Rank, epoch: Epoch, slot: u8, bytes: u64) {
        if epoch != self.recovery.epoch() {
            return self.answer(rank, &ToRank::Interrupted);
        }
        let place = usize::from(slot);
        let fits = self.arena_bytes(rank.index())[place].is_some_and(|there| there >= bytes);
        if !fits && let Some(why) = self.lacks_memory(rank, place, bytes) {
            return self.answer(rank, &ToRank::Refused { why });
        }
        if let Some(nodes) = &mut self.versions.nodes {
            let incarnation = self.members[rank.index()].incarnation;
            return nodes.arena((rank, incarnation), slot, bytes);
        }
        if !fits {
            match allocate_arena(bytes) {
                Ok((fd, bytes)) => {
                    let memory = ArenaMemory { fd: Arc::new(fd), bytes };
                    self.members[rank.index()].arenas[place] = Some(memory);
                }
                Err(error) if is_for_descriptors(&error) => return self.lacks_descriptor(&error),
                Err(error) => {
                    let why = format!("no arena of {bytes} bytes for rank {rank}: {error}");
                    return self.answer(rank, &ToRank::Refused { why });
                }
            }
        }
        if let Some(memory) = self.members[rank.index()].arenas[place].clone() {
            let message = ToRank::Arena { slot, bytes: memory.bytes };
            self.answer_with(rank, &message, &[memory.fd.as_fd()]);
        }
    }

    fn captured(&mut self, rank: Rank, message: ToSupervisor) {
        let ToSupervisor::Captured {
            epoch,
            version,
            step,
            image_bytes,
            table_crc,
            blocked_ns,
            sent,
            delivered,
            early,
            tracked,
        } = message
        else {
            return;
        };
        let n = self.plan.config.n as usize;
        if sent.len() != n || delivered.len() != n {
            return self.note(format!("rank {rank} counts the channels of another job"));
        }
        let member = &self.members[rank.index()];
        // Read after the capture came: what a rank chose before its peer captured is seen here.
        let chooses = |rank| self.segment.status(rank, Word::Chooses).load(Ordering::SeqCst) != 0;
        let any_chooses = Rank::all(self.plan.config.n).any(chooses);
        let capture = Capture {
            rank,
            incarnation: member.incarnation,
            epoch,
            version,
            step,
            image_bytes,
            table_crc,
            blocked: Duration::from_nanos(blocked_ns),
            sent,
            delivered,
            early,
            any_chooses,
            tracked,
        };
        let arenas = member.arenas.clone();
        let events = self.versions.captured(capture, &arenas);
        self.committed(events);
    }

    /// Tells of versions, and lets the recovery know of committed steps.
    pub(super) fn committed(&mut self, events: Vec<Event>) {
        for event in events {
            if let Event::Checkpoint(checkpoint) = &event
                && checkpoint.state == mainstay_types::event::VersionState::Committed
            {
                self.recovery.progress(checkpoint.step);
            }
            self.tell(&event);
        }
    }

    fn input(&mut self, rank: Rank, epoch: Epoch, name: String) {
        if epoch != self.recovery.epoch() {
            return self.answer(rank, &ToRank::Interrupted);
        }
        match self.inputs.ask(rank, &name) {
            Asked::Load => self.answer(rank, &ToRank::InputLoad),
            Asked::Wait => self.members[rank.index()].asks = Some(name),
            Asked::Ready(blob, crc) => self.give_input(rank, &blob, crc),
        }
    }

    fn give_input(&mut self, rank: Rank, blob: &Blob, crc: u32) {
        let message = ToRank::InputReady { bytes: blob.len() as u64, crc };
        let fd: BorrowedFd<'_> = blob.as_fd();
        self.answer_with(rank, &message, &[fd]);
    }

    fn input_loaded(&mut self, rank: Rank, epoch: Epoch, name: &str, blob: Option<Blob>, crc: u32) {
        let Some(blob) = blob else {
            let why = format!("input `{name}` did not arrive whole");
            return self.answer(rank, &ToRank::Refused { why });
        };
        let versions = &mut self.versions;
        let check = |blob: &Arc<Blob>| versions.input_loaded(name, blob, crc).map_or(Ok(()), Err);
        let (blob, crc) = match self.inputs.loaded(name, blob, crc, check) {
            Ok(loaded) => loaded,
            Err(why) => {
                self.answer(rank, &ToRank::Refused { why: why.clone() });
                return self.feed(Input::GiveUp { code: exit::DATA, why });
            }
        };
        if epoch != self.recovery.epoch() {
            return self.answer(rank, &ToRank::Interrupted);
        }
        self.give_input(rank, &blob, crc);
        for i in 0..self.members.len() {
            if self.members[i].asks.as_deref() == Some(name) {
                self.members[i].asks = None;
                self.give_input(self.members[i].rank, &blob, crc);
            }
        }
    }

    fn result(
        &mut self,
        rank: Rank,
        (epoch, step): (Epoch, Step),
        fds: Vec<OwnedFd>,
        (bytes, audit_bytes): (u64, u64),
    ) {
        let mut fds = fds.into_iter();
        let result = fds.next().map(|fd| Blob::open(fd, bytes));
        let audit = fds.next().map(|fd| Blob::open(fd, audit_bytes));
        let (Some(Ok(result)), Some(Ok(audit))) = (result, audit) else {
            // It would wait for ever for what cannot come.
            return self.hang_up(rank.index(), "its result did not arrive whole");
        };
        if epoch == self.recovery.epoch() {
            self.results.keep(rank, Handed { step, result, audit });
            self.summary.steps = self.summary.steps.max(step.0);
            let events = self.versions.finishing(&self.segment, rank, step);
            self.tell_all(events);
        }
        self.feed(Input::Result { rank, epoch });
    }
}
