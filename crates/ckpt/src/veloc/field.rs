//! What regions of VELOC become: fields of opaque bytes, or what the user says they are.
//!
//! Invariant: a field that is given a shape is whole rows of it, in the order of the ranks, and the rows
//! of all ranks are the array. Deliberately absent: conversion of data.

use std::str::FromStr;

use mainstay_types::limits::{DIMENSIONS_MAX, NAME_BYTES_MAX};

use super::Region;
use crate::format::kind::Kind;
use crate::format::place::{Axis, Place};
use crate::format::plan::FieldSpec;

/// What one region is, as `0=u:f64[1024,512]` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The region.
    pub id: i32,
    /// The field's name.
    pub name: String,
    /// What its elements are.
    pub kind: Kind,
    /// Shape of the array that all ranks hold together, if there is one.
    pub shape: Option<Vec<u64>>,
}

/// Why a text is no mapping.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` does not say what a region is: give ID=NAME:KIND or ID=NAME:KIND[ROWS,...], as 0=u:f64[1024,512]; kinds are u8 to u64, i8 to i64, f32 and f64"
)]
pub struct MappingError(String);

impl FromStr for Mapping {
    type Err = MappingError;

    fn from_str(text: &str) -> Result<Self, MappingError> {
        let parse = || {
            let (id, rest) = text.split_once('=')?;
            let (name, kind) = rest.rsplit_once(':')?;
            let (kind, shape) = match kind.split_once('[') {
                None => (kind, None),
                Some((kind, shape)) => (kind, Some(shape.strip_suffix(']')?)),
            };
            let extents = |shape: &str| {
                shape
                    .split(',')
                    .map(|extent| extent.trim().parse().ok())
                    .collect::<Option<Vec<u64>>>()
            };
            let shape = match shape {
                None => None,
                Some(shape) => Some(extents(shape).filter(|s| s.len() <= DIMENSIONS_MAX)?),
            };
            let kind = Kind::ALL.iter().copied().find(|k| k.name() == kind)?;
            kind.element_bytes()?;
            let is_name = (1..=NAME_BYTES_MAX).contains(&name.len());
            is_name
                .then(|| Some(Self { id: id.parse().ok()?, name: name.to_owned(), kind, shape }))?
        };
        parse().ok_or_else(|| MappingError(text.to_owned()))
    }
}

/// Why a region is not what a mapping says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// Two mappings say what it is.
    #[error("region {id} is given two names")]
    Twice {
        /// Its id.
        id: i32,
    },
    /// No rank has the region.
    #[error("no rank has a region {id}")]
    NoRegion {
        /// Its id.
        id: i32,
    },
    /// Bytes are left over.
    #[error("region {id} of rank {rank} has {bytes} bytes, which are not whole {what}")]
    Uneven {
        /// Its id.
        id: i32,
        /// Whose.
        rank: usize,
        /// Its bytes.
        bytes: u64,
        /// Of what.
        what: String,
    },
    /// The ranks do not have the array.
    #[error(
        "the ranks have {found} rows of region {id}, and its shape says {expected}; without a shape it is imported as each rank has it"
    )]
    Rows {
        /// Its id.
        id: i32,
        /// Rows of all ranks.
        found: u64,
        /// Rows of the shape.
        expected: u64,
    },
    /// There are too many bytes in a row.
    #[error("a row of region {id} has more bytes than can be counted, or none")]
    Row {
        /// Its id.
        id: i32,
    },
}

/// The fields of each rank.
pub type Fields = Vec<Vec<FieldSpec>>;

impl Mapping {
    /// The fields that the regions of all ranks become, in the state `state`. A region that no mapping
    /// names is opaque bytes under its id.
    ///
    /// # Errors
    /// The first mapping that does not fit.
    pub fn fields(
        mappings: &[Self],
        state: &str,
        ranks: &[Vec<Region>],
    ) -> Result<Fields, ShapeError> {
        let opaque = |region: &Region| FieldSpec {
            bound: None,
            state: state.to_owned(),
            name: region.id.to_string(),
            kind: Kind::U8,
            element_bytes: 1,
            count: region.bytes,
            place: None,
        };
        let mut fields: Fields =
            ranks.iter().map(|regions| regions.iter().map(opaque).collect()).collect();
        for (i, mapping) in mappings.iter().enumerate() {
            if mappings[..i].iter().any(|other| other.id == mapping.id) {
                return Err(ShapeError::Twice { id: mapping.id });
            }
            mapping.apply(ranks, &mut fields)?;
        }
        Ok(fields)
    }

