//! Whether captures find out what was written since, and copy only that.
//!
//! Deliberately absent: how; `host` knows.

use std::str::FromStr;

/// What a job wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tracking {
    /// Captures copy everything.
    #[default]
    Off,
    /// Captures copy what was written, where the system can tell and where it pays.
    Auto,
    /// As `Auto`, wherever it can tell; a system that cannot is refused.
    On,
    /// As `On`, and what is not copied is compared all the same.
    Check,
}

impl Tracking {
    /// All of them, by their codes.
    pub const ALL: [Self; 4] = [Self::Off, Self::Auto, Self::On, Self::Check];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Auto => "auto",
            Self::On => "on",
            Self::Check => "check",
        }
    }

    /// The code in messages.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// What a code stands for.
    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

impl FromStr for Tracking {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|known| known.name() == text);
        known.ok_or_else(|| format!("`{text}` is none of auto, on, off and check"))
    }
}

/// What a rank says of a capture that was to copy only what was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tracked {
    /// Bytes of fields that it copied.
    pub copied_bytes: u64,
    /// Bytes of fields there are.
    pub bytes: u64,
    /// Chunks that had changed though nobody had said so.
    pub missed: u64,
    /// Why something was copied whole that could have been watched; empty if nothing was.
    pub why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_come_back() {
        for tracking in Tracking::ALL {
            assert_eq!(tracking.name().parse(), Ok(tracking));
            assert_eq!(Tracking::of_code(tracking.code()), Some(tracking));
        }
        assert!("yes".parse::<Tracking>().is_err());
        assert_eq!(Tracking::of_code(4), None);
    }
}
