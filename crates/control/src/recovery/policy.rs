//! The recovery policies and their names.
//!
//! Deliberately absent: what they do, which is in `failure`.

use std::str::FromStr;

/// What happens when a rank fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Policy {
    /// The job ends.
    Abort,
    /// All ranks are ended and started again.
    Restart,
    /// The survivors stay; the dead are started again.
    #[default]
    Rollback,
}

impl Policy {
    /// The name on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Abort => "abort",
            Self::Restart => "restart",
            Self::Rollback => "rollback",
        }
    }
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Abort, Self::Restart, Self::Rollback]
            .into_iter()
            .find(|policy| policy.name() == text)
            .ok_or_else(|| format!("`{text}` is not a policy: rollback, restart or abort is"))
    }
}
