//! What a rank can wait for, as its lane tells whoever looks.
//!
//! Invariant: a code names one kind, and 0 none. Deliberately absent: what follows from a wait.

/// What a rank waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitKind {
    /// Room in a peer's ring.
    Send,
    /// A message.
    Receive,
    /// A part of a collective.
    Collective,
    /// The other ranks' results.
    Finish,
    /// An answer of the supervisor.
    Supervisor,
    /// Anything, but not beyond a deadline of the caller's.
    Bounded,
    /// One of several requests.
    Requests,
    /// The other ranks of a group that agrees.
    Agree,
}

impl WaitKind {
    /// The value of the lane's word while waiting; 0 is no wait.
    #[must_use]
    pub const fn code(self) -> u64 {
        match self {
            Self::Send => 1,
            Self::Receive => 2,
            Self::Collective => 3,
            Self::Finish => 4,
            Self::Supervisor => 5,
            Self::Bounded => 6,
            Self::Requests => 7,
            Self::Agree => 8,
        }
    }

    /// The kind behind the word's value; `None` for 0 and for what no rank writes.
    #[must_use]
    pub const fn from_code(code: u64) -> Option<Self> {
        match code {
            1 => Some(Self::Send),
            2 => Some(Self::Receive),
            3 => Some(Self::Collective),
            4 => Some(Self::Finish),
            5 => Some(Self::Supervisor),
            6 => Some(Self::Bounded),
            7 => Some(Self::Requests),
            8 => Some(Self::Agree),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_read_back_and_other_codes_do_not() {
        let kinds: Vec<_> = (0..11).map(WaitKind::from_code).collect();
        assert!(kinds[1..9].iter().zip(1..).all(|(kind, code)| kind.unwrap().code() == code));
        assert_eq!((kinds[0], kinds[9], kinds[10]), (None, None, None));
    }
}
