//! What is captured, and what a start finds of it: names read, manifests decoded, shards verified,
//! the newest version chosen by the ledger, as a launcher does it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use mainstay_ckpt::fetch::Ring;
use mainstay_ckpt::format::verify::verify_shard;
use mainstay_ckpt::{
    Cut, Expected, FileName, Header, Image as Shard, ImageWriter, Input, Kind, Late, Ledger,
    Leftovers, Manifest, NodeLayout, Plan, RankEntry, Residency, aside_name, encode_late,
    manifest_name, messages_bytes, parse_name,
};
use mainstay_types::event::Level;
use mainstay_types::wire::node::Redundancy;
use mainstay_types::{Determinants, Epoch, Incarnation, Rank, Step, Version, crc32c};

use crate::crash_disk::Image;
use crate::format::{message, spec};
use crate::random::Random;
use crate::script::{identity, tell};

pub(crate) const RANKS: u32 = 2;
/// How many files' verdicts are remembered, with their bytes.
const REMEMBERED: usize = 4096;

/// A version as it was captured.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Capture {
    pub(crate) manifest: Manifest,
    pub(crate) shards: Vec<Vec<u8>>,
}

/// Captures a version whose bytes depend on its number and epoch. Rank 1 has late messages.
pub(crate) fn capture(version: Version, epoch: Epoch, parent: Option<Version>) -> Capture {
    let mut random = Random(version.0 << 8 | u64::from(epoch.0));
    let n = RANKS as usize;
    let (mut ranks, mut shards) = (Vec::new(), Vec::new());
    for rank in Rank::all(RANKS) {
        let data = random.bytes(700 + 4096 * rank.index());
        let plan = Plan::new(&[spec("s", "u", Kind::U8, 1, data.len() as u64)]).unwrap();
        let (sent, delivered) = (vec![0; n], vec![0; n]);
        let cut = Cut { sent: sent.clone(), delivered: delivered.clone(), ..Cut::default() };
        let mut shard =
            vec![0; usize::try_from(plan.image_bytes(RANKS, messages_bytes(&[]))).unwrap()];
        let mut writer =
            ImageWriter::new(shard.as_mut_slice(), &plan, cut, Residency::Cached).unwrap();
        writer.field(&data, &mut || ());
        let header = Header::of(rank, RANKS, epoch, Incarnation(0)).at(version, Step(version.0));
        let captured = writer.finish(header);
        let mut entry = RankEntry {
            file_epoch: epoch,
            image_bytes: captured.image_bytes,
            table_crc: captured.table_crc,
            sent,
            delivered,
            ..RankEntry::default()
        };
        if rank == Rank(1) {
            let messages = vec![message(0, version.0, &random.bytes(40))];
            let late = encode_late(&Late { messages, determinants: Determinants::default() });
            (entry.late_bytes, entry.late_crc) = (late.len() as u64, crc32c(&late));
            shard.resize(usize::try_from(entry.late_at()).unwrap(), 0);
            shard.extend(late);
        }
        ranks.push(entry);
        shards.push(shard);
    }
    let (identity, step) = (identity(), Step(version.0));
    let mut manifest = Manifest { identity, epoch, version, step, parent, ranks, nodes: None };
    if version.0.is_multiple_of(2) {
        among_nodes(&mut manifest, &mut shards);
    }
    Capture { manifest, shards }
}

/// Puts each rank's shard into a node of its own, beside a copy of the other's and one of the manifest.
fn among_nodes(manifest: &mut Manifest, parts: &mut Vec<Vec<u8>>) {
    let ring = Ring::new(RANKS, Redundancy::Partner).unwrap();
    let guards: Vec<Vec<u8>> = parts.iter().rev().map(|shard| padded(shard)).collect();
    let guard_crcs = guards.iter().map(|guard| crc32c(guard)).collect();
    manifest.nodes = Some(NodeLayout { ring, guard_crcs });
    parts.extend(guards);
    parts.extend(manifest.copy_names().map(|_| manifest.encode()).collect::<Vec<_>>());
    assert_eq!(manifest.part_names().len(), parts.len());
}

fn padded(shard: &[u8]) -> Vec<u8> {
    let mut guard = shard.to_vec();
    guard.resize(shard.len().next_multiple_of(4096), 0);
    guard
}

/// What a start finds.
#[derive(Debug)]
pub(crate) struct Found {
    /// The version that the job goes on from.
    pub(crate) newest: Option<Version>,
    /// Those of which every rank's part is whole.
    pub(crate) whole: BTreeSet<Version>,
    /// Those with a manifest that cannot be restored.
    pub(crate) damaged: BTreeSet<Version>,
    pub(crate) leftovers: Leftovers,
    /// Above all that is there.
    pub(crate) next: Version,
    pub(crate) epoch: Epoch,
}

