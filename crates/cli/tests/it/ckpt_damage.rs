//! A flipped bit in each region of each file: `verify` names it, and no command gives wrong data.

use std::fs;
use std::ops::Range;
use std::path::Path;

use serde_json::Value;

use crate::checkpoints::{broken, damage, manifests, number};
use crate::ckpt::{of_kind, one};
use crate::harness::{Ended, Scratch, ckpt, program, run};

/// A version of a job of three ranks.
struct Whole {
    scratch: Scratch,
    d: String,
    version: u64,
    /// What `show` says of rank 1.
    part: Value,
}

impl Whole {
    fn new() -> Self {
        let scratch = Scratch::new();
        let d = scratch.join("d");
        broken(&d);
        let version = number(&manifests(&scratch).pop().unwrap());
        let shown = one(&ckpt(&["show", &d, &version.to_string(), "--json"]).code(0), "version");
        let part = shown["parts"][1].clone();
        Self { scratch, d, version, part }
    }

    fn on(&self, command: &str, more: &[&str]) -> Ended {
        ckpt(&[&[command, &self.d, &self.version.to_string()][..], more].concat())
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.scratch.path().join("d").join(name)
    }

    fn shard(&self) -> String {
        self.part["file"].as_str().unwrap().to_owned()
    }

    /// The regions of rank 1's shard, and the field of each that is one's data.
    fn regions(&self) -> Vec<(&'static str, Option<String>, Range<u64>)> {
        let size = |key: &str| self.part[key].as_u64().unwrap();
        let mut regions = vec![("header", None, 0..64), ("gap", None, 64..4096)];
        let mut end = 4096;
        for field in self.part["fields"].as_array().unwrap() {
            let at = field["at"].as_u64().unwrap();
            let stop = at + field["bytes"].as_u64().unwrap();
            let name = format!("{}.{}", field["state"].as_str().unwrap(), {
                field["name"].as_str().unwrap()
            });
            regions.push(("chunk", Some(name), at..stop));
            end = stop.next_multiple_of(4096);
            regions.push(("gap", None, stop..end));
        }
        regions.push(("table", None, end..size("image_bytes")));
        if size("late_bytes") > 0 {
            let late_at = size("image_bytes").next_multiple_of(4096);
            regions.push(("gap", None, size("image_bytes")..late_at));
            regions.push(("late", None, late_at..size("bytes")));
        }
        regions.retain(|(_, _, at)| !at.is_empty());
        regions
    }
}

/// First, middle and last byte.
fn places(at: &Range<u64>) -> [u64; 3] {
    [at.start, at.start + (at.end - at.start) / 2, at.end - 1]
}

fn flip(path: &Path, at: u64) {
    damage(path, |bytes| bytes[at as usize] ^= 1 << (at % 8));
}

#[test]
fn every_region_of_a_shard_is_named_by_verify_and_never_extracted_wrong() {
    let whole = Whole::new();
    let shard = whole.path(&whole.shard());
    let regions = whole.regions();
    assert!(regions.iter().filter(|(part, ..)| *part == "chunk").count() == 3, "{regions:?}");
    let out = whole.scratch.join("out");
    let fields = ["work.step", "work.sum", "work.words"];
    let extract = |field: &str| {
        let ended = whole.on("extract", &[field, "--rank", "1", "--raw", "-o", &out]);
        let bytes = fs::read(&out).ok();
        let _none = fs::remove_file(&out);
        (ended, bytes)
    };
    let right = fields.map(|field| extract(field).1.unwrap());
    for (part, field, at) in &regions {
        for place in places(at) {
            flip(&shard, place);
            let verified = whole.on("verify", &["--json"]).code(65);
            let found = one(&verified, "damage");
            let told = || format!("{part} {place}: {found}");
            assert_eq!((&found["part"], &found["file"]), (&(*part).into(), &whole.part["file"]));
            assert_eq!((&found["rank"], &found["field"]), (&1.into(), &field.clone().into()));
            let [from, to] = ["from", "to"].map(|key| found[key].as_u64().unwrap());
            assert!((from..to).contains(&place), "{}", told());
            let said = whole.on("verify", &[]).code(65).stdout;
            assert!(said.contains(&format!("bytes {from}..{to} ({part})")), "{said}");
            let list = ckpt(&["ls", &whole.d, "--json"]).code(0);
            let listed = of_kind(&list, "version");
            let version = listed.iter().find(|v| v["version"] == whole.version).unwrap();
            let cheap = ["header", "table"].contains(part);
            assert_eq!(version["recoverable"], !cheap, "{}", told());
            for (name, right) in fields.iter().zip(&right) {
                let (ended, bytes) = extract(name);
                let hit = cheap || field.as_deref() == Some(*name);
                assert_eq!(ended.code, if hit { 65 } else { 0 }, "{}: {}", told(), ended.stderr);
                assert_eq!(bytes.as_ref(), (!hit).then_some(right), "{}", told());
            }
            flip(&shard, place);
        }
    }
    whole.on("verify", &[]).code(0);
    let left = fs::read_dir(whole.scratch.path()).unwrap().count();
    assert_eq!(left, 1, "what was not extracted leaves nothing");
}

