//! A rank's line to its supervisor: joining, asking, telling.
//!
//! Invariant: a question is answered before the next is asked. Deliberately absent: what the
//! answers are used for.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use mainstay_types::wire::{PROTOCOL, ToRank, ToSupervisor};
use mainstay_types::{Incarnation, JobId, Rank};
use rustix::process::Signal;

use super::error::RankError;
use crate::socket::Connection;

/// What the environment of a launched rank says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invitation {
    pub(crate) socket: String,
    pub(crate) token: [u8; 16],
    pub(crate) rank: Rank,
    pub(crate) incarnation: Incarnation,
}

/// Names of the environment variables that a launcher sets.
pub(crate) mod environment {
    pub(crate) const SOCKET: &str = "MAINSTAY_SOCKET";
    pub(crate) const TOKEN: &str = "MAINSTAY_TOKEN";
    pub(crate) const RANK: &str = "MAINSTAY_RANK";
    pub(crate) const SIZE: &str = "MAINSTAY_SIZE";
    pub(crate) const INCARNATION: &str = "MAINSTAY_INCARNATION";
}

impl Invitation {
    /// Reads the environment; `None` without a launcher.
    pub(crate) fn read() -> Result<Option<Self>, RankError> {
        let Ok(socket) = std::env::var(environment::SOCKET) else {
            return Ok(None);
        };
        let number = |name: &'static str| -> Result<u32, RankError> {
            let text = std::env::var(name).unwrap_or_default();
            text.parse().map_err(|_| RankError::Join(format!("{name} is `{text}`, not a number")))
        };
        let token = std::env::var(environment::TOKEN).unwrap_or_default();
        let token: JobId =
            token.parse().map_err(|_| RankError::Join("MAINSTAY_TOKEN is damaged".to_owned()))?;
        Ok(Some(Self {
            socket,
            token: token.0,
            rank: Rank(number(environment::RANK)?),
            incarnation: Incarnation(number(environment::INCARNATION)?),
        }))
    }
}

/// The line itself.
#[derive(Debug)]
pub(crate) struct Link {
    connection: Connection,
}

impl Link {
    /// Connects and says hello; gives the welcome.
    pub(crate) fn join(invitation: &Invitation) -> Result<(Self, ToRank, Vec<OwnedFd>), RankError> {
        // Behind a wrapper it is the wrapper that dies with the launcher, and we with the wrapper.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|error| RankError::Join(error.to_string()))?;
        let connection = Connection::connect(&invitation.socket)
            .map_err(|error| RankError::Join(format!("no launcher answers: {error}")))?;
        let link = Self { connection };
        link.tell(&ToSupervisor::Hello {
            protocol: PROTOCOL,
            token: invitation.token,
            rank: invitation.rank,
            incarnation: invitation.incarnation,
            pid: std::process::id(),
        })?;
        let (welcome, fds) = link.hear()?;
        Ok((link, welcome, fds))
    }

    /// Says something that has no answer.
    pub(crate) fn tell(&self, message: &ToSupervisor) -> Result<(), RankError> {
        self.tell_with(message, &[])
    }

    /// Says something and hands descriptors over.
    pub(crate) fn tell_with(
        &self,
        message: &ToSupervisor,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), RankError> {
        self.connection.send(&message.encode(), fds).map_err(RankError::io("tell the launcher"))
    }

    /// Waits for the next message.
    pub(crate) fn hear(&self) -> Result<(ToRank, Vec<OwnedFd>), RankError> {
        let heard = self.connection.receive().map_err(RankError::io("hear from the launcher"))?;
        Self::decoded(heard)
    }

    /// The next message, if there is one.
    pub(crate) fn try_hear(&self) -> Result<Option<ToRank>, RankError> {
        match self.connection.try_receive() {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(RankError::io("hear from the launcher")(error)),
            Ok(heard) => Self::decoded(heard).map(|(message, _)| Some(message)),
        }
    }

    fn decoded((bytes, fds): (Vec<u8>, Vec<OwnedFd>)) -> Result<(ToRank, Vec<OwnedFd>), RankError> {
        if bytes.is_empty() {
            return Err(RankError::LauncherGone);
        }
        let message = ToRank::decode(&bytes)
            .map_err(|error| RankError::Join(format!("the launcher speaks nonsense: {error}")))?;
        Ok((message, fds))
    }

    /// Asks, and waits for the answer.
    pub(crate) fn ask(
        &self,
        message: &ToSupervisor,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(ToRank, Vec<OwnedFd>), RankError> {
        self.tell_with(message, fds)?;
        match self.hear()? {
            (ToRank::Interrupted, _) => Err(RankError::Interrupted),
            (ToRank::Refused { why }, _) => Err(RankError::Refused(why)),
            answer => Ok(answer),
        }
    }

    /// Whether the launcher has hung up.
    pub(crate) fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}
