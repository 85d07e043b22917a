//! Where the fields of a rank lie in its image.
//!
//! Invariant: the layout is a function of the fields alone, and the only one that a table may
//! claim. Deliberately absent: where the fields lie in the program's memory.

use std::collections::BTreeSet;

use mainstay_types::limits::{BOARD_COMMUNICATORS, FIELDS_MAX, NAME_BYTES_MAX};

use super::error::FieldsError;
use super::kind::Kind;
use super::place::Place;
use super::{PAGE_BYTES, align, chunks};
use crate::pack::Codec;
use crate::pack::lossy::Bound;

/// A protected field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldSpec {
    /// The state it belongs to, as given to `protect`.
    pub state: String,
    /// Its name in that state.
    pub name: String,
    /// What its elements are.
    pub kind: Kind,
    /// Bytes of an element.
    pub element_bytes: u32,
    /// How many there are.
    pub count: u64,
    /// What it is of that which all ranks hold together, if it says so.
    pub place: Option<Place>,
    /// How far its elements may be on disk from what they were; `None` is not at all.
    pub bound: Option<Bound>,
}

impl FieldSpec {
    /// Bytes of the field's data; `None` if they overflow.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        self.count.checked_mul(self.element_bytes.into())
    }

    /// State and name, as errors show them.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.state, self.name)
    }

    /// Bytes of the field's entry in a table.
    fn entry_bytes(&self, bytes: u64) -> u64 {
        let names = 8 + self.state.len() + self.name.len();
        let bound = if self.bound.is_some() { 9 } else { 0 };
        let place = self.place.as_ref().map_or(0, Place::entry_bytes) + bound;
        (names + place) as u64 + 1 + 4 + 8 + 8 + 1 + 4 + 4 * chunks(bytes)
    }

    fn check(&self) -> Result<(), FieldsError> {
        for name in [&self.state, &self.name] {
            if name.is_empty() || name.len() > NAME_BYTES_MAX {
                return Err(FieldsError::Name {
                    name: name.clone(),
                    bytes: name.len(),
                    most: NAME_BYTES_MAX,
                });
            }
        }
        let fits = match self.kind.element_bytes() {
            Some(bytes) => bytes == self.element_bytes,
            None => self.element_bytes > 0,
        };
        if !fits {
            return Err(FieldsError::Element {
                field: self.full_name(),
                element_bytes: self.element_bytes,
                kind: self.kind.name(),
            });
        }
        let numbers = Codec::Rounded.takes(self.kind);
        if let Some(bound) = self.bound.filter(|bound| !bound.is_one() || !numbers) {
            let (field, kind) = (self.full_name(), self.kind.name());
            return Err(FieldsError::Bound { field, bound, kind });
        }
        let why = self.place.as_ref().and_then(|place| place.contradiction(self.count));
        why.map_or(Ok(()), |why| {
            let field = self.full_name();
            Err(FieldsError::Global { field, why })
        })
    }
}

/// The layout of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    fields: Vec<FieldSpec>,
    at: Vec<u64>,
    table_at: u64,
    entries_bytes: u64,
}

impl Plan {
    /// Lays the fields out in their order.
    ///
    /// # Errors
    /// [`FieldsError`] names the field that cannot be protected, and why.
    pub fn new(fields: &[FieldSpec]) -> Result<Self, FieldsError> {
        if fields.len() > FIELDS_MAX {
            return Err(FieldsError::TooMany { count: fields.len(), most: FIELDS_MAX });
        }
        let mut names = BTreeSet::new();
        let mut at = Vec::with_capacity(fields.len());
        let (mut next, mut entries_bytes) = (PAGE_BYTES, 0_u64);
        for field in fields {
            field.check()?;
            if !names.insert((&field.state, &field.name)) {
                let field = field.full_name();
                return Err(FieldsError::Twice { field });
            }
            at.push(next);
            let bytes = field.bytes().ok_or(FieldsError::TooBig)?;
            let end = next.checked_add(bytes).and_then(align);
            let in_files = end.filter(|end| *end <= i64::MAX as u64);
            next = in_files.ok_or(FieldsError::TooBig)?;
            entries_bytes += field.entry_bytes(bytes);
        }
        Ok(Self { fields: fields.to_vec(), at, table_at: next, entries_bytes })
    }

    /// The fields, in order.
    #[must_use]
    pub fn fields(&self) -> &[FieldSpec] {
        &self.fields
    }

