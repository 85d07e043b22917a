//! What a directory holds: which versions can be recovered, which one a resume takes, which can go.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use mainstay_ckpt::catalogue::{
    Catalogue, Entry, Fault, Listed, Reason, Standing, by_version, newest_first, open_shard,
    read_manifest,
};
use mainstay_ckpt::format::verify::{Finding, Part, Seen, audit_shard};
use mainstay_ckpt::{Expected, Manifest, aside_name, manifest_name};
use mainstay_types::{JobId, Rank, Version, crc32c};

use crate::format::{image, late, manifest};

const A: JobId = JobId([0xA; 16]);
const B: JobId = JobId([0xB; 16]);

fn of(job: JobId, version: u64) -> Manifest {
    let mut manifest = manifest();
    manifest.version = Version(version);
    manifest.identity.job = job;
    manifest
}

/// A published version of which some ranks have these faults.
fn version(job: JobId, number: u64, faults: &[(u32, Fault)]) -> Entry {
    let manifest = of(job, number);
    let names = manifest.shard_names().chain([manifest_name(Version(number))]);
    let files = names.map(|name| Listed { name, bytes: Some(100) }).collect();
    let faults: BTreeMap<_, _> = faults.iter().cloned().collect();
    Entry::new(Version(number), files, Some(Ok(manifest)), |_, rank, _| {
        faults.get(&rank.0).map_or(Ok(()), |fault| Err(fault.clone()))
    })
}

/// Files of a version without a manifest.
fn bare(number: u64, names: &[&str]) -> Entry {
    let files = names.iter().map(|name| Listed { name: (*name).to_owned(), bytes: Some(7) });
    Entry::new(Version(number), files.collect(), None, |_, _, _| panic!("nothing to look at"))
}

fn numbers(versions: &[Version]) -> Vec<u64> {
    versions.iter().map(|version| version.0).collect()
}

#[test]
fn a_version_is_recoverable_if_published_and_every_rank_has_a_whole_copy() {
    let whole = version(A, 3, &[]);
    assert!(whole.is_recoverable() && whole.looks_whole() && whole.copies.len() == 3);
    assert_eq!((whole.standing, whole.bytes()), (Standing::Published, 400));
    let bad = version(A, 3, &[(1, Fault::Missing), (2, Fault::Format { format: 9 })]);
    assert!(!bad.is_recoverable() && !bad.looks_whole());
    let reasons = bad.reasons();
    assert_eq!(reasons.iter().map(Reason::code).collect::<Vec<_>>(), ["missing", "format"]);
    assert_eq!(reasons[0].to_string(), "rank 1: v00000003.e4.r1.i1.shard: it is missing");
    assert_eq!((reasons[1].rank(), reasons[1].file()), (Some(Rank(2)), Some(&*bad.copies[2].name)));
    assert!(version(A, 3, &[(2, Fault::Format { format: 9 })]).looks_whole(), "seen later only");
    let (aside, shard) = (aside_name(Version(5)), "v00000005.e1.r0.i0.shard");
    let unpublished = bare(5, &[&aside, shard]);
    assert_eq!(unpublished.reasons(), [Reason::Unpublished]);
    let orphaned = bare(5, &[shard]);
    assert_eq!(orphaned.reasons(), [Reason::NoManifest { name: manifest_name(Version(5)) }]);
    let changing = Entry { changing: true, ..whole };
    assert_eq!(changing.reasons(), [Reason::Changing]);
}

#[test]
fn another_copy_of_a_rank_makes_up_for_a_bad_one() {
    let mut entry = version(A, 3, &[(1, Fault::Missing)]);
    let mut other = entry.copies[1].clone();
    other.state = Ok(());
    entry.copies.push(other);
    assert!(entry.is_recoverable());
}

