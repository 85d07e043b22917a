//! Two versions, field by field.
//!
//! Invariants: every byte compared was checked with its chunk; a few chunks are held, whatever the
//! sizes. Arrays with a global shape are compared by their indices, so that versions of different
//! numbers of ranks can be; others rank by rank. Deliberately absent: what differs beside the fields.

use mainstay_ckpt::FieldSpec;
use mainstay_ckpt::catalogue::Whole;
use mainstay_ckpt::compare::Comparison;
use mainstay_types::Rank;
use mainstay_types::limits::CRC_CHUNK_BYTES;

use super::{ArchiveError, Fields};

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

impl Side {
    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
        }
    }
}

/// Where an element is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The rank, of a field without a global shape.
    pub rank: Option<Rank>,
    /// Its indices, in the whole array or in the rank's part.
    pub indices: Vec<u64>,
}

/// What a comparison of a field came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Its elements were compared; where the first is that differs.
    Compared(Comparison, Option<Place>),
    /// Only one version has it.
    OnlyIn(Side),
    /// It cannot be compared, and why.
    Unlike(String),
}

/// A field of either version.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldDiff {
    /// State and name.
    pub name: String,
    /// How it compares.
    pub outcome: Outcome,
}

impl FieldDiff {
    /// Whether both versions have the same bits.
    #[must_use]
    pub fn is_identical(&self) -> bool {
        matches!(&self.outcome, Outcome::Compared(comparison, _) if comparison.differing == 0)
    }
}

/// Compares all fields of two versions, each as it is done, and tells of bytes that were read of the
/// first.
///
/// # Errors
/// Whatever prevents that either is read.
pub fn diff(
    a: &mut Fields,
    b: &mut Fields,
    tell: &mut dyn FnMut(u64),
    each: &mut dyn FnMut(FieldDiff),
) -> Result<(), ArchiveError> {
    let (in_a, in_b) = (a.names()?, b.names()?);
    for name in &in_a {
        let outcome = match in_b.contains(name) {
            true => compare(a, b, name, tell)?,
            false => Outcome::OnlyIn(Side::A),
        };
        each(FieldDiff { name: name.clone(), outcome });
    }
    for name in in_b.into_iter().filter(|name| !in_a.contains(name)) {
        each(FieldDiff { name, outcome: Outcome::OnlyIn(Side::B) });
    }
    Ok(())
}

fn compare(
    a: &mut Fields,
    b: &mut Fields,
    name: &str,
    tell: &mut dyn FnMut(u64),
) -> Result<Outcome, ArchiveError> {
    if let (Ok(whole_a), Ok(whole_b)) = (a.whole(name)?, b.whole(name)?) {
        if let Some(unlike) = unlike_wholes(&whole_a, &whole_b) {
            return Ok(Outcome::Unlike(unlike));
        }
        return by_index(a, b, name, (&whole_a, &whole_b), tell);
    }
    let (parts_a, parts_b) = (a.parts(name)?, b.parts(name)?);
    if let Some(unlike) = unlike_parts(&parts_a, &parts_b) {
        return Ok(Outcome::Unlike(unlike));
    }
    let parts: Vec<(Rank, u64)> = parts_a.iter().map(|(rank, spec)| (*rank, spec.count)).collect();
    by_rank(a, b, name, &parts, tell)
}

fn unlike_wholes(a: &Whole, b: &Whole) -> Option<String> {
    let kind = |whole: &Whole| format!("{} of {} bytes", whole.kind.name(), whole.element_bytes);
    if (a.kind, a.element_bytes) != (b.kind, b.element_bytes) {
        return Some(format!("its elements are {} in A and {} in B", kind(a), kind(b)));
    }
    (a.shape != b.shape)
        .then(|| format!("its global shape is {:?} in A and {:?} in B", a.shape, b.shape))
}

