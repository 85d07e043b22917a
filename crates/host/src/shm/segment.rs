//! The job's segment: control page, doorbells, and a lane with rings for each rank.
//!
//! Invariants: the supervisor maps all of it writable; a rank maps its own lane and the doorbells
//! writable and the rest read-only, so a stray store of a rank can hurt only what it sends.
//! Words are where [`Layout`] says. Deliberately absent: the protocols over the words, waiting.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use mainstay_ckpt::kernel::Residency;
use mainstay_comm::board::{AREA_BYTES, BOARDS, Line};
use mainstay_comm::layout::{Control, Counter, LINE_BYTES, Layout, MAGIC, Status};
use mainstay_types::{Point, Rank};
use rustix::fs::SealFlags;

use super::futex;
use super::memory::{self, Access, Memory};

/// A rank's area for a round on a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// The rank whose lane it is in.
    pub rank: Rank,
    /// The board.
    pub board: usize,
    /// The round.
    pub round: u64,
}

/// A mapping of the job's segment.
///
/// # Panics
/// Every method that takes a rank or an index panics when it is not one of this job's.
#[derive(Debug)]
pub struct Segment {
    pub(super) memory: Memory,
    layout: Layout,
    fd: Option<OwnedFd>,
    /// Whether payloads are summed as they are copied.
    checks: bool,
}

impl Segment {
    /// Makes the segment of a job and maps all of it writable: the supervisor's side.
    ///
    /// # Errors
    /// Whatever the kernel says, such as too little memory.
    pub fn create(layout: Layout) -> io::Result<Self> {
        let fd = memory::create("mainstay-job", layout.total_bytes())?;
        let memory = Memory::map(&fd, layout.total_bytes(), Access::ReadWrite)?;
        let segment = Self { memory, layout, fd: Some(fd), checks: true };
        let put = |word, value| segment.control(word).store(value, Ordering::SeqCst);
        put(Control::N, layout.n().into());
        put(Control::RingBytes, layout.ring_bytes() as u64);
        put(Control::Magic, MAGIC);
        Ok(segment)
    }

    /// Maps a segment received from the supervisor: the side of `rank`.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when size, seals or the first words contradict `layout`.
    pub fn join(fd: &OwnedFd, layout: Layout, rank: Rank) -> io::Result<Self> {
        let bytes = layout.total_bytes();
        memory::check(fd, SealFlags::GROW | SealFlags::SHRINK, bytes as u64)?;
        let memory = Memory::map(fd, bytes, Access::ReadWrite)?;
        memory.keep_writable(&[layout.bells(), layout.lane(rank)])?;
        let segment = Self { memory, layout, fd: None, checks: true };
        let get = |word| segment.control(word).load(Ordering::SeqCst);
        if get(Control::Magic) != MAGIC {
            return Err(memory::invalid("no segment of this version of Mainstay"));
        }
        let expected = (u64::from(layout.n()), layout.ring_bytes() as u64);
        if (get(Control::N), get(Control::RingBytes)) != expected {
            return Err(memory::invalid("a segment of another job"));
        }
        Ok(segment)
    }

    /// The same without sums of payloads, which are then all 0: every rank does so, or none.
    #[must_use]
    pub fn without_checks(self) -> Self {
        Self { checks: false, ..self }
    }

    /// The descriptor to give to ranks; `None` on a rank's side.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    /// Where things lie.
    #[inline]
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The word (u64) at an offset that the layout gave.
    #[inline]
    #[must_use]
    pub fn word(&self, at: usize) -> &AtomicU64 {
        self.memory.word64(at)
    }

    /// The word (u32) at an offset that the layout gave.
    #[inline]
    #[must_use]
    pub fn word32(&self, at: usize) -> &AtomicU32 {
        self.memory.word32(at)
    }

    /// A word of the control page.
    #[inline]
    #[must_use]
    pub fn control(&self, word: Control) -> &AtomicU64 {
        self.memory.word64(self.layout.control(word))
    }

    /// The order for a rank's next call: the number of an injection plus 1, or 0.
    #[inline]
    #[must_use]
    pub fn order(&self, rank: Rank) -> &AtomicU64 {
        self.memory.word64(self.layout.order(rank))
    }

    /// A rank's doorbell counter.
    #[inline]
    #[must_use]
    pub fn bell(&self, rank: Rank) -> &AtomicU32 {
        self.memory.word32(self.layout.bell(rank))
    }

    /// Whether a rank sleeps on its doorbell.
    #[inline]
    #[must_use]
    pub fn waiting(&self, rank: Rank) -> &AtomicU32 {
        self.memory.word32(self.layout.waiting(rank))
    }