#[test]
fn files_that_the_manifest_does_not_name_are_told() {
    let mut entry = version(A, 3, &[]);
    let name = "v00000003.e9.r0.i0.shard".to_owned();
    entry.files.push(Listed { name: name.clone(), bytes: None });
    assert_eq!(entry.unnamed().collect::<Vec<_>>(), [&name]);
    assert_eq!(version(A, 3, &[]).unnamed().count(), 0);
    let names = [name, "LOCK".to_owned(), "v00000004.manifest.aside".to_owned()];
    let (versions, others) = by_version(&names);
    assert_eq!(versions.into_keys().collect::<Vec<_>>(), [Version(3), Version(4)]);
    assert_eq!(others, ["LOCK"]);
}

#[test]
fn a_resume_takes_the_newest_whole_version_of_the_newest_job_that_looks_whole() {
    let (gone, rotten) = (Fault::Missing, Fault::Format { format: 9 });
    let resumed = |entries: Vec<Entry>| {
        Catalogue::new(entries, Vec::new()).resumed().map(|entry| entry.version.0)
    };
    let v = |job, number, fault: Option<&Fault>| {
        version(job, number, &fault.map(|fault| (0, fault.clone())).into_iter().collect::<Vec<_>>())
    };
    assert_eq!(resumed(vec![]), None);
    assert_eq!(resumed(vec![v(A, 1, None), v(A, 2, None)]), Some(2));
    assert_eq!(resumed(vec![v(A, 1, None), v(A, 2, Some(&gone))]), Some(1));
    assert_eq!(resumed(vec![v(A, 1, None), v(B, 2, Some(&gone))]), Some(1), "passed over");
    assert_eq!(resumed(vec![v(A, 1, None), v(B, 2, Some(&rotten))]), None, "seen too late");
    assert_eq!(resumed(vec![v(B, 1, None), v(A, 2, None), v(B, 3, Some(&rotten))]), Some(1));
    assert_eq!(newest_first([(Version(1), A), (Version(3), B), (Version(2), A)]), [B, A]);
}

#[test]
fn pruning_keeps_the_newest_recoverable_versions_of_each_job_and_all_that_is_newer() {
    let gone = [(0, Fault::Missing)];
    let unreadable = Entry {
        manifest: Some(Err(Fault::Format { format: 2 })),
        copies: Vec::new(),
        ..version(A, 1, &[])
    };
    let mut catalogue = Catalogue::new(
        [
            unreadable,
            version(A, 2, &[]),
            version(B, 3, &[]),
            version(A, 4, &gone),
            version(A, 5, &[]),
            version(A, 6, &[]),
            version(A, 7, &gone),
            bare(8, &["v00000008.e1.r0.i0.shard", "v00000008.manifest.aside"]),
            bare(9, &["v00000009.e1.r0.i0.shard"]),
        ],
        Vec::new(),
    );
    let two = catalogue.pruning(2);
    assert_eq!(numbers(&two.kept), [6, 5, 3]);
    assert_eq!(numbers(&two.removed), [2, 4]);
    assert_eq!(two.leftovers.files, ["v00000008.e1.r0.i0.shard"]);
    assert_eq!(two.leftovers.marks, ["v00000008.manifest.aside"]);
    assert_eq!(numbers(&two.left), [1, 9], "unreadable and orphaned versions may be wanted");
    assert_eq!(numbers(&catalogue.pruning(1).removed), [2, 4, 5]);
    assert_eq!(catalogue.pruning(0), catalogue.pruning(1), "one always stays");
    assert_eq!(numbers(&catalogue.pruning(4).removed), [0_u64; 0], "there are not so many");
    catalogue.found_bad(Version(6), Rank(2), &Fault::Missing);
    assert_eq!(numbers(&catalogue.pruning(1).removed), [2, 4]);
    assert_eq!(numbers(&catalogue.pruning(1).kept), [5, 3]);
}

