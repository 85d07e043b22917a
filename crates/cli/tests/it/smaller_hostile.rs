//! Packed shards that claim what nobody would write, with the right checksums.

use std::fs;
use std::path::PathBuf;

use mainstay_types::crc32c;

use crate::checkpoints::{manifests, number};
use crate::harness::{Scratch, ckpt, program, run};

const WORK: &[&str] = &["still", "500000", "--steps", "600", "--spin-us", "300"];

/// A job of two ranks that leaves some versions, the newest of which refers to another.
fn left(scratch: &Scratch) -> u64 {
    let (probe, d) = (program("probe"), scratch.join("d"));
    let job = ["-n", "2", "--policy", "abort", "--ckpt-every", "5steps", "--disk-every", "each"];
    let fault = ["--full-every", "2", "--keep", "4", "--inject", "kill:1@point=published#6"];
    run(&[&job[..], &fault, &["--ckpt-dir", &d, &probe], WORK].concat()).code(137);
    let refers = |version: &u64| {
        let shown = ckpt(&["show", &d, &version.to_string(), "--json"]).code(0).stdout;
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        !shown["refers_to"].as_array().unwrap().is_empty()
    };
    let mut versions: Vec<_> = manifests(scratch).iter().map(|name| number(name)).collect();
    while !refers(versions.last().unwrap()) {
        // It is whole: without it the one before is the newest.
        let last = versions.pop().unwrap();
        let is_of_it = |name: &String| name.starts_with(&format!("v{last:08}."));
        for name in scratch.files("d").into_iter().filter(is_of_it) {
            fs::remove_file(scratch.path().join("d").join(name)).unwrap();
        }
    }
    *versions.last().unwrap()
}

/// The file of a rank's part.
fn shard(scratch: &Scratch, version: u64, rank: u32) -> PathBuf {
    let mut names = scratch.files("d").into_iter();
    let of = |name: &String| {
        name.starts_with(&format!("v{version:08}.e")) && name.contains(&format!(".r{rank}."))
    };
    scratch.path().join("d").join(names.find(of).unwrap())
}

/// Writes over the last 32 bytes of a file, from `at` on, and corrects their checksum.
fn forge(path: &PathBuf, at: usize, with: &[u8]) {
    let mut bytes = fs::read(path).unwrap();
    let from = bytes.len() - 32;
    let tail = &mut bytes[from..];
    tail[at..at + with.len()].copy_from_slice(with);
    let crc = crc32c(&tail[..28]);
    tail[28..].copy_from_slice(&crc.to_le_bytes());
    fs::write(path, bytes).unwrap();
}

fn resumed(scratch: &Scratch) -> serde_json::Value {
    let (probe, d) = (program("probe"), scratch.join("d"));
    let words = ["-n", "2", "--json", "--twin", "--ckpt-every", "5steps", "--disk-every", "each"];
    let more = ["--full-every", "5", "--ckpt-dir", &d, "--resume", &probe];
    let ended = run(&[&words[..], &more, WORK].concat()).code(0);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    ended.summary()
}

#[test]
fn a_shard_of_the_highest_generation_is_gone_on_from_and_written_beside() {
    let scratch = Scratch::new();
    let newest = left(&scratch);
    (0..2).for_each(|rank| forge(&shard(&scratch, newest, rank), 24, &u32::MAX.to_le_bytes()));
    let summary = resumed(&scratch);
    assert_eq!(
        (&summary["bit_identical"], &summary["resumed_from"]),
        (&true.into(), &newest.into())
    );
    let states = summary["checkpoints"].as_array().unwrap().iter().map(|c| &c["state"]);
    assert!(states.clone().any(|state| state == "published"), "nothing is written any more");
    ckpt(&["verify", &scratch.join("d")]).code(0);
}

#[test]
fn a_shard_that_claims_to_be_endless_holds_nobody_up() {
    let scratch = Scratch::new();
    let newest = left(&scratch);
    forge(&shard(&scratch, newest, 1), 16, &(i64::MAX as u64).to_le_bytes());
    let told = ckpt(&["verify", &scratch.join("d"), &newest.to_string()]).code(65).stdout;
    assert!(told.contains(&format!("version {newest}: unusable")), "{told}");
    // What is needed of it is there, and has its checksums.
    let summary = resumed(&scratch);
    assert_eq!(
        (&summary["bit_identical"], &summary["resumed_from"]),
        (&true.into(), &newest.into())
    );
}