    fn apply(&self, ranks: &[Vec<Region>], fields: &mut Fields) -> Result<(), ShapeError> {
        let id = self.id;
        let element = u64::from(self.kind.element_bytes().unwrap_or(1));
        let inner = self.shape.as_ref().map(|shape| &shape[1..]);
        let row = inner.unwrap_or_default().iter().try_fold(element, |a, e| a.checked_mul(*e));
        let row = row.filter(|row| *row > 0).ok_or(ShapeError::Row { id })?;
        let (mut first, mut has_region) = (0_u64, false);
        for (rank, (regions, fields)) in ranks.iter().zip(fields).enumerate() {
            let Some(i) = regions.iter().position(|region| region.id == id) else { continue };
            has_region = true;
            let bytes = regions[i].bytes;
            if bytes % row > 0 {
                let what = match &self.shape {
                    Some(_) => format!("rows of {row} bytes"),
                    None => self.kind.name().to_owned(),
                };
                return Err(ShapeError::Uneven { id, rank, bytes, what });
            }
            let rows = bytes / row;
            let place = self.shape.as_ref().map(|shape| {
                let rest = shape[1..].iter().map(|extent| Axis::block(*extent, 0, *extent));
                let axes = std::iter::once(Axis::block(shape[0], first, rows)).chain(rest);
                Place::Shares(axes.collect())
            });
            first = first.saturating_add(rows);
            let (name, element_bytes) = (self.name.clone(), element as u32);
            let (kind, count, state) = (self.kind, bytes / element, fields[i].state.clone());
            fields[i] = FieldSpec { state, name, kind, element_bytes, count, place, bound: None };
        }
        match self.shape.as_ref().map(|shape| shape[0]) {
            _ if !has_region => Err(ShapeError::NoRegion { id }),
            Some(expected) if expected != first => {
                Err(ShapeError::Rows { id, found: first, expected })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(id: i32, bytes: u64) -> Region {
        Region { id, at: 0, bytes }
    }

    #[test]
    fn mappings_are_parsed_or_refused() {
        let parsed: Mapping = "0=u:f64[8,4]".parse().unwrap();
        let shape = Some(vec![8, 4]);
        assert_eq!(parsed, Mapping { id: 0, name: "u".to_owned(), kind: Kind::F64, shape });
        assert_eq!("-2=n:i32".parse::<Mapping>().unwrap().shape, None);
        for bad in [
            "",
            "0",
            "0=u",
            "u=u:f64",
            "0=:f64",
            "0=u:f16",
            "0=u:f64[",
            "0=u:f64[]",
            "0=u:f64[1,x]",
            "0=u:opaque",
            "0=u:f64[1,1,1,1,1,1,1,1,1]",
        ] {
            assert!(bad.parse::<Mapping>().is_err(), "{bad}");
        }
    }

    #[test]
    fn rows_are_dealt_out_by_rank_and_have_to_add_up() {
        let ranks = [vec![region(0, 64), region(1, 4)], vec![region(0, 128), region(1, 4)]];
        let map = |text: &str| Mapping::fields(&[text.parse().unwrap()], "heat", &ranks);
        let fields = map("0=u:f64[6,4]").unwrap();
        let axes = vec![Axis::block(6, 2, 4), Axis::block(4, 0, 4)];
        assert_eq!(fields[1][0].place, Some(Place::Shares(axes)));
        assert_eq!((fields[1][0].count, fields[1][0].full_name().as_str()), (16, "heat.u"));
        let raw = (fields[0][1].kind, fields[0][1].count, fields[0][1].name.as_str());
        assert_eq!(raw, (Kind::U8, 4, "1"));
        assert_eq!(map("0=u:f64").unwrap()[0][0].place, None);
        let rows = ShapeError::Rows { id: 0, found: 6, expected: 7 };
        assert_eq!(map("0=u:f64[7,4]"), Err(rows));
        assert!(matches!(map("0=u:f64[6,5]"), Err(ShapeError::Uneven { rank: 0, .. })));
        assert!(matches!(map("1=n:u64"), Err(ShapeError::Uneven { .. })));
        assert_eq!(map("9=n:u64"), Err(ShapeError::NoRegion { id: 9 }));
        assert_eq!(map("0=u:f64[6,0]"), Err(ShapeError::Row { id: 0 }));
    }
}
