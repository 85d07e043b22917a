//! A published shard that is written anew where it is bad, on a file system that loses power.
//!
//! Whatever a crash keeps of it, the other versions stay whole, what is found whole has the right bytes,
//! and once it is synced the shard is whole for good.

use std::ops::Range;
use std::rc::Rc;

use mainstay_ckpt::commit::{PATCH_BYTES, patches};
use mainstay_ckpt::manifest_name;
use mainstay_types::{Epoch, Rank, Version};

use crate::crash_disk::{Disk, Image};
use crate::crash_start::{Starter, capture};
use crate::random::Random;

/// What has become of a shard.
#[derive(Clone, Copy, Debug)]
enum Harm {
    /// So many bits have flipped.
    Rot(u64),
    /// A block cannot be read.
    Unreadable,
    Cut,
    Longer,
    Missing,
}

/// Two published versions.
fn published(starter: &mut Starter) -> Image {
    let mut image = Image::new();
    for version in [Version(1), Version(2)] {
        let captured = Rc::new(capture(version, Epoch(1), None));
        for (name, bytes) in captured.manifest.part_names().into_iter().zip(&captured.shards) {
            image.insert(name, Rc::new(bytes.clone()));
        }
        image.insert(manifest_name(version), Rc::new(captured.manifest.encode()));
        starter.truth.entry(version).or_default().push(captured);
    }
    image
}

/// Harms a shard; gives the bytes that a look finds bad, and a block that cannot be read.
fn harm(bytes: &mut Vec<u8>, harm: Harm, random: &mut Random) -> (Vec<Range<u64>>, Option<usize>) {
    let mut bad = Vec::new();
    let whole = bytes.len() as u64;
    match harm {
        Harm::Rot(bits) => {
            for _ in 0..bits {
                let at = random.below(whole);
                bytes[at as usize] ^= 1 << random.below(8);
                // A look tells of parts, which are larger.
                bad.push(at.saturating_sub(300)..(at + 300).min(whole));
            }
        }
        Harm::Unreadable => {
            let block = random.below(whole.div_ceil(PATCH_BYTES as u64)) as usize;
            let from = block * PATCH_BYTES;
            let to = bytes.len().min(from + PATCH_BYTES);
            bytes[from..to].fill(0xEE);
            return (bad, Some(block));
        }
        Harm::Cut => bytes.truncate(random.below(whole) as usize),
        Harm::Longer => bytes.extend([3; 700]),
        Harm::Missing => bytes.clear(),
    }
    (bad, None)
}

/// Mends the shard block by block; `then` looks at every state in between.
fn mend(
    disk: &mut Disk,
    (name, truth): (&str, &[u8]),
    (bad, unreadable): (&[Range<u64>], Option<usize>),
    then: &mut dyn FnMut(&Disk),
) {
    if !disk.seen().contains_key(name) {
        disk.create(name);
        then(disk);
    }
    if disk.seen()[name].len() > truth.len() {
        disk.resize(name, truth.len());
        then(disk);
    }
    for (i, block) in truth.chunks(PATCH_BYTES).enumerate() {
        let at = i * PATCH_BYTES;
        let seen = disk.seen();
        let found = &seen[name][at.min(seen[name].len())..];
        let found = (unreadable != Some(i)).then_some(found);
        for range in patches(at as u64, block, found, bad).unwrap() {
            disk.patch(name, at + range.start, &block[range]);
            then(disk);
        }
    }
    disk.sync(Some(name), false);
    then(disk);
    disk.sync(None, false);
}

#[test]
fn a_shard_that_is_mended_in_its_place_is_never_worse_than_before() {
    let mut states = 0;
    for seed in 0..150 {
        let mut random = Random(seed);
        let harms = [
            Harm::Rot(1),
            Harm::Rot(3),
            Harm::Rot(20),
            Harm::Unreadable,
            Harm::Cut,
            Harm::Longer,
            Harm::Missing,
        ];
        let kind = harms[seed as usize % harms.len()];
        let mut starter = Starter::default();
        let mut image = published(&mut starter);
        let (version, rank) = (Version(1 + random.below(2)), Rank(random.below(2) as u32));
        let captured = Rc::clone(&starter.truth[&version][0]);
        let name = captured.manifest.shard_names().nth(rank.index()).unwrap();
        let truth = &captured.shards[rank.index()];
        let mut rotten = truth.clone();
        let bad = harm(&mut rotten, kind, &mut random);
        match kind {
            Harm::Missing => drop(image.remove(&name)),
            _ => drop(image.insert(name.clone(), Rc::new(rotten))),
        }
        let before = starter.start(&image).unwrap();
        assert!(
            before.damaged.contains(&version) || image.get(&name) == Some(&Rc::new(truth.clone()))
        );
        let mut disk = Disk::of(&image);
        let mut sound = Random(random.next());
        mend(&mut disk, (&name, truth), (&bad.0, bad.1), &mut |disk| {
            let crashes = disk.crash((20, false), &mut sound, &mut |image| {
                states += 1;
                let found = starter.start(&image)?;
                let lost = before.whole.difference(&found.whole).next();
                let gone = found.whole.len() + found.damaged.len() != 2;
                match lost.is_some() || gone {
                    true => Err(format!("{kind:?}, seed {seed}: {found:?}")),
                    false => Ok(()),
                }
            });
            assert_eq!(crashes, Ok(()));
        });
        // From now on, whatever happens.
        let crashes = disk.crash((20, false), &mut sound, &mut |image| match starter
            .start(&image)?
            .whole
            .len()
        {
            2 => Ok(()),
            _ => Err(format!("{kind:?}, seed {seed}: it is not mended")),
        });
        assert_eq!(crashes, Ok(()));
    }
    assert!(states > 4000, "only {states} states were tried");
}
