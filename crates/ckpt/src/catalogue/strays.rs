//! Files that no manifest names, told apart by what lies beside them.
//!
//! A version's aside lies there from before its first shard until it is published, and again while
//! it is pruned. So an aside without a manifest tells that nobody can want the shards. Shards with
//! neither were published once: somebody has moved their manifest, or the file system has lost it.
//! Deliberately absent: removing them, and files that are not ours.

use std::collections::BTreeSet;

use mainstay_types::Version;

use crate::format::name::{FileName, parse_name};

/// What no manifest names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strays {
    /// Shards and asides of versions that were never published, and asides of those that were, in
    /// the order in which they may be removed.
    pub unpublished: Vec<String>,
    /// Shards whose manifest is not there.
    pub bereft: Vec<String>,
    /// The versions of those.
    pub versions: BTreeSet<Version>,
}

impl Strays {
    /// The strays among the names of a directory.
    #[must_use]
    pub fn among(names: &[String]) -> Self {
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
