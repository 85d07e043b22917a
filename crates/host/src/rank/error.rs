//! Why a call of a rank did not succeed.
//!
//! Invariant: an interruption is always [`RankError::Interrupted`], wherever it was noticed.
//! Deliberately absent: the program's own errors; the facade carries them.

use mainstay_ckpt::format::error::{FieldsError, FormatError};
use mainstay_types::report::KeyError;

use crate::endpoint::CommError;

/// Why a call of a rank did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum RankError {
    /// A peer failed: this entry of the program is over. Return the error; `run` goes on.
    #[error("interrupted: a rank of the job failed, and the job goes back to its last version")]
    Interrupted,
    /// The launcher is gone, and with it the job.
    #[error("the launcher of this job is gone")]
    LauncherGone,
    /// The environment names a launcher that does not answer.
    #[error("cannot join the job: {0}; start the program with `mainstay run`")]
    Join(String),
    /// A message failed.
    #[error(transparent)]
    Comm(CommError),
    /// The supervisor cannot give what was asked for.
    #[error("{0}")]
    Refused(String),
    /// Shared memory or the socket failed.
    ///
    /// The message holds the cause, so the cause is no source: it would be shown twice.
    #[error("cannot {action}: {cause}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The ranks of an agreement were not all in one step.
    #[error(
        "the ranks that agree are in different steps: every rank has to call `agree` or `checked` \
         between the same two checkpoints, or a version could bring back some of them alone"
    )]
    ApartAgreeing,
    /// The fields named do not make a state.
    #[error(transparent)]
    Fields(#[from] FieldsError),
    /// A version cannot be captured.
    #[error("cannot capture: {0}")]
    Capture(FormatError),
    /// The channels of a version contradict the job.
    #[error("cannot take the channels over: {0}")]
    Channels(#[from] mainstay_comm::ResumeError),
    /// A version has no such field, or another type of it.
    #[error("version {version} cannot be restored into this program: {why}")]
    Mismatch {
        /// The version.
        version: u64,
        /// What differs.
        why: String,
    },
    /// Messages are still under way where none may be.
    #[error(
        "{} not complete at `{at}`; wait for each before it, so that no message is half in a version",
        match count {
            1 => "1 request is".to_owned(),
            _ => format!("{count} requests are"),
        }
    )]
    Outstanding {
        /// How many.
        count: usize,
        /// The call that does not let them pass.
        at: &'static str,
    },
    /// The closure returned `Ok` without `finish`.
    #[error("the program returned without `job.finish`; call it last, so that results are safe")]
    FinishedEarly,
    /// A call after `finish` has returned.
    #[error(
        "the job is finished: a call of Mainstay came after `job.finish`, which is the last one; \
         do what needs other ranks or the launcher before it"
    )]
    Finished,
    /// A value was reported under a key that the report cannot show.
    #[error(transparent)]
    ReportKey(#[from] KeyError),
    /// A text is longer than a message may carry.
    #[error("{what} has {bytes} bytes; at most {most} are possible")]
    TooLong {
        /// What it is.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The limit.
        most: usize,
    },
}

impl From<CommError> for RankError {
    fn from(error: CommError) -> Self {
        match error {
            CommError::Interrupted => Self::Interrupted,
            CommError::LauncherGone => Self::LauncherGone,
            other => Self::Comm(other),
        }
    }
}

impl RankError {
    /// An error of shared memory or the socket.
    pub(crate) fn io(action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |cause| match cause.kind() {
            std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset => {
                Self::LauncherGone
            }
            _ => Self::Io { action, cause },
        }
    }
}