#[test]
fn a_newer_format_is_named_and_a_manifest_under_another_name_is_found_out() {
    let bytes = manifest().encode();
    assert_eq!(read_manifest(Version(42), &bytes), Ok(manifest()));
    let lies = read_manifest(Version(43), &bytes);
    assert_eq!(lies, Err(Fault::OtherVersion { says: Version(42) }));
    let mut newer = bytes.clone();
    newer[8] = 3;
    let told = |bytes: &[u8]| read_manifest(Version(42), bytes).unwrap_err().to_string();
    assert!(told(&newer).contains("format 3"), "also if the checksum is elsewhere");
    let end = newer.len() - 4;
    let crc = crc32c(&newer[..end]);
    newer[end..].copy_from_slice(&crc.to_le_bytes());
    assert!(told(&newer).contains("format 3, and this build reads format 1"));
    for (i, _) in bytes.iter().enumerate() {
        let mut flipped = bytes.clone();
        flipped[i] ^= 1 << (i % 8);
        assert!(read_manifest(Version(42), &flipped).is_err(), "byte {i}");
        assert!(read_manifest(Version(42), &bytes[..i]).is_err(), "cut at {i}");
    }
}

fn expected(manifest: &Manifest) -> Expected {
    Expected::of(manifest, Rank(1))
}

/// The shard of rank 1, with late messages.
fn shard() -> Vec<u8> {
    let (mut bytes, _) = image();
    bytes.resize(bytes.len().next_multiple_of(4096), 0);
    bytes.extend(late());
    bytes
}

fn findings(bytes: &[u8]) -> (Vec<Finding>, u64) {
    let manifest = manifest();
    let (mut found, mut read) = (Vec::new(), 0);
    let entry = &manifest.ranks[1];
    let late = (entry.late_bytes, entry.late_crc);
    let _all = audit_shard(bytes, &expected(&manifest), late, &mut |seen| {
        match seen {
            Seen::Bytes(bytes) => read += bytes,
            Seen::Wrong(finding) => found.push(finding),
        }
        ControlFlow::Continue(())
    });
    (found, read)
}

#[test]
fn an_audit_reads_every_byte_once_and_names_the_part_of_each_flipped_bit() {
    let bytes = shard();
    assert_eq!(findings(&bytes), (Vec::new(), bytes.len() as u64));
    let mut parts = BTreeMap::new();
    for i in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[i] ^= 1 << (i % 8);
        let (found, _) = findings(&flipped);
        let [finding] = found.as_slice() else { panic!("byte {i}: {found:?}") };
        assert!(finding.at.contains(&(i as u64)), "byte {i}: {finding:?}");
        let is_chunk = matches!(finding.part, Part::Chunk { .. });
        assert_eq!(finding.field.is_some(), is_chunk, "byte {i}");
        *parts.entry(finding.part.name()).or_insert(0) += 1;
        let opened = open_shard(flipped.as_slice(), &manifest(), Rank(1));
        let in_cheap = matches!(finding.part, Part::Header | Part::Table);
        assert_eq!(opened.is_err(), in_cheap, "byte {i}: a look sees header and table");
    }
    let names: Vec<_> = parts.keys().copied().collect();
    assert_eq!(names, ["chunk", "gap", "header", "late", "table"]);
    assert_eq!((parts["header"], parts["late"]), (64, late().len()));
}

#[test]
fn one_damage_does_not_hide_another() {
    let mut bytes = shard();
    bytes[100] = 1;
    bytes[4096] ^= 1;
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let parts: Vec<_> = findings(&bytes).0.iter().map(|finding| finding.part.name()).collect();
    assert_eq!(parts, ["gap", "chunk", "late"]);
    bytes[60] ^= 1;
    let parts: Vec<_> = findings(&bytes).0.iter().map(|finding| finding.part.name()).collect();
    assert_eq!(parts, ["header", "late"], "without a table nobody knows where the fields lie");
    let longer = [&shard()[..], b"more"].concat();
    let (found, _) = findings(&longer);
    assert_eq!((found[0].part, found.len()), (Part::End, 1));
    assert_eq!(found[0].at, shard().len() as u64..longer.len() as u64);
    for len in 0..shard().len() {
        let (found, _) = findings(&shard()[..len]);
        assert!(found.iter().any(|finding| finding.part == Part::End), "cut at {len}");
        let opened = open_shard(&shard()[..len], &manifest(), Rank(1));
        assert!(matches!(opened, Err(Fault::Length { .. })), "cut at {len}");
    }
}
