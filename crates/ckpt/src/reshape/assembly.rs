//! The plan of one field of one rank.
//!
//! Invariants: parts are in the order of their ranks, and the pieces of each in the order of their
//! places in its image, which is also that of their places in the field; two pieces that lie behind
//! each other in both are one. Deliberately absent: reading; see `copy`.

use mainstay_types::Rank;

use super::cover::{self, Fault};
use super::{ReshapeError, same};
use crate::format::place::{Axis, Place};
use crate::format::plan::FieldSpec;
use crate::format::table::{FieldEntry, Table};

/// How a field is put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembly {
    count: u64,
    parts: Vec<Part>,
}

/// What one image gives to a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    source: Rank,
    field: usize,
    /// Where the field's data begin in the image.
    at: u64,
    element_bytes: u64,
    axes: Vec<Overlap>,
}

/// A range of an image, and where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its first byte in the image.
    pub at: u64,
    /// Its first byte in the field that is put together.
    pub into: u64,
    /// Its bytes.
    pub bytes: u64,
}

/// What source and field have in common of one dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Overlap {
    /// Indices that the source has.
    from: u64,
    /// Indices that the field has.
    into: u64,
    spans: Vec<Span>,
}

/// Indices of one dimension that follow each other in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The first one's place in the source.
    pub(super) from: u64,
    /// The first one's place in the field.
    pub(super) into: u64,
    /// How many there are.
    pub(super) count: u64,
}

impl Assembly {
    /// Plans the wanted field of a rank, given the tables of all images of a version. Of what is the
    /// same on all ranks, rank `turn` takes the copy of another source than its neighbours.
    ///
    /// # Errors
    /// What is contradictory between the field and the version, or an element that is not in exactly
    /// one image.
    pub fn plan(want: &FieldSpec, turn: Rank, tables: &[&Table]) -> Result<Self, ReshapeError> {
        let found = same::collect(want, tables)?;
        if want.place == Some(Place::Replicated) {
            same::identical(want, &found)?;
            let source = turn.index() % found.len().max(1);
            let Some((field, entry)) = found.get(source) else {
                return Ok(Self { count: 0, parts: Vec::new() });
            };
            let count = entry.spec.count;
            let whole = Axis::block(count, 0, count);
            let part = Part::of(rank_of(source), (*field, entry), &[whole], &[whole]);
            return Ok(Self { count, parts: part.into_iter().collect() });
        }
        let axes = axes(want, turn)?;
        let mut parts = Vec::new();
        if want.count > 0 {
            for (source, (field, entry)) in found.iter().enumerate() {
                if entry.spec.count > 0 {
                    let from = self::axes(&entry.spec, rank_of(source))?;
                    parts.extend(Part::of(rank_of(source), (*field, entry), &from, &axes));
                }
            }
            let extents: Vec<u64> = axes.iter().map(Axis::count).collect();
            cover::check(&extents, &parts).map_err(|fault| named(fault, want, &axes, &parts))?;
        }
        Ok(Self { count: want.count, parts })
    }

    /// How many elements the field has.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What each image gives to it, in the order of ranks; images that give nothing are left out.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }
}

impl Part {
    /// What a source gives; `None` if nothing.
    fn of(source: Rank, entry: (usize, &FieldEntry), from: &[Axis], into: &[Axis]) -> Option<Self> {
        let mut axes = Vec::with_capacity(into.len());
        for (from, into) in from.iter().zip(into) {
            let spans = common(from, into);
            if spans.is_empty() {
                return None;
            }
            axes.push(Overlap { from: from.count(), into: into.count(), spans });
        }
        let (field, entry) = entry;
        let element_bytes = entry.spec.element_bytes.into();
        Some(Self { source, field, at: entry.at, element_bytes, axes })
    }

    /// Whose image it is.
    #[must_use]
    pub fn source(&self) -> Rank {
        self.source
    }

    /// The field's number in the table of that image.
    #[must_use]
    pub fn field(&self) -> usize {
        self.field
    }

    pub(super) fn spans(&self, d: usize) -> &[Span] {
        &self.axes[d].spans
    }

    /// The pieces, in order.
    #[must_use]
    pub fn pieces(&self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let Ok(()) = self.each(&mut |piece| {
            pieces.push(piece);
            Ok::<(), std::convert::Infallible>(())
        });
        pieces
    }

