//! What is to be shown, on its way to standard output and standard error.
//!
//! A thread of its own writes, so that a reader who stops reading (a pager, a terminal after
//! Ctrl-S, a pipe that nobody empties) never holds up the supervisor's loop. Invariants: bytes
//! leave in the order in which they were given, also across the two streams, which may be one
//! terminal; the queue is bounded, because whoever fills it looks at [`Sink::flow`], after at most
//! a few hundred kilobytes of each rank, and at [`Sink::has_room`]. Deliberately absent: what is
//! worth showing.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mainstay_host::supervisor::{Flow, wait_or_signal};
use mainstay_types::event::Stream;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

/// With so many bytes waiting, no more output of ranks is taken.
const HELD_BYTES: usize = 1 << 20;
/// With so many bytes waiting, event lines are left out and counted.
const FULL_BYTES: usize = 16 << 20;
/// Neighbouring pieces for one stream are joined up to this size.
const PIECE_BYTES: usize = 64 << 10;

/// The way to both streams.
#[derive(Debug)]
pub(crate) struct Sink {
    shared: Arc<Shared>,
    /// Whether there is a thread that writes; otherwise callers write themselves.
    threaded: bool,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
    /// Readable after [`Flow`] changed, and at the end when everything is written.
    changed: Option<OwnedFd>,
    stdout: BorrowedFd<'static>,
    stderr: BorrowedFd<'static>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<(Stream, Vec<u8>)>,
    /// Bytes in the queue and in the write under way.
    bytes: usize,
    held: bool,
    closed: bool,
    finishing: bool,
}

/// How the last bytes fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// All were written.
    Written,
    /// Standard output was closed, or cannot be written.
    Closed,
    /// The limit passed first.
    Late,
    /// This signal came first.
    Signal(i32),
}

