//! Versions that are smaller on disk: compressed, and referring to older ones.

use std::fs;
use std::path::Path;

use crate::checkpoints::{damage, manifests, notes, number};
use crate::harness::{Ended, Scratch, ckpt, program, root, run, start};

/// Two megabytes that never change, beside a smooth field that always does.
const WORK: &[&str] = &["still", "2000000", "--steps", "600", "--spin-us", "300"];
/// Bytes of all shards of a version that refers to no other, at least.
const WHOLE: u64 = 4_000_000;

/// A job of 2 ranks that is aborted after some published versions.
fn broken(directory: &str, options: &[&str]) {
    let probe = program("probe");
    let job = ["-n", "2", "--policy", "abort", "--ckpt-every", "5steps", "--ckpt-dir", directory];
    let fault = ["--inject", "kill:1@point=published#8", &probe];
    run(&[&job[..], options, &fault, WORK].concat()).code(137);
}

fn resumed(directory: &str, options: &[&str]) -> Ended {
    let probe = program("probe");
    let words = ["-n", "2", "--json", "--twin", "--ckpt-dir", directory, "--resume"];
    run(&[&words[..], options, &[&probe], WORK].concat())
}

/// Bytes of the shards of the newest version.
fn newest_bytes(scratch: &Scratch) -> u64 {
    let newest = number(manifests(scratch).last().unwrap());
    let of = |name: &String| name.starts_with(&format!("v{newest:08}.e"));
    let names = scratch.files("d").into_iter().filter(of);
    names.map(|name| fs::metadata(scratch.path().join("d").join(name)).unwrap().len()).sum()
}

#[test]
fn a_job_goes_on_from_smaller_versions_to_the_same_bits() {
    for options in [
        ["--compress", "zstd", "--full-every", "1"],
        ["--compress", "lz4", "--full-every", "5"],
        ["--compress", "pco", "--full-every", "3"],
        ["--compress", "auto", "--full-every", "1"],
        ["--compress", "none", "--full-every", "50"],
    ] {
        let scratch = Scratch::new();
        let d = scratch.join("d");
        broken(&d, &options);
        ckpt(&["verify", &d]).code(0);
        let refers = options[3] == "50";
        if refers {
            assert!(newest_bytes(&scratch) < WHOLE / 4, "{options:?}");
        }
        // Another way of storing may go on from any other.
        for again in [&options[..], &[]] {
            let ended = resumed(&d, again).code(0);
            assert_eq!(ended.summary()["bit_identical"], true, "{options:?}");
            assert!(ended.summary()["resumed_from"].as_u64().unwrap() >= 5);
        }
    }
}

#[test]
fn a_chain_goes_on_across_launches_and_prunes_what_nobody_refers_to() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    let options = ["--full-every", "100"];
    broken(&d, &options);
    let first = manifests(&scratch).first().map(|name| number(name)).unwrap();
    let listed = manifests(&scratch).len();
    assert!(first == 1 && listed > 2, "the first one stays for those that refer to it");
    let probe = program("probe");
    let words = ["-n", "2", "--policy", "abort", "--ckpt-every", "5steps", "--ckpt-dir", &d];
    let fault = ["--resume", "--inject", "kill:1@point=published#3", &probe];
    run(&[&words[..], &options, &fault, WORK].concat()).code(137);
    assert!(newest_bytes(&scratch) < WHOLE / 4, "it refers to versions of the first launch");
    ckpt(&["verify", &d]).code(0);
    // Whoever stores whole versions from now on needs none of them.
    let fault = ["--resume", "--inject", "kill:1@point=published#3", &probe];
    run(&[&words[..], &fault, WORK].concat()).code(137);
    assert!(manifests(&scratch).len() <= 3, "{:?}", manifests(&scratch));
    assert!(number(&manifests(&scratch)[0]) > first);
    assert_eq!(resumed(&d, &[]).code(0).summary()["bit_identical"], true);
}

/// The oldest version whose files the newest one needs, which may be itself.
fn oldest_needed(d: &str, newest: u64) -> u64 {
    let shown = ckpt(&["show", d, &newest.to_string(), "--json"]).code(0);
    let shown: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    let refers = shown["refers_to"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap());
    refers.chain([newest]).min().unwrap()
}

/// What lies there of a rank's in a version.
fn shard(scratch: &Scratch, version: u64, rank: u32) -> String {
    let of = |name: &String| {
        name.starts_with(&format!("v{version:08}.e")) && name.contains(&format!(".r{rank}."))
    };
    scratch.files("d").into_iter().find(of).unwrap()
}

/// Two chains lie there, whatever was published last.
const CHAINS: &[&str] = &["--full-every", "3", "--compress", "lz4"];

#[test]
fn a_damaged_holder_damages_all_that_refer_to_it_and_no_version_before() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    broken(&d, CHAINS);
    let newest = number(manifests(&scratch).last().unwrap());
    let holder = oldest_needed(&d, newest);
    let name = shard(&scratch, holder, 1);
    damage(&Path::new(&d).join(&name), |bytes| bytes[4096 + 70_000] ^= 8);
    let verified = ckpt(&["verify", &d]).code(65);
    assert!(verified.stdout.contains(&name), "{}", verified.stdout);
    let ended = resumed(&d, &[]).code(0);
    assert_eq!(ended.summary()["bit_identical"], true);
    assert!(ended.summary()["resumed_from"].as_u64().unwrap() < holder);
    assert!(notes(&ended, &format!("version {newest} of rank 1 on disk is unusable")));
}