    /// A status word of a rank.
    #[inline]
    #[must_use]
    pub fn status(&self, rank: Rank, word: Status) -> &AtomicU64 {
        self.memory.word64(self.layout.status(rank, word))
    }

    /// A counter of a rank.
    #[inline]
    #[must_use]
    pub fn counter(&self, rank: Rank, counter: Counter) -> &AtomicU64 {
        self.memory.word64(self.layout.counter(rank, counter))
    }

    /// How often a rank passed a point.
    #[inline]
    #[must_use]
    pub fn point(&self, rank: Rank, point: Point) -> &AtomicU64 {
        self.memory.word64(self.layout.point(rank, point))
    }

    /// A rank's receipt for an injection: how often it fired, and the monotonic ns of the last.
    #[must_use]
    pub fn receipt(&self, rank: Rank, injection: usize) -> (&AtomicU64, &AtomicU64) {
        let (count, stamp) = self.layout.receipt(rank, injection);
        (self.memory.word64(count), self.memory.word64(stamp))
    }

    /// How far `rank` has read the ring from `source`.
    #[inline]
    #[must_use]
    pub fn tail(&self, rank: Rank, source: Rank) -> &AtomicU64 {
        self.memory.word64(self.layout.tail(rank, source))
    }

    /// How far `rank` has written the ring to `destination`.
    #[inline]
    #[must_use]
    pub fn head(&self, rank: Rank, destination: Rank) -> &AtomicU64 {
        self.memory.word64(self.layout.head(rank, destination))
    }

    /// Messages that `rank` had sent to `destination` at its last capture.
    #[must_use]
    pub fn cap_sent(&self, rank: Rank, destination: Rank) -> &AtomicU64 {
        self.memory.word64(self.layout.cap_sent(rank, destination))
    }

    /// Stores a line, such as a frame's header, into a ring at a position.
    #[inline]
    pub fn put_line(&self, ring: usize, position: u64, line: &[u8; LINE_BYTES]) {
        let (at, _) = self.split(position, LINE_BYTES);
        self.memory.put_line(ring + at, line);
    }

    /// Loads a line from a ring at a position.
    #[inline]
    #[must_use]
    pub fn line(&self, ring: usize, position: u64) -> [u8; LINE_BYTES] {
        let (at, _) = self.split(position, LINE_BYTES);
        self.memory.line(ring + at)
    }

    /// Has the line of a ring at a position fetched, which is read soon.
    #[inline]
    pub fn fetch(&self, ring: usize, position: u64) {
        let (at, _) = self.split(position, LINE_BYTES);
        self.memory.fetch(ring + at);
    }

    /// Copies bytes into a ring at a position; the CRC-32C of them.
    ///
    /// # Panics
    /// When they are more than a ring holds.
    #[inline]
    pub fn ring_in(&self, ring: usize, position: u64, bytes: &[u8]) -> u32 {
        let (at, first) = self.split(position, bytes.len());
        match first == bytes.len() {
            true => self.copy_in(ring + at, bytes, 0),
            false => self.wrapped_in(ring, at, bytes.split_at(first)),
        }
    }

    /// Copies bytes out of a ring at a position; the CRC-32C of them.
    ///
    /// # Panics
    /// When they are more than a ring holds.
    #[inline]
    pub fn ring_out(&self, ring: usize, position: u64, bytes: &mut [u8]) -> u32 {
        let (at, first) = self.split(position, bytes.len());
        match first == bytes.len() {
            true => self.copy_out(ring + at, bytes, 0),
            false => self.wrapped_out(ring, at, bytes.split_at_mut(first)),
        }
    }

    /// As [`Segment::ring_in`] at the end of a ring and from its start on.
    #[cold]
    fn wrapped_in(&self, ring: usize, at: usize, (a, b): (&[u8], &[u8])) -> u32 {
        let crc = self.copy_in(ring + at, a, 0);
        self.copy_in(ring, b, crc)
    }

    /// As [`Segment::ring_out`] at the end of a ring and from its start on.
    #[cold]
    fn wrapped_out(&self, ring: usize, at: usize, (a, b): (&mut [u8], &mut [u8])) -> u32 {
        let crc = self.copy_out(ring + at, a, 0);
        self.copy_out(ring, b, crc)
    }