impl Sink {
    /// A way to these two. Without a thread or a descriptor to be had, callers write themselves.
    pub(crate) fn new(stdout: BorrowedFd<'static>, stderr: BorrowedFd<'static>) -> Self {
        let changed = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok();
        let can_tell = changed.is_some();
        let (state, work) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { state, work, changed, stdout, stderr });
        let writer = Arc::clone(&shared);
        let thread = || std::thread::Builder::new().name("mainstay-show".to_owned());
        let threaded = can_tell && thread().spawn(move || writer.write_for_ever()).is_ok();
        Self { shared, threaded }
    }

    /// Gives bytes to be written.
    pub(crate) fn push(&self, stream: Stream, bytes: &[u8]) {
        let mut state = self.shared.lock();
        if bytes.is_empty() || (state.closed && stream == Stream::Stdout) {
            return;
        }
        if !self.threaded {
            drop(state);
            self.shared.write(stream, bytes);
            return;
        }
        state.bytes += bytes.len();
        state.held |= state.bytes >= HELD_BYTES;
        match state.queue.back_mut() {
            Some((last, piece)) if *last == stream && piece.len() + bytes.len() <= PIECE_BYTES => {
                piece.extend_from_slice(bytes);
            }
            _ => state.queue.push_back((stream, bytes.to_vec())),
        }
        self.shared.work.notify_one();
    }

    /// Whether there is room for what may be left out.
    pub(crate) fn has_room(&self) -> bool {
        self.shared.lock().bytes < FULL_BYTES
    }

    /// Whether everything was written.
    pub(crate) fn is_empty(&self) -> bool {
        self.shared.lock().bytes == 0
    }

    /// Whether output of ranks is to be taken.
    pub(crate) fn flow(&self) -> Flow {
        // Before the look: what changes after it makes it readable again.
        if let Some(changed) = &self.shared.changed {
            let _unreadable = rustix::io::read(changed, &mut [0; 8]);
        }
        let state = self.shared.lock();
        match (state.closed, state.held) {
            (true, _) => Flow::Closed,
            (false, true) => Flow::Held,
            (false, false) => Flow::Open,
        }
    }

    /// Readable when [`Sink::flow`] may have changed for the better or for ever, until it is asked.
    pub(crate) fn changed(&self) -> Option<BorrowedFd<'_>> {
        self.shared.changed.as_ref().map(AsFd::as_fd)
    }

    /// Waits until everything is written, a signal comes or `limit` passes.
    pub(crate) fn finish(&self, limit: Option<Duration>) -> Finish {
        let deadline = limit.map(|limit| Instant::now() + limit);
        self.shared.lock().finishing = true;
        loop {
            let flow = self.flow();
            if self.is_empty() {
                return if flow == Flow::Closed { Finish::Closed } else { Finish::Written };
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            // Without a descriptor nothing waits: everything was written as it was given.
            let Some(changed) = self.changed() else { return Finish::Written };
            match wait_or_signal(changed, left) {
                Ok(Some(signal)) => return Finish::Signal(signal),
                Ok(None) if left.is_none_or(|left| !left.is_zero()) => {}
                Ok(None) | Err(_) => return Finish::Late,
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A poisoned state is whole: nothing panics between two of its changes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_for_ever(&self) {
        loop {
            let mut state = self.lock();
            let (stream, piece) = loop {
                match state.queue.pop_front() {
                    Some(piece) => break piece,
                    None => {
                        state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                    }
                }
            };
            drop(state);
            self.write(stream, &piece);
            let mut state = self.lock();
            state.bytes -= piece.len();
            let released = state.held && state.bytes < HELD_BYTES / 2;
            state.held &= !released;
            if released || (state.finishing && state.bytes == 0) {
                self.tell();
            }
        }
    }

    /// Writes all of it, or finds the stream closed.
    fn write(&self, stream: Stream, bytes: &[u8]) {
        match stream {
            Stream::Stderr => {
                // What cannot be shown there cannot be shown at all.
                let _nowhere_to_tell = write_all(self.stderr, bytes);
            }
            Stream::Stdout if self.lock().closed => {}
            Stream::Stdout => {
                let Err(error) = write_all(self.stdout, bytes) else { return };
                if error != Errno::PIPE {
                    let error = io::Error::from(error);
                    let text = format!("mainstay: standard output cannot be written: {error}\n");
                    let _nowhere_to_tell = write_all(self.stderr, text.as_bytes());
                }
                self.lock().closed = true;
                self.tell();
            }
        }
    }

    fn tell(&self) {
        if let Some(changed) = &self.changed {
            // Any number but 0 will do. It fails only when it is readable already.
            let _readable = rustix::io::write(changed, &1_u64.to_le_bytes());
        }
    }
}

fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            // Somebody who shares the stream has made it non-blocking.
            Err(Errno::AGAIN) => {
                let _interrupted = poll(&mut [PollFd::new(&fd, PollFlags::OUT)], None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use super::*;

    fn pipes() -> (Sink, File, File) {
        let (out_reader, out_writer) = rustix::pipe::pipe().unwrap();
        let (err_reader, err_writer) = rustix::pipe::pipe().unwrap();
        let own = |fd: OwnedFd| -> BorrowedFd<'static> { (*Box::leak(Box::new(fd))).as_fd() };
        let sink = Sink::new(own(out_writer), own(err_writer));
        (sink, out_reader.into(), err_reader.into())
    }

    #[test]
    fn a_reader_that_stalls_holds_ranks_back_and_nobody_else() {
        let (sink, mut out, mut err) = pipes();
        let line = [b'x'; 1000];
        let mut pushed = 0;
        while sink.flow() == Flow::Open {
            sink.push(Stream::Stdout, &line);
            pushed += line.len();
        }
        assert_eq!(sink.flow(), Flow::Held);
        assert!(pushed >= HELD_BYTES && sink.has_room() && !sink.is_empty());
        sink.push(Stream::Stderr, b"last");
        let limit = Some(Duration::from_millis(1));
        assert_eq!(sink.finish(limit), Finish::Late);
        let mut got = vec![0; pushed];
        out.read_exact(&mut got).unwrap();
        assert!(got.iter().all(|byte| *byte == b'x'));
        let mut last = [0; 4];
        err.read_exact(&mut last).unwrap();
        assert_eq!(&last, b"last");
        assert_eq!(sink.finish(None), Finish::Written);
        assert_eq!(sink.flow(), Flow::Open);
    }

    #[test]
    fn a_queue_that_nobody_empties_has_an_end() {
        let (sink, _out, _err) = pipes();
        let chunk = vec![b'x'; 1 << 20];
        let mut chunks = 0;
        while sink.has_room() {
            sink.push(Stream::Stdout, &chunk);
            chunks += 1;
        }
        assert!((16..=17).contains(&chunks), "{chunks}");
    }

    #[test]
    fn a_closed_reader_ends_it_and_standard_error_goes_on() {
        let (sink, out, mut err) = pipes();
        drop(out);
        sink.push(Stream::Stdout, b"lost");
        assert_eq!(sink.finish(None), Finish::Closed);
        assert_eq!(sink.flow(), Flow::Closed);
        sink.push(Stream::Stdout, b"dropped");
        sink.push(Stream::Stderr, b"seen");
        let mut seen = [0; 4];
        err.read_exact(&mut seen).unwrap();
        assert_eq!(&seen, b"seen");
    }
}
