//! Members that hold each other's parity: where the shards of each stripe lie.
//!
//! A group of a code of k + m has k + m members, as many as a stripe has shards. The bytes of each member
//! are cut into k *segments* of one length, zeros behind their end. Stripe s takes one segment each of k
//! members, and the m others hold its parity:
//!
//! ```text
//!              stripe 0   stripe 1   stripe 2   stripe 3        2 + 2: P and Q are parity,
//!   member 0      P          b          a          Q            a and b the segments 0 and 1
//!   member 1      Q          P          b          a            of the member in that line
//!   member 2      a          Q          P          b
//!   member 3      b          a          Q          P
//! ```
//!
//! Invariants: each segment is in one stripe, each member holds one shard of each stripe, and as much parity
//! as any other; so the loss of m members takes m shards of each stripe. Deliberately absent: who the
//! members are, and that they do not fail together; whoever makes a group answers for it.
//!
//! # Source
//! P. M. Chen, E. K. Lee, G. A. Gibson, R. H. Katz, D. A. Patterson: RAID: High-Performance, Reliable
//! Secondary Storage. ACM Computing Surveys 26(2), 1994: rotated parity.

use super::Code;

/// Segments begin at multiples of so many bytes, so that those of memory are made of whole pages.
const SEGMENT_ALIGN: u64 = 4096;

/// Where the shards of a code lie, if each member holds one of each stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    code: Code,
}

/// What a member holds of a stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// This segment of its own bytes.
    Segment(usize),
    /// This parity shard, from 0.
    Parity(usize),
}

impl Group {
    /// The group of a code: as many members as it has shards.
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self { code }
    }

    /// Its code.
    #[must_use]
    pub fn code(self) -> Code {
        self.code
    }

    /// How many members it has, and how many stripes.
    #[must_use]
    pub fn members(self) -> usize {
        self.code.data() + self.code.parity()
    }

    /// Bytes of a segment when the largest member has so many: a multiple of 4096.
    #[must_use]
    pub fn segment_bytes(self, largest: u64) -> u64 {
        let each = largest.div_ceil(self.code.data() as u64);
        each.checked_next_multiple_of(SEGMENT_ALIGN).unwrap_or(each)
    }

    /// What a member holds of a stripe; both below [`Group::members`].
    #[must_use]
    pub fn held(self, member: usize, stripe: usize) -> Held {
        let place = (member + self.members() - stripe) % self.members();
        match place.checked_sub(self.code.parity()) {
            None => Held::Parity(place),
            Some(segment) => Held::Segment(segment),
        }
    }

    /// The stripe of a member's segment, below k.
    #[must_use]
    pub fn stripe(self, member: usize, segment: usize) -> usize {
        (member + self.members() - self.code.parity() - segment) % self.members()
    }

    /// The member that holds a shard of a stripe: data from 0, then parity, as the code counts them.
    #[must_use]
    pub fn holder(self, stripe: usize, shard: usize) -> usize {
        let place = match shard.checked_sub(self.code.data()) {
            None => shard + self.code.parity(),
            Some(parity) => parity,
        };
        (stripe + place) % self.members()
    }

    /// The shard that a member holds of a stripe, as the code counts them.
    #[must_use]
    pub fn shard(self, member: usize, stripe: usize) -> usize {
        match self.held(member, stripe) {
            Held::Segment(segment) => segment,
            Held::Parity(parity) => self.code.data() + parity,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups() -> impl Iterator<Item = Group> {
        let sizes = (1..=9).flat_map(|data| (1..=5).map(move |parity| (data, parity)));
        sizes
            .chain([(254, 1), (1, 254), (128, 127)])
            .map(|(data, parity)| Group::new(Code::new(data, parity).unwrap()))
    }

    #[test]
    fn each_member_holds_one_shard_of_each_stripe_and_each_segment_is_in_one() {
        for group in groups() {
            let members = group.members();
            for stripe in 0..members {
                let mut shards: Vec<_> = (0..members).map(|m| group.shard(m, stripe)).collect();
                for (member, shard) in shards.iter().enumerate() {
                    assert_eq!(group.holder(stripe, *shard), member);
                }
                shards.sort_unstable();
                assert!(shards.into_iter().eq(0..members));
            }
            for member in 0..members {
                for segment in 0..group.code().data() {
                    let stripe = group.stripe(member, segment);
                    assert_eq!(group.held(member, stripe), Held::Segment(segment));
                }
                let held = (0..members).map(|stripe| group.held(member, stripe));
                let parity = held.filter(|held| matches!(held, Held::Parity(_))).count();
                assert_eq!(parity, group.code().parity(), "as much as any other");
            }
        }
    }

    #[test]
    fn segments_cover_the_largest_member_and_no_more_than_they_must() {
        for group in groups() {
            let k = group.code().data() as u64;
            for largest in [0, 1, 4095, 4096, 4097, k * 4096, k * 4096 + 1, 1 << 40] {
                let bytes = group.segment_bytes(largest);
                assert!(bytes * k >= largest && bytes.is_multiple_of(4096));
                assert!(bytes < largest.div_ceil(k) + 4096);
            }
        }
        let _no_overflow = Group::new(Code::new(1, 1).unwrap()).segment_bytes(u64::MAX);
    }
}
