//! A version of N ranks for M ranks: which bytes of which images make up a field of a rank.
//!
//! - [`fits`] tells whether a version can be given to another number of ranks at all: no message was
//!   under way when it was captured, every field says what it is of the whole, and what is declared
//!   to be the same on all ranks is.
//! - [`Assembly`] is the plan of one field of one rank: [`Part`]s of the images, each a list of
//!   [`Piece`]s in a fixed order.
//! - [`Part::copy`] reads these pieces, and checks every chunk that any of them lies in.
//!
//! Invariants: every element that is wanted comes from exactly one image, or there is no plan but an
//! error that names the element; what a plan takes in memory follows the blocks of each dimension,
//! not their product. Deliberately absent: files, and who reads which part when; `host` does that.

mod assembly;
mod copy;
mod cover;
mod error;
mod quiet;
mod same;

pub use assembly::{Assembly, Part, Piece};
pub use error::ReshapeError;

use crate::format::place::Place;
use crate::format::table::Table;

/// Whether the version whose images have these tables, by rank, can be given to another number of
/// ranks: as far as can be told before a rank says what it wants.
///
/// # Errors
/// The first thing that speaks against it.
pub fn fits(tables: &[&Table]) -> Result<(), ReshapeError> {
    quiet::check(tables)?;
    let Some(first) = tables.first() else {
        return Ok(());
    };
    for table in tables {
        for field in &table.fields {
            let (state, name) = (&field.spec.state, &field.spec.name);
            if first.field(state, name).is_none() {
                return Err(ReshapeError::Missing {
                    field: field.spec.full_name(),
                    rank: mainstay_types::Rank(0),
                });
            }
        }
    }
    for field in &first.fields {
        let found = same::collect(&field.spec, tables)?;
        if field.spec.place == Some(Place::Replicated) {
            same::identical(&field.spec, &found)?;
        }
    }
    Ok(())
}
