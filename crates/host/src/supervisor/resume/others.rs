//! Whether a version that another number of ranks captured can be put together for this one.
//!
//! Invariant: nothing is changed, and no data is read: headers and tables tell. Deliberately absent:
//! what the ranks of this launch want, which they say themselves; data, whose chunks are checked when
//! they are restored.

use mainstay_ckpt::format::image::{Expected, Image};
use mainstay_ckpt::{Manifest, Stored, Table, reshape};
use mainstay_types::Rank;

use crate::directory::Directory;
use crate::rank::Shard;

/// Why a version cannot be put together.
#[derive(Debug)]
pub(super) enum Unfit {
    /// The part of a rank is damaged.
    Bad(Rank, String),
    /// The parts are sound, and for as many ranks only.
    Contradiction(String),
}

/// Looks at every part of a version.
pub(super) fn look(directory: &Directory, manifest: &Manifest) -> Result<(), Unfit> {
    let mut tables = Vec::with_capacity(manifest.ranks.len());
    for rank in Rank::all(manifest.n()) {
        tables.push(table(directory, manifest, rank).map_err(|why| Unfit::Bad(rank, why))?);
    }
    let tables: Vec<&Table> = tables.iter().collect();
    reshape::fits(&tables).map_err(|error| Unfit::Contradiction(error.to_string()))
}

fn table(directory: &Directory, manifest: &Manifest, rank: Rank) -> Result<Table, String> {
    let name = manifest.shard_name(rank);
    let open = |name: &str| {
        let file = directory.open_file(name).map_err(|error| error.to_string())?;
        Shard::new(file.into()).map_err(|error| error.to_string())
    };
    let shard = Stored::open(open(&name)?, open).map_err(|error| format!("{name}: {error}"))?;
    let expected = Expected::of(manifest, rank);
    let image = Image::open_expected(&shard, &expected);
    Ok(image.map_err(|error| format!("{name}: {error}"))?.table)
}
