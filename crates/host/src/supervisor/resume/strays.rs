//! Files of versions that were never published: a launcher that dies while it writes leaves them.
//!
//! A version's aside lies there from before its first shard until it is published, and again while
//! it is pruned. So an aside without a manifest tells that nobody can want the shards. Shards with
//! neither were published once: somebody has moved their manifest, or the file system has lost it.
//! Invariant: those stay, and a person is told. Deliberately absent: files that are not ours.

use std::collections::BTreeSet;

use mainstay_ckpt::{FileName, parse_name};
use mainstay_types::Version;

use crate::directory::Directory;

/// What no manifest names.
#[derive(Debug, Default, PartialEq, Eq)]
struct Strays {
    /// Shards and asides of versions that were never published, and asides of those that were.
    unpublished: Vec<String>,
    /// Shards whose manifest is not there.
    bereft: Vec<String>,
    /// The versions of those.
    versions: BTreeSet<Version>,
}

impl Strays {
    fn among(names: &[String]) -> Self {
        let (mut manifests, mut asides) = (BTreeSet::new(), BTreeSet::new());
        for name in names {
            match parse_name(name) {
                Some(FileName::Manifest { version }) => drop(manifests.insert(version)),
                Some(FileName::Aside { version }) => drop(asides.insert(version)),
                Some(FileName::Shard { .. }) | None => {}
            }
        }
        let mut strays = Self::default();
        for name in names {
            match parse_name(name) {
                Some(FileName::Shard { version, .. } | FileName::Aside { version })
                    if !manifests.contains(&version) =>
                {
                    if asides.contains(&version) {
                        strays.unpublished.push(name.clone());
                    } else {
                        strays.bereft.push(name.clone());
                        strays.versions.insert(version);
                    }
                }
                // A second name of the manifest, where publishing takes two steps.
                Some(FileName::Aside { .. }) => strays.unpublished.push(name.clone()),
                _ => {}
            }
        }
        // Asides last: until then they tell what their shards are.
        strays.unpublished.sort_by_key(|name| name.ends_with("aside"));
        strays
    }
}

/// Removes what nobody can want; gives what to tell of it and of the rest.
pub(super) fn remove(directory: &Directory, names: &[String]) -> Vec<String> {
    let strays = Strays::among(names);
    let mut notes = Vec::new();
    if !strays.unpublished.is_empty() {
        let what = "files of versions that were never published are";
        notes.push(match directory.remove(&strays.unpublished) {
            Ok(()) => format!("{} {what} removed", strays.unpublished.len()),
            Err(error) => format!("{what} not removed: {error}"),
        });
    }
    if !strays.bereft.is_empty() {
        let versions: Vec<_> = strays.versions.iter().map(ToString::to_string).collect();
        notes.push(format!(
            "{} shards of version {} have no manifest and are left alone: put it back to use them, \
             or remove them from {}",
            strays.bereft.len(),
            versions.join(", "),
            directory.path().display()
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_published_is_told_from_what_lost_its_manifest() {
        let names = [
            "LOCK",
            "v00000001.e1.r0.i0.shard",
            "v00000001.manifest",
            "v00000002.e1.r0.i0.shard",
            "v00000002.e1.r1.i0.shard",
            "v00000002.manifest.bak",
            "v00000003.manifest.aside",
            "v00000003.e1.r1.i0.shard",
            "v00000004.e1.r0.i0.shard.old",
            "v00000005.manifest",
            "v00000005.manifest.aside",
            "notes.txt",
        ]
        .map(str::to_owned);
        let found = Strays::among(&names);
        assert_eq!(found.unpublished, [&*names[7], &*names[6], &*names[10]], "asides last");
        assert_eq!(found.bereft, [&*names[3], &*names[4]]);
        assert_eq!(found.versions, BTreeSet::from([Version(2)]));
        assert_eq!(Strays::among(&names[..3]), Strays::default());
    }
}
