//! The table of an image: its fields, and where its channels were cut.
//!
//! Invariants: a table that decodes lays its fields out as [`Plan`] does and has one checksum for
//! each chunk. Deliberately absent: the data.

use mainstay_types::limits::{
    BOARD_COMMUNICATORS, COMMUNICATORS_MAX, DIMENSIONS_MAX, FIELDS_MAX, NAME_BYTES_MAX, RANKS_MAX,
};
use mainstay_types::{DecodeError, Reader, Writer};

use super::error::FormatError;
use super::kind::Kind;
use super::message::{self, Message};
use super::place::{Axis, Place, Share};
use super::plan::{FieldSpec, Plan};
use super::{TABLE_BYTES_MAX, chunks};
use crate::pack::lossy::Bound;

/// Before a place: the field's elements may come back from disk a little different.
const BOUND: u8 = 4;

/// A field of a captured image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldEntry {
    /// What it is.
    pub spec: FieldSpec,
    /// Offset of its data in the image.
    pub at: u64,
    /// CRC-32C of each chunk of its data.
    pub crcs: Vec<u32>,
}

/// Where a rank's channels were cut by a capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Messages sent, by destination.
    pub sent: Vec<u64>,
    /// Messages taken in, by source.
    pub delivered: Vec<u64>,
    /// Messages taken in and not yet received by the program, in order of arrival.
    pub unexpected: Vec<Message>,
    /// Rounds gone through on the boards of the communicators of the lowest numbers.
    pub rounds: [u64; BOARD_COMMUNICATORS],
    /// Communicators made so far.
    pub communicators: u32,
}

/// What an image holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The fields, in order.
    pub fields: Vec<FieldEntry>,
    /// Where the channels were cut.
    pub cut: Cut,
}

impl Table {
    /// The table as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.count(self.fields.len());
        for field in &self.fields {
            let spec = &field.spec;
            w.text(&spec.state).text(&spec.name);
            w.u8(spec.kind.code()).u32(spec.element_bytes);
            w.u64(spec.count).u64(field.at);
            if let Some(bound) = spec.bound {
                w.u8(BOUND).u64(bound.value().to_bits());
            }
            put_place(&mut w, spec.place.as_ref());
            w.count(field.crcs.len());
            for crc in &field.crcs {
                w.u32(*crc);
            }
        }
        w.u64s(&self.cut.sent).u64s(&self.cut.delivered);
        message::put(&mut w, &self.cut.unexpected);
        for rounds in self.cut.rounds {
            w.u64(rounds);
        }
        w.u32(self.cut.communicators);
        w.into_bytes()
    }

    /// Reads a table of a job of `n` ranks whose image has it at `table_at`.
    ///
    /// # Errors
    /// Anything that [`Table::encode`] does not write.
    pub fn decode(bytes: &[u8], n: u32, table_at: u64) -> Result<Self, FormatError> {
        let mut r = Reader::new(bytes);
        let count = r.count(34, FIELDS_MAX, "number of fields")?;
        let fields = (0..count).map(|_| get_field(&mut r)).collect::<Result<Vec<_>, _>>()?;
        let sent = r.u64s(RANKS_MAX as usize, "sent counters")?;
        let delivered = r.u64s(RANKS_MAX as usize, "delivered counters")?;
        let unexpected = message::get(&mut r)?;
        let mut rounds = [0; BOARD_COMMUNICATORS];
        for rounds in &mut rounds {
            *rounds = r.u64("rounds of a board")?;
        }
        let communicators = r.u32("communicators")?;
        r.end("table")?;
        let cut = Cut { sent, delivered, unexpected, rounds, communicators };
        let table = Self { fields, cut };
        table.check(n, table_at)?;
        Ok(table)
    }

    fn check(&self, n: u32, table_at: u64) -> Result<(), FormatError> {
        let specs: Vec<FieldSpec> = self.fields.iter().map(|f| f.spec.clone()).collect();
        let plan = Plan::new(&specs)?;
        let same = |what, found: u64, expected: u64| {
            (found == expected).then_some(()).ok_or(FormatError::Layout { what, found, expected })
        };
        for (i, field) in self.fields.iter().enumerate() {
            same("field offset", field.at, plan.at(i))?;
            let expected = chunks(plan.field_bytes(i));
            same("number of chunks", field.crcs.len() as u64, expected)?;
        }
        same("table offset", table_at, plan.table_at())?;
        if self.cut.communicators > COMMUNICATORS_MAX {
            let (found, expected) = (self.cut.communicators.into(), COMMUNICATORS_MAX.into());
            return Err(FormatError::Layout { what: "communicators", found, expected });
        }
        same("sent counters", self.cut.sent.len() as u64, n.into())?;
        let delivered = self.cut.delivered.len() as u64;
        same("delivered counters", delivered, n.into())
    }

    /// The field of that state and name, with its place in [`Table::fields`].
    #[must_use]
    pub fn field(&self, state: &str, name: &str) -> Option<(usize, &FieldEntry)> {
        let mut fields = self.fields.iter().enumerate();
        fields.find(|(_, field)| field.spec.state == state && field.spec.name == name)
    }
}

