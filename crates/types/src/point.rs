//! The named points at which an injection can strike.
//!
//! Invariant: the number of a point is its place in [`Point::ALL`] and in the counters of a lane;
//! new points are added at the end.

macro_rules! points {
    ($($name:ident $text:literal $meaning:literal,)*) => {
        /// A place in the runtime that a rank, or the supervisor on its behalf, passes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Point {
            $(#[doc = $meaning] $name,)*
        }

        impl Point {
            /// Every point, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name used on the command line and in reports.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What passing the point means, in one sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }
        }
    };
}

points! {
    Send "send" "The rank enters a send.",
    RingPublish "ring-publish" "A frame is written into a ring and not yet published.",
    MidChunk "mid-chunk" "The rank is between two chunks of one message.",
    CollectiveEnter "collective-enter" "The rank enters a collective.",
    CollectiveMid "collective-mid" "The rank has done part of a collective.",
    Captured "captured" "The rank has copied its state and not yet told the supervisor.",
    CaptureMid "capture-mid" "The rank has copied part of its state.",
    Prepared "prepared" "The rank has told the supervisor that its part of a version is ready.",
    ManifestWritten "manifest-written" "The supervisor has written a manifest aside, unpublished.",
    Published "published" "The supervisor has published a manifest.",
    Respawned "respawned" "A new incarnation of the rank has joined.",
    RestoreMid "restore-mid" "The rank has restored part of its state.",
    Acknowledged "acknowledged" "The rank has acknowledged a new epoch.",
    FinishMid "finish-mid" "The rank has handed in its result, the job is not yet decided.",
    Finished "finished" "The rank has learnt that the job is finished.",
    AgreeMid "agree-mid" "The rank has come to an agreement that is not yet decided.",
    Agreed "agreed" "The rank has learnt what was agreed on and has not returned.",
}

impl Point {
    /// The point's number.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// Whether the supervisor passes this point, once for the whole job, rather than each rank.
    #[must_use]
    pub fn is_supervisors(self) -> bool {
        matches!(self, Self::ManifestWritten | Self::Published)
    }
}

impl std::str::FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|point| point.name() == text).ok_or_else(|| {
            format!("`{text}` is not a point; `mainstay run --list-points` lists them")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_agree() {
        for (i, point) in Point::ALL.iter().enumerate() {
            assert_eq!(point.index(), i);
            assert_eq!(point.name().parse(), Ok(*point));
        }
        assert!("nowhere".parse::<Point>().unwrap_err().contains("--list-points"));
    }
}
