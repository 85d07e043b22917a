//! Files of versions that were never published: a launcher that dies while it writes leaves them.
//!
//! Invariant: a file goes only if there is no manifest of its version, damaged ones included.
//! Deliberately absent: files that are not ours; they stay.

use std::collections::BTreeSet;

use mainstay_ckpt::{FileName, parse_name};

use crate::directory::Directory;

/// The shards and asides whose version has no manifest.
pub(super) fn strays(names: &[String]) -> Vec<String> {
    let published: BTreeSet<_> = names
        .iter()
        .filter_map(|name| match parse_name(name) {
            Some(FileName::Manifest { version }) => Some(version),
            _ => None,
        })
        .collect();
    let is_stray = |name: &&String| match parse_name(name) {
        Some(FileName::Shard { version, .. } | FileName::Aside { version }) => {
            !published.contains(&version)
        }
        Some(FileName::Manifest { .. }) | None => false,
    };
    names.iter().filter(is_stray).cloned().collect()
}

/// Removes them; gives what to tell of it.
pub(super) fn remove(directory: &Directory, names: &[String]) -> Option<String> {
    let strays = strays(names);
    if strays.is_empty() {
        return None;
    }
    Some(match directory.remove(&strays) {
        Ok(()) => {
            format!("{} files of versions that were never published are removed", strays.len())
        }
        Err(error) => {
            format!("files of versions that were never published are not removed: {error}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shards_and_asides_without_a_manifest_are_strays() {
        let names = [
            "LOCK",
            "v00000001.e1.r0.i0.shard",
            "v00000001.manifest",
            "v00000002.e1.r0.i0.shard",
            "v00000002.e1.r1.i0.shard",
            "v00000003.manifest.aside",
            "v00000004.e1.r0.i0.shard.old",
            "v00000005.manifest",
            "notes.txt",
        ]
        .map(str::to_owned);
        let found = strays(&names);
        assert_eq!(found, [&*names[3], &*names[4], &*names[5]]);
        assert!(strays(&names[..3]).is_empty());
    }
}
