//! Connections that have not said hello, and a listener that has no descriptor for more.
//!
//! Invariants: a connection that says nothing is closed after a while, or earlier for a newer one,
//! so that silent ones never keep a rank out; a listener that cannot accept is left alone for a
//! while. Deliberately absent: what a hello must say; see `messages`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use mainstay_control::Input;
use mainstay_types::exit;

use super::Supervisor;
use crate::socket::Connection;
use crate::sys;

/// Silent connections that are kept beside one for each rank.
const SILENT_MAX: usize = 64;
/// A rank says hello at once; whoever has not by now is none.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// Connections taken in one turn of the loop.
const ACCEPTED_AT_ONCE: usize = 64;
/// When the listener is looked at again after it could not accept.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// Somebody of our user who has connected.
#[derive(Debug)]
pub(crate) struct Stranger {
    pub(crate) connection: Connection,
    pub(crate) pid: u32,
    until: Duration,
}

/// All that have said nothing yet, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    silent: Vec<Stranger>,
    /// When the listener is looked at again, if it could not accept.
    again: Option<Duration>,
    told: bool,
}

impl Strangers {
    /// Whether the listener is to be looked at.
    pub(crate) fn are_taken(&self) -> bool {
        self.again.is_none()
    }

    pub(crate) fn get(&self, i: usize) -> Option<&Stranger> {
        self.silent.get(i)
    }

    pub(crate) fn remove(&mut self, i: usize) -> Stranger {
        self.silent.remove(i)
    }

    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.silent.iter().map(|stranger| stranger.connection.as_fd())
    }

    /// Keeps one more; the oldest of too many is closed.
    fn push(&mut self, connection: Connection, pid: u32, now: Duration, most: usize) {
        if self.silent.len() >= most {
            self.silent.remove(0);
        }
        self.silent.push(Stranger { connection, pid, until: now + HELLO_WITHIN });
    }

    /// When there is something to do.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.silent.first().map(|oldest| oldest.until).into_iter().chain(self.again).min()
    }

    /// Closes those that have been silent for too long.
    pub(crate) fn tidy(&mut self, now: Duration) {
        self.silent.retain(|stranger| now < stranger.until);
        self.again = self.again.filter(|again| now < *again);
    }
}

impl Supervisor<'_> {
    /// Takes those who wait at the listener.
    pub(super) fn accept(&mut self) {
        for _ in 0..ACCEPTED_AT_ONCE {
            match self.listener.accept() {
                Ok((connection, pid)) => {
                    let most = SILENT_MAX + self.members.len();
                    self.strangers.push(connection, pid, sys::now(), most);
                    // A rank has said hello by now, as a rule, and is no stranger any more.
                    self.stranger(self.strangers.silent.len() - 1);
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => return self.cannot_accept(&error),
            }
        }
    }

    /// A connection cannot be taken. If it may be that of a rank, that rank would wait for ever.
    fn cannot_accept(&mut self, error: &io::Error) {
        self.strangers.again = Some(sys::now() + ACCEPT_AGAIN);
        // Their descriptors are wanted.
        self.strangers.silent.clear();
        let awaited = self.members.iter().any(|m| m.process.is_some() && !m.hints.joined);
        if awaited {
            self.lacks_descriptor(error);
        } else if !std::mem::replace(&mut self.strangers.told, true) {
            self.note(format!(
                "a connection of a process that is no rank cannot be taken: {error}"
            ));
        }
    }

    /// The launcher cannot open a descriptor that the job needs: no rank can be helped by trying
    /// again.
    pub(super) fn lacks_descriptor(&mut self, error: &io::Error) {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let limit = limit.map_or_else(|| "any number".to_owned(), |limit| limit.to_string());
        let why = format!(
            "the launcher is out of descriptors, of which it may have {limit}: {error}; raise \
             `ulimit -n`, or run fewer ranks"
        );
        self.feed(Input::GiveUp { code: exit::INTERNAL, why });
    }
}

/// Whether an error says that no further descriptor can be opened.
pub(super) fn is_for_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::Listener;

    #[test]
    fn the_silent_give_way_to_the_new_and_to_time() {
        let name = format!("mainstay-strangers-{}", std::process::id());
        let listener = Listener::bind(&name).unwrap();
        let mut strangers = Strangers::default();
        let peers: Vec<_> = (0..4).map(|_| Connection::connect(&name).unwrap()).collect();
        assert_eq!(strangers.due(), None);
        let second = Duration::from_secs(1);
        for i in 0..4 {
            let (connection, pid) = listener.accept().unwrap();
            strangers.push(connection, pid, second * i, 3);
        }
        let closed: Vec<_> = peers.iter().map(Connection::is_closed).collect();
        assert_eq!(closed, [true, false, false, false], "three are kept, the newest three");
        assert_eq!(strangers.due(), Some(second + HELLO_WITHIN));
        strangers.tidy(second + HELLO_WITHIN);
        assert!(peers[1].is_closed() && !peers[2].is_closed());
        assert_eq!(strangers.fds().count(), 2);
        strangers.again = Some(second * 2);
        assert!(!strangers.are_taken());
        strangers.tidy(second * 2);
        assert!(strangers.are_taken());
    }
}
