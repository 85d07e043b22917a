//! Names of the files in a checkpoint directory.
//!
//! Invariants: a name has one spelling; whatever is spelled otherwise is not ours; no number in it
//! is the last of its kind. Deliberately absent: directories and paths.

use mainstay_types::limits::{NODES_MAX, RANKS_MAX};
use mainstay_types::{Epoch, Incarnation, Node, Rank, Version};

/// What a file name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileName {
    /// A rank's part of a version.
    Shard {
        /// Which version.
        version: Version,
        /// The epoch of its capture.
        epoch: Epoch,
        /// Which rank.
        rank: Rank,
        /// Which incarnation captured it.
        incarnation: Incarnation,
    },
    /// What a node holds of a version for other nodes.
    Guard {
        /// Which version.
        version: Version,
        /// Its epoch.
        epoch: Epoch,
        /// Which node.
        node: Node,
    },
    /// A published manifest.
    Manifest {
        /// Its version.
        version: Version,
    },
    /// A manifest that is not published.
    Aside {
        /// Its version.
        version: Version,
    },
    /// An empty file that says that a version is kept for good.
    Archive {
        /// Which version.
        version: Version,
    },
    /// What a node's directory has of a manifest, should that be lost.
    Copy {
        /// Its version.
        version: Version,
    },
}

impl FileName {
    /// The version that the file belongs to.
    #[must_use]
    pub fn version(&self) -> Version {
        match *self {
            Self::Shard { version, .. }
            | Self::Guard { version, .. }
            | Self::Manifest { version }
            | Self::Aside { version }
            | Self::Archive { version }
            | Self::Copy { version } => version,
        }
    }
}

impl std::fmt::Display for FileName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Shard { version, epoch, rank, incarnation } => {
                write!(f, "v{:08}.e{epoch}.r{rank}.i{incarnation}.shard", version.0)
            }
            Self::Guard { version, epoch, node } => {
                write!(f, "v{:08}.e{epoch}.n{node}.guard", version.0)
            }
            Self::Manifest { version } => write!(f, "v{:08}.manifest", version.0),
            Self::Aside { version } => write!(f, "v{:08}.manifest.aside", version.0),
            Self::Archive { version } => write!(f, "v{:08}.archive", version.0),
            Self::Copy { version } => write!(f, "v{:08}.manifest.copy", version.0),
        }
    }
}

/// The name of a shard.
#[must_use]
pub fn shard_name(version: Version, epoch: Epoch, rank: Rank, incarnation: Incarnation) -> String {
    let name = FileName::Shard { version, epoch, rank, incarnation };
    name.to_string()
}

/// The name of what a node holds for others.
#[must_use]
pub fn guard_name(version: Version, epoch: Epoch, node: Node) -> String {
    FileName::Guard { version, epoch, node }.to_string()
}

/// The directory of a node.
#[must_use]
pub fn node_directory(node: Node) -> String {
    format!("node{:02}", node.0)
}

/// The path of a file in the directory of a node.
#[must_use]
pub fn in_node(node: Node, name: &str) -> String {
    format!("{}/{name}", node_directory(node))
}

/// The node whose directory has this name.
#[must_use]
pub fn parse_node(name: &str) -> Option<Node> {
    let node =
        name.strip_prefix("node")?.parse().ok().filter(|node| *node < NODES_MAX).map(Node)?;
    (node_directory(node) == name).then_some(node)
}

/// The name of a published manifest.
#[must_use]
pub fn manifest_name(version: Version) -> String {
    FileName::Manifest { version }.to_string()
}

/// The name of a manifest that is written aside.
#[must_use]
pub fn aside_name(version: Version) -> String {
    FileName::Aside { version }.to_string()
}

/// The name of the mark of a version that is kept for good.
#[must_use]
pub fn archive_name(version: Version) -> String {
    FileName::Archive { version }.to_string()
}

/// The name of a copy of a manifest in a node's directory.
#[must_use]
pub fn copy_name(version: Version) -> String {
    FileName::Copy { version }.to_string()
}

/// Where a shard lies that goes by this name: in the directory itself, or in that of a node. A name says
/// which version, epoch, rank and incarnation, so no two directories have the same.
pub fn located(name: &str, mut exists: impl FnMut(&str) -> bool) -> String {
    let is_shard = matches!(parse_name(name), Some(FileName::Shard { .. }));
    if name.contains('/') || !is_shard || exists(name) {
        return name.to_owned();
    }
    let places = (0..NODES_MAX).map(|node| in_node(Node(node), name));
    places.into_iter().find(|place| exists(place)).unwrap_or_else(|| name.to_owned())
}

/// What a name says, if it is one of ours.
#[must_use]
pub fn parse_name(name: &str) -> Option<FileName> {
    let (directory, file) = name.rsplit_once('/').map_or((None, name), |(d, f)| (Some(d), f));
    let found = parse_file(file)?;
    let node = directory.map(parse_node);
    // Nodes' directories hold data and copies alone, and those that are a node's lie nowhere else.
    let fits = match (node, found) {
        (None, FileName::Guard { .. } | FileName::Copy { .. }) | (Some(None), _) => false,
        (None, _) | (Some(Some(_)), FileName::Shard { .. } | FileName::Copy { .. }) => true,
        (Some(at), FileName::Guard { node, .. }) => at == Some(node),
        (Some(_), _) => false,
    };
    fits.then_some(found)
}

