//! How a cell ended well, by where the state came from.

/// The ways in which a cell ends well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// From memory that nobody has lost.
    Memory,
    /// A node got its part from the copy that another had.
    Partner,
    /// A node got its part from parity.
    Parity,
    /// From the newest version that was published.
    DiskNewest,
    /// From one before it.
    DiskOlder,
    /// Nothing was kept yet: from the beginning of the job.
    Beginning,
    /// The fault came when there was nothing more to lose.
    NothingLost,
    /// Refused with the documented exit code, as every version is lost.
    Refused,
}

impl Outcome {
    /// As it is printed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Partner => "partner",
            Self::Parity => "parity",
            Self::DiskNewest => "disk newest",
            Self::DiskOlder => "disk older",
            Self::Beginning => "from the beginning",
            Self::NothingLost => "nothing lost",
            Self::Refused => "refused",
        }
    }
}
