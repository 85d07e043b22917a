//! Where the parts of a node's ranks lie in its bytes.
//!
//! Invariant: parts do not overlap, and what lies between them is zeros. Deliberately absent: memory.

use std::ops::Range;

use mainstay_types::Rank;
use mainstay_types::wire::node::Part;

/// Parts begin at multiples of so many bytes.
const ALIGN: u64 = 64;

/// Where the parts of a node's ranks lie in its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Each with its first byte.
    parts: Vec<(u64, Part)>,
    bytes: u64,
}

/// What a byte of a node belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The image in the arena of this slot.
    Image(Rank, u8),
    /// The rank's late messages.
    Late(Rank),
}

impl Layout {
    /// Of these parts.
    #[must_use]
    pub fn new(parts: &[Part]) -> Self {
        let mut layout = Self::default();
        for part in parts {
            layout.parts.push((layout.bytes, *part));
            let bytes = up(part.image_bytes).saturating_add(up(part.late_bytes));
            layout.bytes = layout.bytes.saturating_add(bytes);
        }
        layout
    }

    /// How many bytes there are.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The bytes of a rank's part.
    #[must_use]
    pub fn range(&self, rank: Rank) -> Option<Range<u64>> {
        let (at, part) = self.parts.iter().find(|(_, part)| part.rank == rank)?;
        let bytes = up(part.image_bytes).saturating_add(up(part.late_bytes));
        Some(*at..at.saturating_add(bytes))
    }

    /// What lies in a range: of what, from which of its bytes, at which place of the range. The rest are
    /// zeros.
    #[must_use]
    pub fn within(&self, range: Range<u64>) -> Vec<(Of, Range<u64>, usize)> {
        let mut found = Vec::new();
        let mut add = |of, at: u64, bytes: u64| {
            let (from, to) = (range.start.max(at), range.end.min(at.saturating_add(bytes)));
            if from < to {
                let place = usize::try_from(from - range.start).unwrap_or(usize::MAX);
                found.push((of, from - at..to - at, place));
            }
        };
        for (at, part) in &self.parts {
            add(Of::Image(part.rank, part.slot), *at, part.image_bytes);
            let late = at.saturating_add(up(part.image_bytes));
            add(Of::Late(part.rank), late, part.late_bytes);
        }
        found
    }
}

fn up(bytes: u64) -> u64 {
    bytes.checked_next_multiple_of(ALIGN).unwrap_or(bytes)
}
