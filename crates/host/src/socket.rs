//! The local socket between a rank and its supervisor: one datagram a message, descriptors beside.
//!
//! An abstract-namespace `SOCK_SEQPACKET` socket: nothing appears in any file system, so nothing
//! is left behind. Invariants: a listener yields only peers of our own user; a received message is
//! never longer than [`WIRE_BYTES_MAX`], one that was is an error; descriptors arrive
//! close-on-exec. Deliberately absent: what the messages mean.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use mainstay_types::limits::{WIRE_BYTES_MAX, WIRE_FDS_MAX};
use rustix::net::{
    self, AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

/// Accepts connections of ranks.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    name: String,
}

impl Listener {
    /// Listens under the abstract `name`.
    ///
    /// # Errors
    /// Whatever the kernel says, such as a name in use.
    pub fn bind(name: &str) -> io::Result<Self> {
        let fd = new_socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        net::bind(&fd, &address(name)?)?;
        net::listen(&fd, 1024)?;
        Ok(Self { fd, name: name.to_owned() })
    }

    /// The abstract name, for the environment of ranks.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next connection of a process of our own user; others are closed at once.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none.
    pub fn accept(&self) -> io::Result<(Connection, u32)> {
        loop {
            let fd = net::accept_with(&self.fd, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
            // Who cannot be told is nobody of ours.
            let Ok(peer) = net::sockopt::socket_peercred(&fd) else { continue };
            if peer.uid == rustix::process::geteuid() {
                let pid = peer.pid.as_raw_nonzero().get();
                return Ok((Connection { fd }, pid.cast_unsigned()));
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// One end of a connection.
#[derive(Debug)]
pub struct Connection {
    fd: OwnedFd,
}

impl Connection {
    /// Connects to the listener under `name`; the connection blocks.
    ///
    /// # Errors
    /// Whatever the kernel says; `ConnectionRefused` when nobody listens.
    pub fn connect(name: &str) -> io::Result<Self> {
        let fd = new_socket(SocketFlags::CLOEXEC)?;
        net::connect(&fd, &address(name)?)?;
        Ok(Self { fd })
    }

    /// Both ends of a connection without a name; neither blocks.
    ///
    /// # Errors
    /// Whatever the kernel says, such as too many descriptors.
    pub fn pair() -> io::Result<(Self, Self)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (one, other) =
            net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Self { fd: one }, Self { fd: other }))
    }

    /// The connection of a received descriptor.
    #[must_use]
    pub fn of(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Its descriptor.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Sends one message with its descriptors.
    ///
    /// # Errors
    /// `WouldBlock` on a full non-blocking socket, `BrokenPipe` when the peer is gone.
    pub fn send(&self, message: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        if message.len() > WIRE_BYTES_MAX || fds.len() > WIRE_FDS_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "message beyond its limit"));
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(WIRE_FDS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(fds));
        }
        let iov = [IoSlice::new(message)];
        rustix::io::retry_on_intr(|| {
            net::sendmsg(&self.fd, &iov, &mut control, SendFlags::NOSIGNAL)
        })?;
        Ok(())
    }

    /// Receives one message and its descriptors; an empty message is the end of the connection.
    ///
    /// # Errors
    /// `WouldBlock` when there is none on a non-blocking socket, `InvalidData` for one that was
    /// cut because it is beyond its limits, `EMFILE` for one whose descriptors this process has no
    /// room for; that message is lost.
    pub fn receive(&self) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
        self.receive_with(RecvFlags::CMSG_CLOEXEC)
    }

    /// As [`Connection::receive`], without waiting.
    ///
    /// # Errors
    /// As [`Connection::receive`] on a non-blocking socket.
    pub fn try_receive(&self) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
        self.receive_with(RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT)
    }

    fn receive_with(&self, flags: RecvFlags) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
        let mut bytes = vec![0; WIRE_BYTES_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(WIRE_FDS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = rustix::io::retry_on_intr(|| {
            let mut iov = [IoSliceMut::new(&mut bytes)];
            net::recvmsg(&self.fd, &mut iov, &mut control, flags)
        })?;
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        // There was place for all that a message may have: fewer came, as no more can be opened.
        if got.flags.contains(ReturnFlags::CTRUNC) && fds.len() < WIRE_FDS_MAX {
            return Err(rustix::io::Errno::MFILE.into());
        }
        if got.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "message beyond its limit"));
        }
        bytes.truncate(got.bytes);
        Ok((bytes, fds))
    }

    /// Whether the peer has hung up.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut fds = [PollFd::new(&self.fd, PollFlags::RDHUP)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn new_socket(flags: SocketFlags) -> io::Result<OwnedFd> {
    Ok(net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

fn address(name: &str) -> io::Result<SocketAddrUnix> {
    Ok(SocketAddrUnix::new_abstract_name(name.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_bounds_and_carry_descriptors() {
        let name = format!("mainstay-test-{}", std::process::id());
        let listener = Listener::bind(&name).unwrap();
        let client = Connection::connect(&name).unwrap();
        let (server, pid) = listener.accept().unwrap();
        assert_eq!(pid, std::process::id());
        client.send(b"one", &[]).unwrap();
        client.send(b"two", &[listener.as_fd()]).unwrap();
        assert_eq!(server.receive().unwrap().0, b"one");
        let (bytes, fds) = server.receive().unwrap();
        assert_eq!((bytes.as_slice(), fds.len()), (b"two".as_slice(), 1));
        assert_eq!(server.receive().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(client.send(&vec![0; WIRE_BYTES_MAX + 1], &[]).is_err());
        assert!(!client.is_closed());
        drop(server);
        assert!(client.is_closed());
        assert_eq!(client.receive().unwrap().0, b"");
    }
}