type Content = Rc<Vec<u8>>;

/// Starts on images. What was found out about a file is remembered, as many images share it.
#[derive(Debug, Default)]
pub(crate) struct Starter {
    /// All captures that there ever were of a number.
    pub(crate) truth: BTreeMap<Version, Vec<Rc<Capture>>>,
    files: BTreeMap<(*const Vec<u8>, Version, Rank), (Content, bool)>,
    manifests: BTreeMap<*const Vec<u8>, (Content, Option<Rc<Manifest>>)>,
}

impl Starter {
    /// Finds what is there; fails if what would be restored is not what was captured.
    pub(crate) fn start(&mut self, image: &Image) -> Result<Found, String> {
        if self.files.len() > REMEMBERED {
            self.files.clear();
            self.manifests.clear();
        }
        let names = || image.keys().map(String::as_str);
        let mut found = Found {
            newest: None,
            whole: BTreeSet::new(),
            damaged: BTreeSet::new(),
            leftovers: Leftovers::among(names()),
            next: mainstay_ckpt::highest_version(names()).unwrap_or_default().next(),
            epoch: Epoch(0),
        };
        let mut ledger = Ledger::new(RANKS, found.next, 2);
        for (name, content) in image {
            match parse_name(name) {
                Some(FileName::Shard { epoch, .. } | FileName::Guard { epoch, .. }) => {
                    found.epoch = found.epoch.max(epoch);
                }
                Some(FileName::Manifest { version }) => {
                    let manifest = self.manifest(content);
                    let Some(manifest) = manifest.filter(|m| m.version == version) else {
                        found.damaged.insert(version);
                        continue;
                    };
                    found.epoch = found.epoch.max(manifest.epoch);
                    tell(&mut ledger, Input::Adopt(Box::new((*manifest).clone())));
                    if self.check(image, &manifest, &mut ledger)? {
                        found.whole.insert(version);
                    } else {
                        found.damaged.insert(version);
                    }
                }
                // No copy of a manifest is ever taken for one that was lost.
                Some(FileName::Copy { version }) => {
                    let told = [manifest_name(version), aside_name(version)];
                    if !told.iter().any(|name| image.contains_key(name)) {
                        return Err(format!("{name} lies there without manifest and mark"));
                    }
                }
                Some(FileName::Aside { .. } | FileName::Archive { .. }) | None => {}
            }
        }
        found.epoch = found.epoch.next();
        tell(&mut ledger, Input::EpochRaised(found.epoch));
        found.newest = ledger.choose().map(|choice| choice.version);
        Ok(found)
    }

    fn manifest(&mut self, content: &Content) -> Option<Rc<Manifest>> {
        let read = || (Rc::clone(content), Manifest::decode(content).ok().map(Rc::new));
        self.manifests.entry(Rc::as_ptr(content)).or_insert_with(read).1.clone()
    }

    /// Whether every shard is whole; tells the ledger of those that are not.
    fn check(
        &mut self,
        image: &Image,
        manifest: &Manifest,
        ledger: &mut Ledger,
    ) -> Result<bool, String> {
        let version = manifest.version;
        let mut all = true;
        for rank in Rank::all(manifest.n()) {
            let content = image.get(&manifest.shard_name(rank));
            let whole = content.is_some_and(|content| {
                let key = (Rc::as_ptr(content), version, rank);
                let read = || (Rc::clone(content), is_whole(content, manifest, rank));
                self.files.entry(key).or_insert_with(read).1
            });
            if !whole {
                let (level, why) = (Level::Disk, "cut short".to_owned());
                tell(ledger, Input::CopyBad { version, rank, level, why });
                all = false;
            }
        }
        if all {
            let captures = self.truth.get(&version).map_or(&[][..], Vec::as_slice);
            // What nodes hold for each other may be lost alone, and never has other bytes.
            let same = |capture: &&Rc<Capture>| {
                let names = capture.manifest.part_names().into_iter();
                let mut parts = (0..).zip(names.zip(&capture.shards));
                capture.manifest == *manifest
                    && parts.all(|(i, (name, bytes))| match image.get(&name) {
                        Some(content) => **content == *bytes,
                        None => i >= RANKS,
                    })
            };
            captures.iter().find(same).ok_or(format!("version {version} is not as captured"))?;
        }
        Ok(all)
    }
}

fn is_whole(content: &Content, manifest: &Manifest, rank: Rank) -> bool {
    let entry = &manifest.ranks[rank.index()];
    let expected = Expected::of(manifest, rank);
    let bytes = content.as_slice();
    bytes.len() as u64 == entry.shard_bytes()
        && Shard::open_expected(bytes, &expected).is_ok_and(|image| {
            verify_shard(bytes, &image, entry.late_bytes, entry.late_crc).is_ok()
        })
}
