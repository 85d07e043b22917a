//! What a rank hands over to outlive it: inputs, report values, results, and its last words.
//!
//! Invariant: `finish` returns `Ok` only after the supervisor recorded the job as finished.
//! Deliberately absent: publication; the supervisor does it once.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::Ordering;

use mainstay_comm::layout::Control;
use mainstay_types::limits::{NAME_BYTES_MAX, TEXT_BYTES_MAX};
use mainstay_types::report::check_key;
use mainstay_types::trace::What;
use mainstay_types::wire::{ToRank, ToSupervisor};
use mainstay_types::{Point, WaitKind};

use super::{Rank, RankError};
use crate::shm::{Blob, Segment};
use crate::{publish, sys};

/// What becomes of a rank that asks for an input.
#[derive(Debug)]
pub enum InputAnswer {
    /// It loads the input and hands it in.
    Load,
    /// It is there already.
    Ready(Blob),
}

impl Rank {
    /// Asks for a named input.
    ///
    /// # Errors
    /// [`RankError::Interrupted`], a name that is too long, or damaged bytes.
    pub fn input(&mut self, name: &str) -> Result<InputAnswer, RankError> {
        within("an input's name", name, NAME_BYTES_MAX)?;
        let Some(link) = &self.link else {
            return Ok(InputAnswer::Load);
        };
        let message = ToSupervisor::Input { epoch: self.epoch, name: name.to_owned() };
        self.segment.enter_call(self.id);
        let answer = self.hear(|| link.ask(&message, &[]));
        self.segment.leave_call(self.id);
        match answer? {
            (ToRank::InputReady { bytes, crc }, fds) => {
                let fd = fds.into_iter().next().ok_or(RankError::LauncherGone)?;
                let blob = Blob::open(fd, bytes).map_err(RankError::io("map an input"))?;
                if blob.crc() != crc {
                    return Err(RankError::Refused(format!(
                        "input `{name}` is damaged in memory: its checksum differs"
                    )));
                }
                Ok(InputAnswer::Ready(blob))
            }
            _ => Ok(InputAnswer::Load),
        }
    }

    /// Hands in an input that this rank was told to load.
    ///
    /// # Errors
    /// [`RankError::Interrupted`], or an input other than the one that the resumed job had.
    pub fn input_loaded(&mut self, name: &str, bytes: &[u8]) -> Result<(), RankError> {
        let Some(link) = &self.link else {
            return Ok(());
        };
        let blob =
            Blob::create("mainstay-input", &[bytes]).map_err(RankError::io("keep an input"))?;
        let message = ToSupervisor::InputLoaded {
            epoch: self.epoch,
            name: name.to_owned(),
            bytes: bytes.len() as u64,
            crc: blob.crc(),
        };
        self.segment.enter_call(self.id);
        let answer = self.hear(|| link.ask(&message, &[blob.as_fd()]));
        self.segment.leave_call(self.id);
        answer?;
        Ok(())
    }

    /// A value for the report.
    ///
    /// # Errors
    /// A key that the report cannot show, or a value that is too long.
    pub fn report(&mut self, key: &str, value: &str) -> Result<(), RankError> {
        check_key(key)?;
        within("a report's value", value, TEXT_BYTES_MAX)?;
        let (key, value) = (key.to_owned(), value.to_owned());
        self.tell(&ToSupervisor::Report { epoch: self.epoch, key, value })
    }

    /// The file for the job's results.
    ///
    /// # Errors
    /// A path that is too long or not text, or a working directory that is gone.
    pub fn output(&mut self, path: &Path) -> Result<(), RankError> {
        let path = std::path::absolute(path).map_err(RankError::io("find the output's place"))?;
        let Some(path) = path.to_str() else {
            return Err(RankError::Refused(format!("output path {} is not text", path.display())));
        };
        within("an output's path", path, TEXT_BYTES_MAX)?;
        if self.link.is_none() {
            self.alone_output = Some(path.into());
        }
        // Here, where a file system that hangs holds up nobody else.
        let why = publish::check(Path::new(path)).err().map_or_else(String::new, |e| e.to_string());
        self.tell(&ToSupervisor::Output { epoch: self.epoch, path: path.to_owned(), why })
    }

    /// Hands in this rank's result and waits until the job is finished.
    ///
    /// # Errors
    /// [`RankError::Interrupted`] when a peer dies before the decision.
    pub fn finish(&mut self, bytes: &[u8]) -> Result<(), RankError> {
        self.segment.enter_call(self.id);
        let outcome = self.finish_inside(bytes);
        self.segment.leave_call(self.id);
        outcome
    }

    fn finish_inside(&mut self, bytes: &[u8]) -> Result<(), RankError> {
        match self.endpoint.outstanding() {
            0 => {}
            count => return Err(RankError::Outstanding { count, at: "finish" }),
        }
        let Some(link) = self.link.clone() else {
            return self.finish_alone(bytes);
        };
        let started = sys::now_ns();
        self.tell_restored()?;
        self.hand_in_late()?;
        let failed = |action| RankError::io(action);
        let result =
            Blob::create("mainstay-result", &[bytes]).map_err(failed("keep the result"))?;
        if self.audit {
            // What was exchanged after the last step.
            self.hashes.push(self.endpoint.take_hash());
        }
        let hashes: Vec<u8> = self.hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect();
        let audit = Blob::create("mainstay-audit", &[&hashes]).map_err(failed("keep the audit"))?;
        let message = ToSupervisor::Result {
            epoch: self.epoch,
            step: self.step,
            bytes: bytes.len() as u64,
            audit_bytes: hashes.len() as u64,
        };
        link.tell_with(&message, &[result.as_fd(), audit.as_fd()])?;
        self.injector.pass(Point::FinishMid);
        let own = u64::from(self.epoch.0);
        let finished =
            |segment: &Segment| segment.control(Control::Finished).load(Ordering::Acquire) == own;
        // Peers may still send, and a version may still want its late messages.
        self.wait_until(WaitKind::Finish, finished, |rank| {
            rank.endpoint.progress()?;
            rank.hand_in_late()
        })?;
        self.trace(|t| t.since(started, What::Finish));
        self.finished = true;
        self.injector.pass(Point::Finished);
        Ok(())
    }

    /// Without a launcher the result goes to its file, written aside and renamed.
    fn finish_alone(&mut self, bytes: &[u8]) -> Result<(), RankError> {
        if let Some(path) = self.alone_output.take() {
            crate::publish::file(&path, &[bytes]).map_err(RankError::io("publish the output"))?;
        }
        self.finished = true;
        Ok(())
    }

    /// Last words: the program panicked.
    pub fn panicked(&mut self, message: &str) {
        self.last_words(&ToSupervisor::Panicked { message: message.to_owned() });
    }

    /// Last words: the program returned its own error.
    pub fn failed(&mut self, message: &str) {
        self.last_words(&ToSupervisor::Failed { message: message.to_owned() });
    }

    /// Last words: the program returned `Ok` without `finish`.
    pub fn finished_early(&mut self) {
        self.last_words(&ToSupervisor::FinishedEarly);
    }

    fn last_words(&self, words: &ToSupervisor) {
        // A launcher that is gone needs no words.
        let _unheard = self.tell(words);
    }
}

fn within(what: &'static str, text: &str, most: usize) -> Result<(), RankError> {
    match text.len() {
        bytes if bytes > most => Err(RankError::TooLong { what, bytes, most }),
        _ => Ok(()),
    }
}