    /// Offset of a field's data.
    ///
    /// # Panics
    /// When there is no such field.
    #[must_use]
    pub fn at(&self, field: usize) -> u64 {
        self.at[field]
    }

    /// Bytes of a field's data.
    ///
    /// # Panics
    /// When there is no such field.
    #[must_use]
    pub fn field_bytes(&self, field: usize) -> u64 {
        self.fields[field].bytes().expect("checked in new")
    }

    /// Offset of the table.
    #[must_use]
    pub fn table_at(&self) -> u64 {
        self.table_at
    }

    /// Bytes of all fields' data, without gaps.
    #[must_use]
    pub fn data_bytes(&self) -> u64 {
        (0..self.fields.len()).map(|i| self.field_bytes(i)).sum()
    }

    /// Bytes of the table in a job of `n` ranks, when the messages in it take `messages_bytes`
    /// (see [`messages_bytes`](super::message::messages_bytes)).
    #[must_use]
    pub fn table_bytes(&self, n: u32, messages_bytes: u64) -> u64 {
        let boards = 8 * BOARD_COMMUNICATORS as u64 + 4;
        4 + self.entries_bytes + 2 * (4 + 8 * u64::from(n)) + messages_bytes + boards
    }

    /// Bytes of the image in a job of `n` ranks: exact for the `messages_bytes` given, and so an
    /// upper bound for every capture with fewer. An arena of so many bytes is enough.
    #[must_use]
    pub fn image_bytes(&self, n: u32, messages_bytes: u64) -> u64 {
        self.table_at + self.table_bytes(n, messages_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::place::{Axis, Share};
    use super::*;

    fn field(name: &str, kind: Kind, element_bytes: u32, count: u64) -> FieldSpec {
        FieldSpec {
            state: "heat".to_owned(),
            name: name.to_owned(),
            kind,
            element_bytes,
            count,
            place: None,
            bound: None,
        }
    }

    #[test]
    fn fields_lie_on_pages_in_their_order() {
        let plan = Plan::new(&[
            field("step", Kind::U64, 8, 1),
            field("none", Kind::F64, 8, 0),
            field("u", Kind::F64, 8, 513),
        ]);
        let plan = plan.unwrap();
        assert_eq!((plan.at(0), plan.at(1), plan.at(2)), (4096, 8192, 8192));
        assert_eq!((plan.table_at(), plan.data_bytes()), (16384, 8 + 513 * 8));
        assert_eq!(Plan::new(&[]).unwrap().table_at(), 4096);
    }

    #[test]
    fn what_cannot_be_protected_is_named() {
        let good = field("u", Kind::F64, 8, 1);
        let global = |shape: &[u64], offset: &[u64]| FieldSpec {
            place: Some(Place::Rows { shape: shape.to_vec(), offset: offset.to_vec() }),
            ..good.clone()
        };
        let shares =
            |axes: &[Axis]| FieldSpec { place: Some(Place::Shares(axes.to_vec())), ..good.clone() };
        let odd = Axis { extent: 3, share: Share::Cyclic { block: 1, parts: 2, part: 1 } };
        assert!(Plan::new(&[global(&[4, 4], &[0, 4])]).is_ok());
        assert!(Plan::new(&[shares(&[odd, Axis::block(9, 8, 1)])]).is_ok());
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for bad in [
            vec![good.clone(), good.clone()],
            vec![field("", Kind::U8, 1, 1)],
            vec![field(&long, Kind::U8, 1, 1)],
            vec![field("u", Kind::F64, 4, 1)],
            vec![field("u", Kind::Opaque, 0, 1)],
            vec![field("u", Kind::Opaque, 2, u64::MAX)],
            vec![field("u", Kind::U8, 1, i64::MAX as u64)],
            vec![global(&[], &[])],
            vec![global(&[1; 9], &[0; 9])],
            vec![global(&[4], &[0, 0])],
            vec![global(&[4], &[5])],
            vec![shares(&[])],
            vec![shares(&[Axis::block(1, 0, 1); 9])],
            vec![shares(&[Axis::block(9, 8, 2)])],
            vec![shares(&[odd, Axis::block(9, 0, 9)])],
        ] {
            assert!(Plan::new(&bad).is_err(), "{bad:?}");
        }
        let many: Vec<_> =
            (0..=FIELDS_MAX).map(|i| field(&i.to_string(), Kind::U8, 1, 0)).collect();
        assert!(Plan::new(&many[1..]).is_ok());
        assert!(matches!(Plan::new(&many), Err(FieldsError::TooMany { .. })));
    }
}