    /// Hands over the pieces, in order, until one is refused.
    pub(super) fn each<E>(&self, visit: &mut dyn FnMut(Piece) -> Result<(), E>) -> Result<(), E> {
        let mut last: Option<Piece> = None;
        let bytes = self.element_bytes;
        walk(&joined(&self.axes), (0, 0), &mut |span| {
            let at = self.at + span.from * bytes;
            let piece = Piece { at, into: span.into * bytes, bytes: span.count * bytes };
            match &mut last {
                Some(last)
                    if last.at + last.bytes == at && last.into + last.bytes == piece.into =>
                {
                    last.bytes += piece.bytes;
                    Ok(())
                }
                last => last.replace(piece).map_or(Ok(()), &mut *visit),
            }
        })?;
        last.map_or(Ok(()), visit)
    }
}

/// The dimensions, those at the end made one where both sides have all of them.
fn joined(axes: &[Overlap]) -> Vec<Overlap> {
    let mut axes = axes.to_vec();
    while axes.len() > 1 {
        let Some(last) = axes.last() else { break };
        let width = last.from;
        let all = [Span { from: 0, into: 0, count: width }];
        if last.into != width || last.spans != all {
            break;
        }
        axes.pop();
        if let Some(last) = axes.last_mut() {
            (last.from, last.into) = (last.from * width, last.into * width);
            for span in &mut last.spans {
                let Span { from, into, count } = *span;
                *span = Span { from: from * width, into: into * width, count: count * width };
            }
        }
    }
    axes
}

/// Hands over the elements that lie behind each other in the last dimension, behind the index in
/// all dimensions before these.
fn walk<E>(
    axes: &[Overlap],
    (from, into): (u64, u64),
    visit: &mut dyn FnMut(Span) -> Result<(), E>,
) -> Result<(), E> {
    let Some((axis, inner)) = axes.split_first() else {
        return Ok(());
    };
    let (from, into) = (from * axis.from, into * axis.into);
    for span in &axis.spans {
        let first = Span { from: from + span.from, into: into + span.into, count: span.count };
        if inner.is_empty() {
            visit(first)?;
            continue;
        }
        for k in 0..span.count {
            walk(inner, (first.from + k, first.into + k), visit)?;
        }
    }
    Ok(())
}

/// The indices of a dimension that both have, as few spans as there are.
fn common(from: &Axis, into: &Axis) -> Vec<Span> {
    let (mut theirs, mut ours) = (from.runs().peekable(), into.runs().peekable());
    let mut spans: Vec<Span> = Vec::new();
    while let (Some(a), Some(b)) = (theirs.peek(), ours.peek()) {
        let (ends, end) = (a.first + a.count, b.first + b.count);
        let (first, last) = (a.first.max(b.first), ends.min(end));
        if first < last {
            let span = Span {
                from: a.local + (first - a.first),
                into: b.local + (first - b.first),
                count: last - first,
            };
            match spans.last_mut() {
                Some(s) if s.from + s.count == span.from && s.into + s.count == span.into => {
                    s.count += span.count;
                }
                _ => spans.push(span),
            }
        }
        if ends <= end {
            theirs.next();
        } else {
            ours.next();
        }
    }
    spans
}

fn axes(spec: &FieldSpec, rank: Rank) -> Result<Vec<Axis>, ReshapeError> {
    let place = spec.place.as_ref();
    let undeclared = || ReshapeError::Undeclared { field: spec.full_name() };
    let axes = place.ok_or_else(undeclared)?.axes(spec.count);
    axes.ok_or_else(|| match place {
        Some(Place::Rows { shape, offset }) => ReshapeError::NotRows {
            field: spec.full_name(),
            rank,
            count: spec.count,
            offset: offset.clone(),
            shape: shape.clone(),
        },
        _ => undeclared(),
    })
}

fn named(fault: Fault, want: &FieldSpec, axes: &[Axis], parts: &[Part]) -> ReshapeError {
    let field = want.full_name();
    let element = |index: Vec<u64>| axes.iter().zip(index).map(|(axis, i)| axis.index(i)).collect();
    match fault {
        Fault::Lacking(index) => ReshapeError::Lacking { field, element: element(index) },
        Fault::Doubled(index, a, b) => {
            let ranks = (parts[a].source, parts[b].source);
            ReshapeError::Doubled { field, element: element(index), ranks }
        }
    }
}

fn rank_of(index: usize) -> Rank {
    Rank(u32::try_from(index).expect("ranks are below RANKS_MAX"))
}
