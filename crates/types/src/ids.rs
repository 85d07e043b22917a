//! Typed numbers: a rank cannot be mistaken for a version, nor an epoch for a step.
//!
//! Invariant: ordering and arithmetic are those of the number inside; nothing wraps silently.

use std::fmt;

macro_rules! id {
    ($(#[$meta:meta])* $name:ident($inner:ty)) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl $name {
            /// The id that follows this one.
            ///
            /// # Panics
            /// When the number space is exhausted, which a broken invariant alone can cause.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0.checked_add(1).expect("ids never run out"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A process's place in the job, `0..n`. It outlives the process that holds it.
    Rank(u32)
}
id! {
    /// A failure domain of the job, `0..nodes`: what fails together, and what its ranks have in memory
    /// with them.
    Node(u32)
}
id! {
    /// How often a rank was started, from 0. Stale incarnations are fenced.
    Incarnation(u32)
}
id! {
    /// The version of the job's membership: raised at each failure, growing across launches.
    Epoch(u32)
}
id! {
    /// The number of a checkpoint of the whole job; not reused after a resume while any file of it
    /// is there.
    Version(u64)
}
id! {
    /// The job's logical clock: completed calls of `checkpoint` in the current logical history.
    Step(u64)
}

impl Rank {
    /// The rank as an index into tables with one entry for each rank.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// The ranks `0..n`, in order.
    pub fn all(n: u32) -> impl DoubleEndedIterator<Item = Self> + Clone {
        (0..n).map(Self)
    }
}

impl Node {
    /// The node as an index into tables with one entry for each node.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// The nodes `0..n`, in order.
    pub fn all(n: u32) -> impl DoubleEndedIterator<Item = Self> + Clone {
        (0..n).map(Self)
    }
}

/// The name of a job: 128 random bits, written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub [u8; 16]);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobId({self})")
    }
}

impl std::str::FromStr for JobId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is not a job: 32 hexadecimal digits are");
        // Checked by digit: a number's own parser takes signs, too.
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(bad());
        }
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        Ok(Self(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_id_reads_back_from_its_text_and_refuses_others() {
        let id = JobId([0xab; 16]);
        assert_eq!(id.to_string().parse::<JobId>(), Ok(id));
        for bad in ["", "ab", &"g".repeat(32), &"é".repeat(16), &"+f".repeat(16)] {
            assert!(bad.parse::<JobId>().is_err(), "{bad}");
        }
    }
}
