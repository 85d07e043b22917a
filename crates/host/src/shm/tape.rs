//! A tape: the memory that one rank writes what it did to, and that its supervisor reads at the end.
//!
//! A page with a magic, the number of places and how many records were ever written, then the
//! places, which the newest records take from the oldest. Invariants: the supervisor owns the
//! memory, so what a killed rank wrote is there; one thread writes; a record is counted after it is
//! written; a reader believes neither the count nor any record that does not prove itself. The line
//! behind the count holds what the rank waits for now, under the number of the next record, so that
//! it is stale by itself once the wait is over. Deliberately absent: what is recorded; see
//! [`mainstay_types::trace`].

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use mainstay_comm::layout::{LINE_BYTES, PAGE_BYTES};
use mainstay_types::limits::{TRACE_RECORD_BYTES, TRACE_RECORDS_MAX, TRACE_RECORDS_MIN};
use mainstay_types::trace::{Playback, Record};

use super::memory::{self, Access, Memory};

const MAGIC: u64 = u64::from_le_bytes(*b"MSTAPE01");
const PLACES_AT: usize = 8;
const COUNT_AT: usize = LINE_BYTES;
const OPEN_AT: usize = 2 * LINE_BYTES;

// A record is stored and loaded as a line.
const _: () = assert!(TRACE_RECORD_BYTES == LINE_BYTES && PAGE_BYTES > OPEN_AT + LINE_BYTES);
const _: () = assert!(TRACE_RECORDS_MIN.is_power_of_two() && TRACE_RECORDS_MAX.is_power_of_two());

/// A mapping of one rank's tape.
#[derive(Debug)]
pub struct Tape {
    fd: OwnedFd,
    memory: Memory,
    places: u64,
}

impl Tape {
    /// A new tape with so many places, a power of two: the supervisor's side.
    ///
    /// # Errors
    /// Whatever the kernel says, such as too little memory.
    pub fn create(places: u64) -> io::Result<Self> {
        let bytes = bytes_of(places)?;
        let fd = memory::create("mainstay-tape", bytes)?;
        let memory = Memory::map(&fd, bytes, Access::ReadWrite)?;
        memory.word64(0).store(MAGIC, Ordering::Relaxed);
        memory.word64(PLACES_AT).store(places, Ordering::Relaxed);
        Ok(Self { fd, memory, places })
    }

    /// Maps a tape that the supervisor gave: the rank's side.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when it is none.
    pub fn join(fd: OwnedFd, places: u64) -> io::Result<Self> {
        let memory = Memory::map(&fd, bytes_of(places)?, Access::ReadWrite)?;
        let first = |at| memory.word64(at).load(Ordering::Relaxed);
        if (first(0), first(PLACES_AT)) != (MAGIC, places) {
            return Err(memory::invalid("no tape of this version of Mainstay"));
        }
        Ok(Self { fd, memory, places })
    }

    fn count(&self) -> &AtomicU64 {
        self.memory.word64(COUNT_AT)
    }

    fn place(&self, number: u64) -> usize {
        // Below the number of places, which are in memory.
        PAGE_BYTES + (number & (self.places - 1)) as usize * TRACE_RECORD_BYTES
    }

    /// Writes the next record; by the rank alone.
    #[inline]
    pub fn write(&self, record: &Record) {
        let number = self.count().load(Ordering::Relaxed);
        self.memory.put_line(self.place(number), &record.encode(number));
        self.count().store(number.wrapping_add(1), Ordering::Release);
    }

    /// Tells what the rank begins to wait for; until its next record.
    pub fn open(&self, record: &Record) {
        let number = self.count().load(Ordering::Relaxed);
        self.memory.put_line(OPEN_AT, &record.encode(number));
    }

    /// Everything on the tape that proves itself.
    #[must_use]
    pub fn play(&self) -> Playback {
        let written = self.count().load(Ordering::Acquire);
        let oldest = written.saturating_sub(self.places);
        let mut playback = Playback { overwritten: oldest, ..Playback::default() };
        for number in oldest..written {
            match Record::decode(&self.memory.line(self.place(number)), number) {
                Ok(record) => playback.records.push(record),
                Err(_) => playback.damaged += 1,
            }
        }
        playback.open = Record::decode(&self.memory.line(OPEN_AT), written).ok();
        playback
    }
}