fn parse_file(name: &str) -> Option<FileName> {
    let parts: Vec<&str> = name.split('.').collect();
    let version = |text| number(text, 'v').filter(|v| *v < u64::MAX).map(Version);
    let narrow = |text, letter| {
        let number = u32::try_from(number(text, letter)?).ok();
        number.filter(|number| *number < u32::MAX)
    };
    let found = match *parts.as_slice() {
        [v, "manifest"] => FileName::Manifest { version: version(v)? },
        [v, "archive"] => FileName::Archive { version: version(v)? },
        [v, "manifest", "copy"] => FileName::Copy { version: version(v)? },
        [v, "manifest", "aside"] => FileName::Aside { version: version(v)? },
        [v, e, r, i, "shard"] => FileName::Shard {
            version: version(v)?,
            epoch: Epoch(narrow(e, 'e')?),
            rank: Rank(narrow(r, 'r').filter(|rank| *rank < RANKS_MAX)?),
            incarnation: Incarnation(narrow(i, 'i')?),
        },
        [v, e, n, "guard"] => FileName::Guard {
            version: version(v)?,
            epoch: Epoch(narrow(e, 'e')?),
            node: Node(narrow(n, 'n').filter(|node| *node < NODES_MAX)?),
        },
        _ => return None,
    };
    (found.to_string() == name).then_some(found)
}

fn number(text: &str, letter: char) -> Option<u64> {
    text.strip_prefix(letter)?.parse().ok()
}

/// The highest version that any of the names belongs to. The next one is above it.
pub fn highest_version<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Version> {
    let found = names.into_iter().filter_map(parse_name);
    found.map(|name| name.version()).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_sort_by_version() {
        let shard = shard_name(Version(42), Epoch(3), Rank(1), Incarnation(0));
        assert_eq!(shard, "v00000042.e3.r1.i0.shard");
        assert_eq!(manifest_name(Version(7)), "v00000007.manifest");
        assert_eq!(aside_name(Version(7)), "v00000007.manifest.aside");
        assert_eq!(manifest_name(Version(123_456_789)), "v123456789.manifest");
        for name in [
            in_node(Node(3), &shard),
            in_node(Node(0), &copy_name(Version(5))),
            shard,
            manifest_name(Version(u64::MAX - 1)),
            aside_name(Version(0)),
            archive_name(Version(30)),
            shard_name(
                Version(u64::MAX - 1),
                Epoch(u32::MAX - 1),
                Rank(1023),
                Incarnation(u32::MAX - 1),
            ),
        ] {
            let file = name.rsplit('/').next().map(str::to_owned);
            assert_eq!(parse_name(&name).map(|n| n.to_string()), file);
        }
    }

    #[test]
    fn other_spellings_are_not_ours() {
        for name in [
            "",
            "v1.manifest",
            "v00000001.Manifest",
            "v00000001.manifest.",
            "v+0000001.manifest",
            "v-0000001.manifest",
            "v000000001.manifest",
            "v99999999999999999999.manifest",
            "v18446744073709551615.manifest",
            "v00000001.e4294967295.r1.i0.shard",
            "v00000001.e1.r1.i4294967295.shard",
            "00000001.manifest",
            "v00000001.manifest.aside.aside",
            "v00000001.archive.aside",
            "v00000001.e1.r1.shard",
            "v00000001.e01.r1.i0.shard",
            "v00000001.e1.r1024.i0.shard",
            "v00000001.e4294967296.r1.i0.shard",
            "v00000001.r1.e1.i0.shard",
            "v00000001.e1.r1.i0.shard2",
            "lock",
            "node1/v00000001.e1.r0.i0.shard",
            "node99/v00000001.e1.r0.i0.shard",
            "a/node01/v00000001.e1.r0.i0.shard",
            "node01/v00000001.manifest",
            "node01/v00000001.e1.n2.guard",
            "v00000001.e1.n2.guard",
            "v00000001.manifest.copy",
        ] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_shard_is_found_in_whichever_directory_it_lies() {
        let shard = shard_name(Version(42), Epoch(3), Rank(1), Incarnation(0));
        let there = in_node(Node(2), &shard);
        assert_eq!(located(&shard, |name| name == there), there);
        assert_eq!(located(&shard, |name| name == shard), shard);
        assert_eq!(located(&shard, |_| false), shard);
        let manifest = manifest_name(Version(42));
        assert_eq!(located(&manifest, |name| name != manifest), manifest, "it lies in one place");
    }

    #[test]
    fn the_highest_version_counts_unpublished_files_too() {
        let names = [
            "v00000003.manifest",
            "v00000009.e1.r0.i0.shard",
            "v00000005.manifest.aside",
            "v99999999.other",
        ];
        assert_eq!(highest_version(names), Some(Version(9)));
        assert_eq!(highest_version(["lock"]), None);
    }
}
