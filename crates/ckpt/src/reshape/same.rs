//! One field on all ranks of a version.
//!
//! Invariant: entries that are collected are of one kind, and of one array or all copies of one
//! thing. Deliberately absent: which elements they have; see `cover`.

use mainstay_types::Rank;

use super::ReshapeError;
use crate::format::place::Place;
use crate::format::plan::FieldSpec;
use crate::format::table::{FieldEntry, Table};

/// A field in the table of each rank, with its place there.
pub(super) type Found<'a> = Vec<(usize, &'a FieldEntry)>;

/// The wanted field in all tables.
pub(super) fn collect<'a>(
    want: &FieldSpec,
    tables: &[&'a Table],
) -> Result<Found<'a>, ReshapeError> {
    let mut found = Vec::with_capacity(tables.len());
    let mut guess = 0;
    for (rank, table) in (0..).map(Rank).zip(tables) {
        let entry = find(table, guess, want).ok_or_else(|| {
            let field = want.full_name();
            ReshapeError::Missing { field, rank }
        })?;
        guess = entry.0;
        agree(want, rank, &entry.1.spec)?;
        found.push(entry);
    }
    Ok(found)
}

/// Ranks of one program name their fields in one order, so the last place is looked at first.
fn find<'a>(table: &'a Table, guess: usize, want: &FieldSpec) -> Option<(usize, &'a FieldEntry)> {
    let is = |entry: &&FieldEntry| entry.spec.state == want.state && entry.spec.name == want.name;
    let near = table.fields.get(guess).filter(is).map(|entry| (guess, entry));
    near.or_else(|| table.field(&want.state, &want.name))
}

fn agree(want: &FieldSpec, rank: Rank, was: &FieldSpec) -> Result<(), ReshapeError> {
    let other = |was: String, now: String| {
        let field = want.full_name();
        (was != now).then_some(ReshapeError::Other { field, rank, was, now }).map_or(Ok(()), Err)
    };
    other(kind(was), kind(want))?;
    if want.place.is_none() || was.place.is_none() {
        return Err(ReshapeError::Undeclared { field: want.full_name() });
    }
    other(whole(was), whole(want))
}

fn kind(spec: &FieldSpec) -> String {
    match spec.kind.element_bytes() {
        Some(_) => spec.kind.name().to_owned(),
        None => format!("{} of {} bytes", spec.kind.name(), spec.element_bytes),
    }
}

fn whole(spec: &FieldSpec) -> String {
    match spec.place.as_ref().and_then(Place::shape) {
        Some(shape) => format!("a part of an array of shape {shape:?}"),
        None => "the same on all ranks".to_owned(),
    }
}

/// Requires that all copies are alike, as their lengths and the checksums of their chunks tell.
pub(super) fn identical(want: &FieldSpec, found: &Found<'_>) -> Result<(), ReshapeError> {
    let Some((_, first)) = found.first() else {
        return Ok(());
    };
    let differs = |(_, (_, entry)): &(Rank, &(usize, &FieldEntry))| {
        entry.spec.count != first.spec.count || entry.crcs != first.crcs
    };
    let ranks: Vec<Rank> =
        (0..).map(Rank).zip(found).filter(differs).map(|(rank, _)| rank).collect();
    match ranks.is_empty() {
        true => Ok(()),
        false => Err(ReshapeError::Differs { field: want.full_name(), ranks }),
    }
}