fn unlike_parts(a: &[(Rank, &FieldSpec)], b: &[(Rank, &FieldSpec)]) -> Option<String> {
    if a.len() != b.len() {
        return Some(format!("as many ranks have it: {} in A, {} in B", a.len(), b.len()));
    }
    let first = a.first().map(|(_, spec)| (spec.kind, spec.element_bytes));
    for ((rank_a, a), (rank_b, b)) in a.iter().zip(b) {
        if rank_a != rank_b {
            return Some(format!("rank {rank_a} has it in A and rank {rank_b} in B"));
        }
        let (kind_a, kind_b) = ((a.kind, a.element_bytes), (b.kind, b.element_bytes));
        if kind_a != kind_b || Some(kind_a) != first {
            return Some(format!(
                "the elements of rank {rank_a} are {} of {} bytes in A and {} of {} bytes in B",
                a.kind.name(),
                a.element_bytes,
                b.kind.name(),
                b.element_bytes
            ));
        }
        if a.count != b.count {
            return Some(format!(
                "rank {rank_a} has {} elements in A and {} in B",
                a.count, b.count
            ));
        }
    }
    None
}

/// Elements that are compared at once.
fn step(element_bytes: u64) -> u64 {
    (CRC_CHUNK_BYTES as u64 / element_bytes).max(1)
}

fn by_rank(
    a: &mut Fields,
    b: &mut Fields,
    name: &str,
    parts: &[(Rank, u64)],
    tell: &mut dyn FnMut(u64),
) -> Result<Outcome, ArchiveError> {
    let first = parts.first().map_or(Rank(0), |(rank, _)| *rank);
    let (_, spec) = a.part(first, name)?;
    let mut comparison = Comparison::new(spec.kind, spec.element_bytes);
    let element_bytes = u64::from(spec.element_bytes);
    let (mut bytes_a, mut bytes_b, mut before) = (Vec::new(), Vec::new(), 0);
    let mut place = None;
    for (rank, count) in parts {
        let (in_a, in_b) = ((*rank, a.part(*rank, name)?.0), (*rank, b.part(*rank, name)?.0));
        let mut from = 0;
        while from < *count {
            let to = (*count).min(from.saturating_add(step(element_bytes)));
            let at = from * element_bytes..to * element_bytes;
            a.read(in_a, at.clone(), &mut bytes_a)?;
            b.read(in_b, at, &mut bytes_b)?;
            comparison.add(before + from, &bytes_a, &bytes_b);
            tell(bytes_a.len() as u64);
            from = to;
        }
        if let (None, Some(first)) = (&place, comparison.first) {
            place = Some(Place { rank: Some(*rank), indices: vec![first - before] });
        }
        before = before.saturating_add(*count);
    }
    Ok(Outcome::Compared(comparison, place))
}

fn by_index(
    a: &mut Fields,
    b: &mut Fields,
    name: &str,
    (whole_a, whole_b): (&Whole, &Whole),
    tell: &mut dyn FnMut(u64),
) -> Result<Outcome, ArchiveError> {
    let mut comparison = Comparison::new(whole_a.kind, whole_a.element_bytes);
    let element_bytes = u64::from(whole_a.element_bytes);
    let (mut bytes_a, mut bytes_b) = (Vec::new(), Vec::new());
    for block in whole_a.blocks() {
        let (place, spec) = a.part(block.rank, name)?;
        let count = spec.count;
        let mut from = 0;
        while from < count {
            let to = count.min(from.saturating_add(step(element_bytes)));
            a.read((block.rank, place), from * element_bytes..to * element_bytes, &mut bytes_a)?;
            for run in whole_a.runs(block, from..to) {
                let mut done = 0;
                while done < run.count {
                    let (other, at) = whole_b.find(run.global + done);
                    let more = at.count.min(run.count - done);
                    let field = b.part(other.rank, name)?.0;
                    let at = at.local * element_bytes..(at.local + more) * element_bytes;
                    b.read((other.rank, field), at, &mut bytes_b)?;
                    let start = ((run.local + done - from) * element_bytes) as usize;
                    let same = &bytes_a[start..start + bytes_b.len()];
                    comparison.add(run.global + done, same, &bytes_b);
                    done += more;
                }
            }
            tell(bytes_a.len() as u64);
            from = to;
        }
    }
    let place = comparison.first.map(|first| {
        let indices = whole_a.place(first);
        Place { rank: None, indices }
    });
    Ok(Outcome::Compared(comparison, place))
}