#[test]
fn a_flipped_bit_anywhere_in_a_manifest_makes_its_version_unusable_by_name() {
    let whole = Whole::new();
    let name = format!("v{:08}.manifest", whole.version);
    let path = whole.path(&name);
    let bytes = fs::metadata(&path).unwrap().len();
    let fixed = [0, 8, 11, 12, 28, 32, 36, bytes - 5, bytes - 4, bytes - 1];
    for at in fixed.into_iter().chain((40..bytes - 5).step_by(23)) {
        flip(&path, at);
        let verified = whole.on("verify", &["--json"]).code(65);
        let reason = &one(&verified, "verified")["reasons"][0];
        assert_eq!(reason["file"], name, "byte {at}");
        let code = reason["code"].as_str().unwrap();
        assert_eq!(code, if (8..12).contains(&at) { "format" } else { "damaged" }, "byte {at}");
        whole.on("extract", &["work.step", "--rank", "0", "-o", "/dev/null/x"]).code(65);
        whole.on("show", &[]).code(65);
        let resumed = &one(&ckpt(&["ls", &whole.d, "--json"]).code(0), "directory")["resumed"];
        assert!(resumed.as_u64().unwrap() < whole.version, "byte {at}: the one before");
        flip(&path, at);
    }
    whole.on("verify", &[]).code(0);
}

#[test]
fn truncated_missing_and_exchanged_shards_are_told_apart() {
    let whole = Whole::new();
    let (one_shard, bytes) = (whole.path(&whole.shard()), whole.part["bytes"].as_u64().unwrap());
    let pristine = fs::read(&one_shard).unwrap();
    let first = |code: &str| {
        let verified = whole.on("verify", &["--json"]).code(65);
        let found = of_kind(&verified, "damage").into_iter().next_back().unwrap();
        assert_eq!((&found["code"], &found["rank"]), (&code.into(), &1.into()), "{found}");
        let list = ckpt(&["ls", &whole.d]).code(0).stdout;
        assert!(list.contains("no: rank 1: "), "{list}");
    };
    for len in [0, 1, 63, 64, 4096, bytes - 1] {
        damage(&one_shard, |bytes| bytes.truncate(len as usize));
        first("length");
        fs::write(&one_shard, &pristine).unwrap();
    }
    damage(&one_shard, |bytes| bytes.push(0));
    first("length");
    fs::remove_file(&one_shard).unwrap();
    first("missing");
    fs::create_dir(&one_shard).unwrap();
    first("not_a_file");
    fs::remove_dir(&one_shard).unwrap();
    // The whole shard of another rank under this one's name.
    let other = whole.shard().replace(".r1.", ".r2.");
    fs::copy(whole.path(&other), &one_shard).unwrap();
    assert_eq!(whole.on("verify", &[]).code, 65);
    let list = ckpt(&["ls", &whole.d, "--json"]).code(0);
    let version = of_kind(&list, "version").pop().unwrap();
    assert_eq!(version["recoverable"], false, "{version}");
}

#[test]
fn of_a_field_of_many_chunks_the_bad_one_is_named_and_nothing_is_extracted() {
    const BYTES: usize = 2_500_000;
    let scratch = Scratch::new();
    let (d, out, probe) = (scratch.join("d"), scratch.join("out"), program("probe"));
    let options = ["-n", "1", "--ckpt-every", "20steps", "--policy", "abort", "--ckpt-dir", &d];
    let fault = ["--inject", "kill:0@step=30", &probe, "steps", "99", "--bytes", "2500000"];
    run(&[&options[..], &fault].concat()).code(137);
    let shown = one(&ckpt(&["show", &d, "1", "--json"]).code(0), "version");
    let (part, words) = (&shown["parts"][0], &shown["parts"][0]["fields"][2]);
    assert_eq!((&words["chunks"], &words["bytes"]), (&3.into(), &BYTES.into()));
    let shard = scratch.path().join("d").join(part["file"].as_str().unwrap());
    let at = words["at"].as_u64().unwrap() as usize;
    let extract = ["extract", &d, "1", "words", "--raw", "--force", "-o", &out];
    ckpt(&extract).code(0);
    assert!(fs::read(&out).unwrap() == fs::read(&shard).unwrap()[at..at + BYTES]);
    for chunk in 0..3 {
        let first = at + (chunk << 20);
        let last = (first + (1 << 20)).min(at + BYTES) - 1;
        for place in [first, last] {
            let before = fs::read(&out).unwrap();
            flip(&shard, place as u64);
            let found = one(&ckpt(&["verify", &d, "--json"]).code(65), "damage");
            assert_eq!((&found["chunk"], &found["field"]), (&chunk.into(), &"work.words".into()));
            assert_eq!((&found["from"], &found["to"]), (&first.into(), &(last + 1).into()));
            ckpt(&extract).code(65).says(&format!("chunk {chunk} of field `work.words`"));
            assert!(fs::read(&out).unwrap() == before, "what was there stays, even with --force");
            ckpt(&["diff", &d, "1", "1"]).code(65).says("cannot be read");
            flip(&shard, place as u64);
        }
    }
    ckpt(&["diff", &d, "1", "1"]).code(0);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 2, "nothing aside is left");
}
