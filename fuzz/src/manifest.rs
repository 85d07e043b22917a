//! Manifests.

use std::collections::BTreeSet;

use mainstay_ckpt::{FileName, FormatError, Manifest, manifest_name, parse_name};
use mainstay_types::{Rank, crc32c};

use crate::wire::within;

/// A manifest as it is and with the right checksum: what is accepted has this encoding, and names
/// one shard a rank, each under a name that a directory's reader takes for the same shard.
///
/// # Panics
/// When that does not hold.
pub fn manifest(data: &[u8]) -> bool {
    let mut sealed = data.to_vec();
    sealed.extend(crc32c(data).to_le_bytes());
    // Both: a mutation of a whole manifest, and one of its body.
    let body = data.len().saturating_sub(4);
    let mut resealed = data[..body].to_vec();
    resealed.extend(crc32c(&data[..body]).to_le_bytes());
    [data, &sealed, &resealed].map(check).contains(&true)
}

fn check(bytes: &[u8]) -> bool {
    let manifest = match Manifest::decode(bytes) {
        Ok(manifest) => manifest,
        Err(error) => {
            if let FormatError::Decode(error) = &error {
                within(error, bytes.len());
            }
            return false;
        }
    };
    assert_eq!(manifest.encode(), bytes);
    let n = manifest.n();
    assert!(n > 0 && manifest.ranks.len() == n as usize);
    let names: Vec<String> = manifest.shard_names().collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    for ((rank, entry), name) in Rank::all(n).zip(&manifest.ranks).zip(&names) {
        assert_eq!((entry.sent.len(), entry.delivered.len()), (n as usize, n as usize));
        assert!(entry.early.iter().all(|early| early.peer.0 < n));
        assert!(
            entry.shard_bytes() >= entry.image_bytes && entry.shard_bytes() <= manifest.bytes()
        );
        let (version, epoch) = (manifest.version, entry.file_epoch);
        let incarnation = entry.incarnation;
        let shard = FileName::Shard { version, epoch, rank, incarnation };
        assert_eq!(parse_name(name), Some(shard));
    }
    let name = manifest_name(manifest.version);
    assert_eq!(parse_name(&name), Some(FileName::Manifest { version: manifest.version }));
    // What follows a version that was read has a number, too.
    let _next = (manifest.version.next(), manifest.epoch.next());
    assert!(manifest.identity.differences(&manifest.identity).is_empty());
    true
}
