//! Files of versions that were never published: a launcher that dies while it writes leaves them.
//!
//! A version's aside lies there from before its first shard until it is published, and again while
//! it is pruned. So an aside without a manifest tells that nobody can want the shards. Shards with
//! neither were published once: somebody has moved their manifest, or the file system has lost it.
//! Invariant: those stay, and a person is told. Deliberately absent: files that are not ours.

use std::collections::BTreeSet;

use mainstay_types::Version;

use crate::format::name::{FileName, parse_name};

/// What no manifest names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Shards and archive marks of versions that were never published or are being removed, and second
    /// names of manifests.
    pub files: Vec<String>,
    /// Asides without a manifest, which mark the shards among those.
    pub marks: Vec<String>,
    /// Shards whose manifest is not there. They are left alone.
    pub bereft: Vec<String>,
    /// The versions of those.
    pub versions: BTreeSet<Version>,
    /// Whether any file of a version is there at all.
    pub any: bool,
}

impl Leftovers {
    /// Finds them among the names in a directory.
    #[must_use]
    pub fn among<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let ours = |name: &'a str| parse_name(name).map(|what| (name.to_owned(), what));
        let names: Vec<_> = names.into_iter().filter_map(ours).collect();
        let (mut manifests, mut asides) = (BTreeSet::new(), BTreeSet::new());
        for (_, what) in &names {
            match *what {
                FileName::Manifest { version } => drop(manifests.insert(version)),
                FileName::Aside { version } => drop(asides.insert(version)),
                FileName::Shard { .. }
                | FileName::Guard { .. }
                | FileName::Copy { .. }
                | FileName::Archive { .. } => {}
            }
        }
        let mut found = Self { any: !names.is_empty(), ..Self::default() };
        for (name, what) in names {
            let version = what.version();
            match (what, manifests.contains(&version)) {
                (FileName::Manifest { .. }, _)
                | (FileName::Shard { .. } | FileName::Guard { .. } | FileName::Copy { .. }, true) =>
                    {}
                // A second name of the manifest, where publishing takes two steps.
                (FileName::Aside { .. }, true) => found.files.push(name),
                (FileName::Aside { .. }, false) => found.marks.push(name),
                (
                    FileName::Shard { .. }
                    | FileName::Guard { .. }
                    | FileName::Copy { .. }
                    | FileName::Archive { .. },
                    false,
                ) if asides.contains(&version) => {
                    found.files.push(name);
                }
                // It waits for its manifest, or hurts nobody.
                (FileName::Archive { .. }, _) => {}
                (
                    FileName::Shard { .. } | FileName::Guard { .. } | FileName::Copy { .. },
                    false,
                ) => {
                    found.bereft.push(name);
                    found.versions.insert(version);
                }
            }
        }
        found
    }

    /// How many files are to be removed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len() + self.marks.len()
    }

    /// Whether none is to be removed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
            "v00000001.archive",
            "v00000002.archive",
            "v00000003.archive",
            "notes.txt",
        ];
        let found = Leftovers::among(names);
        assert_eq!(found.files, [names[7], names[10], names[13]]);
        assert_eq!((found.marks.as_slice(), found.len()), (&[names[6].to_owned()][..], 4));
        assert_eq!(found.bereft, [names[3], names[4]]);
        assert_eq!(found.versions, BTreeSet::from([Version(2)]));
        let whole = Leftovers::among(names[..3].iter().copied());
        assert_eq!(whole, Leftovers { any: true, ..Leftovers::default() });
        assert_eq!(Leftovers::among(["LOCK"]), Leftovers::default());
    }
}