fn get_field(r: &mut Reader<'_>) -> Result<FieldEntry, DecodeError> {
    let state = r.text(NAME_BYTES_MAX, "state name")?;
    let name = r.text(NAME_BYTES_MAX, "field name")?;
    let at = r.at();
    let code = r.u8("field kind")?;
    let kind = Kind::from_code(code).ok_or(DecodeError::Unknown {
        what: "field kind",
        value: code.into(),
        at,
    })?;
    let (element_bytes, count) = (r.u32("element size")?, r.u64("number of elements")?);
    let at = r.u64("field offset")?;
    let bound = match r.clone().u8("place")? {
        BOUND => {
            r.u8("place")?;
            Some(Bound::unchecked(f64::from_bits(r.u64("bound")?)))
        }
        _ => None,
    };
    let place = get_place(r)?;
    let crcs = r.count(4, TABLE_BYTES_MAX as usize, "number of chunks")?;
    let crcs = (0..crcs).map(|_| r.u32("chunk checksum")).collect::<Result<_, _>>()?;
    let spec = FieldSpec { state, name, kind, element_bytes, count, place, bound };
    Ok(FieldEntry { spec, at, crcs })
}

fn put_place(w: &mut Writer, place: Option<&Place>) {
    match place {
        None => {
            w.u8(0);
        }
        Some(Place::Rows { shape, offset }) => {
            w.u8(1).u64s(shape).u64s(offset);
        }
        Some(Place::Shares(axes)) => {
            w.u8(2).count(axes.len());
            for axis in axes {
                w.u64(axis.extent);
                match axis.share {
                    Share::Block { first, count } => w.u8(0).u64(first).u64(count),
                    Share::Cyclic { block, parts, part } => w.u8(1).u64(block).u64(parts).u64(part),
                };
            }
        }
        Some(Place::Replicated) => {
            w.u8(3);
        }
    }
}

fn get_place(r: &mut Reader<'_>) -> Result<Option<Place>, DecodeError> {
    let at = r.at();
    let place = match r.u8("place")? {
        0 => return Ok(None),
        1 => Place::Rows {
            shape: r.u64s(DIMENSIONS_MAX, "global shape")?,
            offset: r.u64s(DIMENSIONS_MAX, "global offset")?,
        },
        2 => {
            let count = r.count(25, DIMENSIONS_MAX, "dimensions")?;
            Place::Shares((0..count).map(|_| get_axis(r)).collect::<Result<_, _>>()?)
        }
        3 => Place::Replicated,
        value => return Err(DecodeError::Unknown { what: "place", value: value.into(), at }),
    };
    Ok(Some(place))
}

fn get_axis(r: &mut Reader<'_>) -> Result<Axis, DecodeError> {
    let extent = r.u64("extent of a dimension")?;
    let at = r.at();
    let share = match r.u8("share")? {
        0 => Share::Block { first: r.u64("first index")?, count: r.u64("number of indices")? },
        1 => Share::Cyclic {
            block: r.u64("indices of a block")?,
            parts: r.u64("number of parts")?,
            part: r.u64("part")?,
        },
        value => return Err(DecodeError::Unknown { what: "share", value: value.into(), at }),
    };
    Ok(Axis { extent, share })
}