impl AsFd for Tape {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn bytes_of(places: u64) -> io::Result<usize> {
    let possible = TRACE_RECORDS_MIN..=TRACE_RECORDS_MAX;
    if !places.is_power_of_two() || !possible.contains(&places) {
        return Err(memory::invalid(format!("a tape of {places} records")));
    }
    let places = usize::try_from(places).map_err(memory::invalid)?;
    Ok(PAGE_BYTES + places * TRACE_RECORD_BYTES)
}

#[cfg(test)]
mod tests {
    use mainstay_types::trace::What;
    use mainstay_types::{Epoch, Incarnation, Step};

    use super::*;

    fn step(number: u64) -> Record {
        let (epoch, incarnation) = (Epoch(1), Incarnation(0));
        let what = What::Step(Step(number));
        Record { start_ns: number, duration_ns: 0, epoch, incarnation, what }
    }

    fn pair() -> (Tape, Tape) {
        let ours = Tape::create(64).unwrap();
        let theirs = Tape::join(ours.as_fd().try_clone_to_owned().unwrap(), 64).unwrap();
        (ours, theirs)
    }

    #[test]
    fn the_newest_records_are_kept_and_the_others_counted() {
        let (ours, theirs) = pair();
        assert_eq!(ours.play(), Playback::default());
        (0..70).for_each(|number| theirs.write(&step(number)));
        let playback = ours.play();
        assert_eq!(playback.records, (6..70).map(step).collect::<Vec<_>>());
        assert_eq!((playback.overwritten, playback.damaged), (6, 0));
        // The next incarnation goes on where the last one ended.
        let next = Tape::join(ours.as_fd().try_clone_to_owned().unwrap(), 64).unwrap();
        next.write(&step(70));
        assert_eq!(ours.play().records.last(), Some(&step(70)));
    }

    #[test]
    fn a_torn_record_is_counted_and_not_shown() {
        let (ours, theirs) = pair();
        (0..65).for_each(|number| theirs.write(&step(number)));
        // Killed in the middle of the next one.
        theirs.memory.put_line(theirs.place(65), &[7; LINE_BYTES]);
        let playback = ours.play();
        assert_eq!(playback.records, (2..65).map(step).collect::<Vec<_>>());
        assert_eq!((playback.overwritten, playback.damaged), (1, 1));
    }

    #[test]
    fn a_count_that_is_made_up_costs_nothing_but_records() {
        let (ours, theirs) = pair();
        (0..3).for_each(|number| theirs.write(&step(number)));
        theirs.count().store(u64::MAX, Ordering::Release);
        let playback = ours.play();
        assert_eq!((playback.records.len(), playback.damaged), (0, 64));
        theirs.write(&step(9));
        assert_eq!(ours.play(), Playback::default());
    }

    #[test]
    fn what_is_waited_for_is_stale_after_the_next_record() {
        let (ours, theirs) = pair();
        theirs.write(&step(1));
        theirs.open(&step(2));
        assert_eq!(ours.play().open, Some(step(2)));
        theirs.write(&step(2));
        assert_eq!(ours.play().open, None);
        theirs.memory.put_line(OPEN_AT, &[1; LINE_BYTES]);
        assert_eq!(ours.play().open, None);
    }

    #[test]
    fn what_is_no_tape_is_refused() {
        for places in [0, 1, 65, u64::MAX, TRACE_RECORDS_MAX * 2] {
            assert!(Tape::create(places).is_err(), "{places}");
        }
        let (ours, _) = pair();
        let again = || ours.as_fd().try_clone_to_owned().unwrap();
        assert!(Tape::join(again(), 128).is_err());
        ours.memory.word64(0).store(0, Ordering::Relaxed);
        assert!(Tape::join(again(), 64).is_err());
    }
}
