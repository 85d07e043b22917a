//! Shards that are missing or have another length than their manifest says.
//!
//! Deliberately absent: their content, which is checked when it is restored.

use mainstay_ckpt::{Manifest, RankEntry, catalogue};
use mainstay_types::{Rank, Version};

use crate::directory::Directory;

/// Shards of a version that are missing or have another length; their content is checked when they
/// are restored.
pub(super) fn bad_shards(
    directory: &Directory,
    manifest: &Manifest,
) -> Vec<(Version, Rank, String)> {
    let mut bad = Vec::new();
    for (rank, entry) in Rank::all(manifest.n()).zip(&manifest.ranks) {
        let name = manifest.shard_name(rank);
        let length =
            directory.open_file(&name).map_err(|error| error.to_string()).and_then(|file| {
                file.metadata().map(|data| data.len()).map_err(|error| error.to_string())
            });
        let why = match length {
            Ok(bytes) => match catalogue::check_length(entry, bytes) {
                Ok(()) => match bad_holder(directory, rank, entry) {
                    None => continue,
                    Some(why) => format!("{name}: {why}"),
                },
                Err(fault) => format!("{name}: {fault}"),
            },
            Err(why) => why,
        };
        bad.push((manifest.version, rank, why));
    }
    bad
}

/// What is wrong with the first file of an older version that a shard refers to and cannot have.
fn bad_holder(directory: &Directory, rank: Rank, entry: &RankEntry) -> Option<String> {
    let holders = entry.packing.iter().flat_map(|packing| &packing.holders);
    holders.into_iter().find_map(|holder| {
        let name = holder.name(rank);
        let length = directory.open_file(&name).map_err(|error| error.to_string());
        let length = length.and_then(|file| file.metadata().map_err(|error| error.to_string()));
        match length {
            Ok(data) if data.len() == holder.file_bytes => None,
            Ok(data) => {
                let (bytes, expected) = (data.len(), holder.file_bytes);
                let why = format!("it has {bytes} bytes where {expected} were written");
                Some(format!("{name}, which it refers to: {why}"))
            }
            Err(why) => Some(format!("it refers to a file that is gone: {why}")),
        }
    })
}