    /// A rank's line on a board.
    #[inline]
    #[must_use]
    pub fn board(&self, rank: Rank, board: usize) -> Line<'_, AtomicU64> {
        Line(self.memory.words(self.layout.board(rank, board)))
    }

    /// Copies bytes to a place in an area; the CRC-32C of `crc`'s bytes followed by these.
    ///
    /// # Panics
    /// When they do not fit the area.
    #[inline]
    pub fn area_in(&self, area: Area, at: usize, bytes: &[u8], crc: u32) -> u32 {
        self.copy_in(self.in_area(area, at, bytes.len()), bytes, crc)
    }

    /// Copies bytes from a place in an area; the CRC-32C of `crc`'s bytes followed by these.
    ///
    /// # Panics
    /// When the area has not so many.
    #[inline]
    pub fn area_out(&self, area: Area, at: usize, bytes: &mut [u8], crc: u32) -> u32 {
        self.copy_out(self.in_area(area, at, bytes.len()), bytes, crc)
    }

    /// Copies bytes that carry a sum of their own to a place in an area.
    ///
    /// # Panics
    /// When they do not fit the area.
    #[inline]
    pub fn area_put(&self, area: Area, at: usize, bytes: &[u8]) {
        self.memory.put(self.in_area(area, at, bytes.len()), bytes);
    }

    /// Copies bytes that carry a sum of their own from a place in an area.
    ///
    /// # Panics
    /// When the area has not so many.
    #[inline]
    pub fn area_get(&self, area: Area, at: usize, bytes: &mut [u8]) {
        self.memory.get(self.in_area(area, at, bytes.len()), bytes);
    }

    #[inline]
    fn in_area(&self, Area { rank, board, round }: Area, at: usize, len: usize) -> usize {
        let inside = at.checked_add(len).is_some_and(|end| end <= AREA_BYTES);
        assert!(inside, "{len} bytes at {at} of an area");
        self.layout.area(rank, board, round) + at
    }

    #[inline]
    fn copy_in(&self, at: usize, bytes: &[u8], crc: u32) -> u32 {
        if self.checks {
            return self.memory.copy_in(at, bytes, crc, Residency::Cached);
        }
        self.memory.put(at, bytes);
        0
    }

    #[inline]
    fn copy_out(&self, at: usize, bytes: &mut [u8], crc: u32) -> u32 {
        if self.checks {
            return self.memory.copy_out(at, bytes, crc, Residency::Cached);
        }
        self.memory.get(at, bytes);
        0
    }

    /// Offset in a ring of a position, and how many of `len` bytes lie before the ring's end.
    #[inline]
    fn split(&self, position: u64, len: usize) -> (usize, usize) {
        let capacity = self.layout.ring_bytes();
        assert!(len <= capacity, "{len} bytes in a ring of {capacity}");
        let at = (position & (capacity as u64 - 1)) as usize;
        (at, len.min(capacity - at))
    }

    /// Wakes a rank whatever it waits for.
    pub fn ring_bell(&self, rank: Rank) {
        let bell = self.bell(rank);
        bell.fetch_add(1, Ordering::SeqCst);
        futex::wake_all(bell);
    }

    /// Wakes every rank.
    pub fn ring_all(&self) {
        Rank::all(self.layout.n()).for_each(|rank| self.ring_bell(rank));
    }

    /// Empties all rings and boards and clears all wait words and captures, for a new epoch.
    ///
    /// Only the supervisor may, and only while every rank is either fenced or waits for the
    /// epoch to open.
    pub fn reset_channels(&self) {
        let clear = |word: &AtomicU64| word.store(0, Ordering::SeqCst);
        for rank in Rank::all(self.layout.n()) {
            self.waiting(rank).store(0, Ordering::SeqCst);
            clear(self.status(rank, Status::WaitKind));
            clear(self.status(rank, Status::CapVersion));
            clear(self.status(rank, Status::Held));
            for peer in Rank::all(self.layout.n()) {
                clear(self.tail(rank, peer));
                clear(self.head(rank, peer));
                clear(self.cap_sent(rank, peer));
            }
            for board in 0..BOARDS {
                self.board(rank, board).0.iter().for_each(clear);
            }
        }
    }

    /// Whether every ring is empty, or begins with a message that its reader has no memory for:
    /// nothing is under way between ranks that wait.
    #[must_use]
    pub fn rings_at_rest(&self) -> bool {
        let all = || Rank::all(self.layout.n());
        all().all(|to| {
            let is_filled = |from: &Rank| {
                let head = self.head(*from, to).load(Ordering::Acquire);
                head != self.tail(to, *from).load(Ordering::Acquire)
            };
            all().filter(is_filled).count() as u64 == self.held(to)
        })
    }

    /// How many rings to a rank begin with a message that it has no memory for, as it saw before it
    /// fell asleep.
    #[must_use]
    pub fn held(&self, rank: Rank) -> u64 {
        self.status(rank, Status::Held).load(Ordering::Acquire)
    }
}
