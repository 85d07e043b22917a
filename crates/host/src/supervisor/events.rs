//! The loop: wait for descriptors and deadlines, then handle whatever is ready.
//!
//! Invariant: what one rank sends or writes never keeps the loop from the others. Deliberately
//! absent: what messages mean, see `messages`; ends of processes, see `deaths`.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use mainstay_control::Input;
use mainstay_types::event::{Event, Stream};
use mainstay_types::wire::ToSupervisor;
use mainstay_types::{Node, Rank, Step, exit};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::lines::Line;
use super::nodes::Nodes;
use super::process::Process;
use super::strangers::is_for_descriptors;
use super::{Flow, RankStatus, Status, Supervisor};
use crate::sys;

/// What a polled descriptor belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Listener,
    Guardian,
    Stranger(usize),
    Node(u32),
    Connection(usize),
    Process,
    Stdout(usize),
    Stderr(usize),
    Drain,
    Scrub,
    Flow,
    Early,
    Signals,
    Stdin,
    RankStdin,
}

/// How often the display is told how things stand.
const STATUS_EVERY: Duration = Duration::from_millis(100);
/// Messages of one rank that are taken in one turn, so that no rank starves the others.
const MESSAGES_AT_ONCE: usize = 64;

impl Supervisor<'_> {
    /// One turn of the loop.
    pub(super) fn turn(&mut self) {
        self.work();
        if self.end.is_some() {
            return;
        }
        self.look_at_flow();
        for source in self.wait() {
            self.handle(source);
            // An epoch that was raised is in the control page before anybody is answered that it was:
            // a rank that is told so looks there.
            self.work();
        }
        self.reap_all();
        self.deadlines();
        self.work();
    }

    /// Carries out every effect that is due.
    pub(super) fn work(&mut self) {
        while let Some(effect) = self.queue.pop_front() {
            self.perform(effect);
        }
    }

    fn wait(&mut self) -> Vec<Source> {
        let timeout = timespec(self.next_deadline().saturating_sub(sys::now()));
        let mut sources = Vec::new();
        let mut fds = Vec::new();
        let mut add = |source, fd, flags| {
            sources.push(source);
            fds.push(PollFd::from_borrowed_fd(fd, flags));
        };
        if self.strangers.are_taken() {
            add(Source::Listener, self.listener.as_fd(), PollFlags::IN);
        }
        for (i, stranger) in self.strangers.fds().enumerate() {
            add(Source::Stranger(i), stranger, PollFlags::IN);
        }
        if let Some(fd) = self.guardian.fd() {
            add(Source::Guardian, fd, PollFlags::IN);
        }
        for fd in self.signals.fds() {
            add(Source::Signals, fd, PollFlags::IN);
        }
        if let Some(fd) = self.versions.drain_fd() {
            add(Source::Drain, fd, PollFlags::IN);
        }
        for (i, node) in (0..).zip(self.versions.nodes.iter().flat_map(Nodes::fds)) {
            add(Source::Node(i), node, PollFlags::IN);
        }
        if let Some(fd) = self.versions.scrub_fd() {
            add(Source::Scrub, fd, PollFlags::IN);
        }
        if let Some(fd) = self.observer.flow_changed() {
            add(Source::Flow, fd, PollFlags::IN);
        }
        if let Some(early) = &self.early {
            add(Source::Early, early.fd(), PollFlags::IN);
        }
        for fd in self.ending.iter().flat_map(Process::pidfds) {
            add(Source::Process, fd, PollFlags::IN);
        }
        for (i, member) in self.members.iter().enumerate() {
            if let Some(connection) = &member.connection {
                add(Source::Connection(i), connection.as_fd(), PollFlags::IN);
            }
            let Some(process) = &member.process else {
                continue;
            };
            for fd in process.pidfds() {
                add(Source::Process, fd, PollFlags::IN);
            }
            if self.flow == Flow::Held {
                continue;
            }
            if let Some(fd) = process.stdout.fd() {
                add(Source::Stdout(i), fd, PollFlags::IN);
            }
            if let Some(fd) = process.stderr.fd() {
                add(Source::Stderr(i), fd, PollFlags::IN);
            }
        }
        let rank_0 = self.members[0].process.as_ref().and_then(|process| process.stdin.as_ref());
        if self.stdin.wants_input() && rank_0.is_some() {
            let fd: BorrowedFd<'_> = rustix::stdio::stdin();
            add(Source::Stdin, fd, PollFlags::IN);
        }
        if let (true, Some(fd)) = (self.stdin.has_output(), rank_0) {
            add(Source::RankStdin, fd.as_fd(), PollFlags::OUT);
        }
        // An interrupted wait is a short one.
        let _interrupted = poll(&mut fds, Some(&timeout));
        let ready = fds.iter().map(|fd| !fd.revents().is_empty());
        sources.into_iter().zip(ready).filter(|(_, ready)| *ready).map(|(s, _)| s).collect()
    }

    /// When the loop must turn even if nothing comes.
    fn next_deadline(&self) -> Duration {
        let now = sys::now();
        let mut next = self.next_tick;
        let mut also = |at: Option<Duration>| next = at.map_or(next, |at| at.min(next));
        also(self.versions.due_in(now).map(|wait| now + wait));
        also(self.versions.scrub_in(now).map(|wait| now + wait));
        also(self.versions.room_in(now).map(|wait| now + wait));
        also(self.patience);
        also(self.ends);
        also(self.faults.next());
        also(self.measure.look_again(now));
        also(self.observer.wants_status().then_some(self.next_status));
        also(self.members.iter().filter_map(|m| m.lingering?.due()).min());
        also(self.strangers.due());
        next
    }

    fn handle(&mut self, source: Source) {
        match source {
            Source::Listener => self.accept(),
            Source::Guardian => self.guardian_ended(),
            Source::Stranger(i) => self.stranger(i),
            Source::Node(i) => self.hear_node(Node(i)),
            Source::Connection(i) => self.take_messages(i, MESSAGES_AT_ONCE),
            // Reaped after everything else of this turn; looked at before the next one.
            Source::Process | Source::Flow => {}
            Source::Stdout(i) => self.take_output(i, Stream::Stdout),
            Source::Stderr(i) => self.take_output(i, Stream::Stderr),
            Source::Drain => self.drained(),
            Source::Scrub => {
                let events = self.versions.scrubbed();
                self.committed(events);
            }
            Source::Early => self.owners_died(),
            Source::Signals => self.take_signals(),
            Source::Stdin => self.stdin.read(),
            Source::RankStdin => {
                if let Some(process) = &mut self.members[0].process {
                    self.stdin.write(process);
                }
            }
        }
    }

    /// Whether somebody reads what is shown. Nobody at all ends the job, as it ends a program that
    /// writes to a closed pipe.
    fn look_at_flow(&mut self) {
        let before = std::mem::replace(&mut self.flow, self.observer.flow());
        if self.flow == Flow::Closed && before != Flow::Closed {
            self.feed(Input::Stop { signal: libc::SIGPIPE });
            self.work();
        }
    }

    /// Takes in what a rank has sent, at most so many messages.
    pub(super) fn take_messages(&mut self, i: usize, at_most: usize) {
        for _ in 0..at_most {
            let Some(connection) = &self.members[i].connection else {
                return;
            };
            let (bytes, fds) = match connection.receive() {
                Ok(message) => message,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                // It ended without reading all that it was told.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                    self.members[i].connection = None;
                    return;
                }
                Err(error) if is_for_descriptors(&error) => return self.lacks_descriptor(&error),
                Err(error) => {
                    self.hang_up(i, &format!("its line failed: {error}"));
                    return;
                }
            };
            if bytes.is_empty() {
                // A closed line is a hint; the process's end is the evidence.
                self.members[i].connection = None;
                return;
            }
            match ToSupervisor::decode(&bytes) {
                Ok(message) => self.message(i, message, fds),
                Err(error) => {
                    self.hang_up(i, &format!("it speaks nonsense: {error}"));
                    return;
                }
            }
        }
    }

    /// Ends a rank whose line cannot be used any more.
    pub(super) fn hang_up(&mut self, i: usize, why: &str) {
        let member = &mut self.members[i];
        member.connection = None;
        let rank = member.rank;
        if let Some(process) = &member.process {
            process.kill();
        }
        self.note(format!("rank {rank} is ended: {why}"));
    }

    fn take_output(&mut self, i: usize, stream: Stream) {
        let mut lines = Vec::new();
        let member = &mut self.members[i];
        let rank = member.rank;
        if let Some(process) = &mut member.process {
            match stream {
                Stream::Stdout => process.stdout.take(|line| lines.push(line)),
                Stream::Stderr => process.stderr.take(|line| lines.push(line)),
            }
        }
        for Line { bytes: line, partial } in lines {
            self.tell(&Event::Output { rank, stream, line, partial });
        }
    }

    pub(super) fn take_last_output(&mut self, i: usize) {
        self.take_output(i, Stream::Stdout);
        self.take_output(i, Stream::Stderr);
        let rank = self.members[i].rank;
        let mut last = Vec::new();
        if let Some(process) = &mut self.members[i].process {
            process.stdout.close(|line| last.push((Stream::Stdout, line)));
            process.stderr.close(|line| last.push((Stream::Stderr, line)));
        }
        for (stream, Line { bytes: line, partial }) in last {
            self.tell(&Event::Output { rank, stream, line, partial });
        }
    }

    pub(super) fn step_of(&self, rank: Rank) -> u64 {
        use mainstay_comm::layout::Status as Word;
        self.segment.status(rank, Word::Step).load(std::sync::atomic::Ordering::Acquire)
    }

    /// Everything that is due by time.
    fn deadlines(&mut self) {
        let now = sys::now();
        if now >= self.next_tick {
            self.next_tick = now + self.plan.config.heartbeat;
            self.faults.remember_oom_kills();
            self.look_at_ranks(now);
            self.look_at_nodes(now);
        }
        if self.ends.is_some_and(|ends| now >= ends) {
            self.ends = None;
            let why = self.plan.config.limit.as_ref().map(|limit| limit.why.clone());
            self.feed(Input::GiveUp { code: exit::TIME_LIMIT, why: why.unwrap_or_default() });
            self.work();
        }
        self.strangers.tidy(now);
        self.fire_due(now);
        self.propose(now);
        self.look_at_redo(now);
        if self.patience.is_some_and(|patience| now >= patience) {
            self.patience = None;
            self.feed(Input::StopNow);
        }
        if self.observer.wants_status() && now >= self.next_status {
            self.next_status = now + STATUS_EVERY;
            let (at, status) = (self.at(), self.status());
            self.observer.status(at, &status);
        }
    }

    fn status(&self) -> Status {
        use mainstay_control::recovery::Phase;
        let phase = self.recovery.phase();
        let ranks = self.members.iter().map(|member| {
            let word = match (phase, member.process.is_some(), member.joined()) {
                (_, false, _) => "dead",
                (_, _, false) => "starting",
                (Phase::Finished, ..) => "finishing",
                (Phase::Open, ..) if self.recovery.is_restored() => "running",
                (Phase::Gathering, ..) if self.summary.failures.is_empty() => "starting",
                _ => "recovering",
            };
            RankStatus {
                rank: member.rank,
                incarnation: member.incarnation,
                phase: word,
                step: Step(self.step_of(member.rank)),
            }
        });
        Status {
            epoch: self.recovery.epoch(),
            ranks: ranks.collect(),
            newest: self.versions.newest(),
            intervals: self.versions.intervals(),
            failures: self.summary.failures.len(),
        }
    }
}

fn timespec(time: Duration) -> Timespec {
    let tv_sec = time.as_secs().try_into().unwrap_or(i64::MAX);
    Timespec { tv_sec, tv_nsec: time.subsec_nanos().into() }
}