#[test]
fn a_missing_holder_is_seen_before_anything_is_restored() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    broken(&d, CHAINS);
    let newest = number(manifests(&scratch).last().unwrap());
    let holder = oldest_needed(&d, newest);
    let name = shard(&scratch, holder, 0);
    fs::remove_file(Path::new(&d).join(&name)).unwrap();
    let listed = ckpt(&["ls", &d, "--json"]).code(0);
    let code = if newest == holder { "missing" } else { "holder" };
    assert!(listed.stdout.contains(&format!("\"{code}\"")), "{}", listed.stdout);
    let ended = resumed(&d, &[]).code(0);
    assert_eq!(ended.summary()["bit_identical"], true);
    assert!(ended.summary()["resumed_from"].as_u64().unwrap() < holder);
    assert!(notes(&ended, &name), "the file is named");
}

#[test]
fn rounded_fields_come_back_from_disk_within_their_bound_and_it_is_said() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    let probe = program("probe");
    let work = [&probe[..], "still", "80000", "--steps", "600", "--spin-us", "300"];
    let bound = ["--bound", "1e-3", "--numbers", "200000"];
    let job = ["-n", "2", "--policy", "abort", "--ckpt-every", "5steps", "--ckpt-dir", &d];
    let fault = ["--inject", "kill:1@point=published#3"];
    run(&[&job[..], &fault, &work, &bound].concat()).code(137);
    ckpt(&["verify", &d]).code(0);
    let rounded = newest_bytes(&scratch);
    assert!(rounded < 2 * 200_000 * 8 / 3, "{rounded} bytes");
    let words = ["-n", "2", "--ckpt-dir", &d, "--resume"];
    let ended = run(&[&words[..], &work, &bound].concat()).code(0);
    assert!(ended.stderr.contains("within the bounds"), "{}", ended.stderr);
    let off: f64 = ended.value("off by").parse().unwrap();
    assert!(off > 1e-9 && off <= 1.001e-3, "rounded once, within the bound: {off:e}");
    // Memory is exact: a rank that dies is restored without any of it.
    let job = ["-n", "2", "--ckpt-every", "5steps", "--inject", "kill:1@step=300", "--twin"];
    let ended = run(&[&job[..], &work, &bound].concat()).code(0);
    assert_eq!(ended.value("bit-identical"), "yes");
    assert!(ended.value("off by").parse::<f64>().unwrap() < 1e-9);
    // A bound that is none is refused by name.
    let bad = ["--bound", "0", "--numbers", "200000"];
    run(&[&["-n", "1"][..], &work, &bad].concat()).code(1).says("work.smooth");
}

#[test]
fn pruning_by_hand_keeps_what_is_referred_to_and_tools_read_through_references() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    broken(&d, &["--full-every", "100", "--compress", "zstd"]);
    let before = manifests(&scratch);
    ckpt(&["prune", &d, "--keep", "1"]).code(0);
    let after = manifests(&scratch);
    assert!(after.len() <= before.len() && after.len() > 1, "{before:?} {after:?}");
    let newest = number(after.last().unwrap()).to_string();
    ckpt(&["verify", &d, &newest]).code(0);
    let raw = scratch.join("words.bin");
    let field = ["extract", &d, &newest, "work.still", "-o", &raw, "--raw", "--rank", "1"];
    ckpt(&field).code(0);
    assert_eq!(fs::metadata(&raw).unwrap().len(), 2_000_000);
    ckpt(&["diff", &d, &newest, &newest]).code(0);
    assert_eq!(resumed(&d, &[]).code(0).summary()["bit_identical"], true);
}

#[test]
fn a_launcher_that_is_killed_leaves_packed_versions_for_any_number_of_ranks() {
    let scratch = Scratch::new();
    let [d, plain, out] = ["d", "plain.asc", "out.asc"].map(|name| scratch.join(name));
    let (heat, terrain) = (program("heat"), root().join("data/jacksboro.asc.gz"));
    let words = |n: &str, options: &[&str], out: &str| -> Vec<String> {
        let own = [&heat[..], terrain.to_str().unwrap(), "--steps", "3000", "--out", out];
        let all = [&["-n", n, "--ckpt-every", "20steps"][..], options, &own].concat();
        all.into_iter().map(str::to_owned).collect()
    };
    let with = |words: &[String]| run(&words.iter().map(String::as_str).collect::<Vec<_>>());
    with(&words("2", &[], &plain)).code(0);
    let options = ["--ckpt-dir", &d, "--compress", "zstd", "--full-every", "4"];
    let first = words("3", &options, &out);
    let mut job = start(&first.iter().map(String::as_str).collect::<Vec<_>>());
    job.until("version 6 published");
    job.signal("KILL");
    job.end().code(-9);
    let ended = with(&words("2", &["--ckpt-dir", &d, "--resume", "--json"], &out)).code(0);
    assert!(ended.summary()["resumed_from"].as_u64().unwrap() >= 5);
    assert_eq!(fs::read(&out).unwrap(), fs::read(&plain).unwrap());
}
