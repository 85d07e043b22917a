//! Versions on disk: resumed, damaged, foreign, on directories that fail.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::harness::{Ended, Scratch, program, run, start};

pub(crate) const WORK: &[&str] = &["steps", "400", "--spin-us", "500", "--bytes", "200000"];

/// A job of 3 ranks that is aborted by a kill after some published versions.
pub(crate) fn broken(directory: &str) -> Ended {
    let probe = program("probe");
    let options = ["-n", "3", "--policy", "abort", "--ckpt-every", "20steps", "--ckpt-dir"];
    let fault = [directory, "--inject", "kill:1@point=published#4", &probe];
    run(&[&options[..], &fault, WORK].concat()).code(137)
}

pub(crate) fn resumed(directory: &str, options: &[&str]) -> Ended {
    let probe = program("probe");
    let words = ["-n", "3", "--json", "--twin", "--ckpt-dir", directory, "--resume"];
    run(&[&words[..], options, &[&probe], WORK].concat())
}

pub(crate) fn manifests(scratch: &Scratch) -> Vec<String> {
    scratch.files("d").into_iter().filter(|name| name.ends_with(".manifest")).collect()
}

/// The version in a manifest's name.
pub(crate) fn number(manifest: &str) -> u64 {
    manifest.trim_start_matches('v').trim_end_matches(".manifest").parse().unwrap()
}

/// Whether a note of `--json` says so.
pub(crate) fn notes(ended: &Ended, part: &str) -> bool {
    let says = |event: &serde_json::Value| event["text"].as_str().is_some_and(|t| t.contains(part));
    ended.events().iter().any(says)
}

pub(crate) fn damage(path: &std::path::Path, with: impl Fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    with(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_job_goes_on_from_its_newest_version() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    broken(&d);
    let ended = resumed(&d, &[]).code(0);
    let summary = ended.summary();
    assert_eq!(summary["bit_identical"], true);
    assert!(summary["resumed_from"].as_u64().unwrap() >= 4);
    assert!(ended.events().iter().any(|e| e["event"] == "restored" && e["level"] == "disk"));
    assert_eq!(fs::metadata(&d).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_rank_that_has_restored_all_holds_no_shard_open() {
    let scratch = Scratch::new();
    let (probe, d) = (program("probe"), scratch.join("d"));
    let work = [&probe, "steps", "20000", "--spin-us", "500"];
    let words = ["-n", "2", "--ckpt-every", "20steps", "--policy", "abort", "--ckpt-dir", &d];
    let fault = ["--inject", "kill:1@point=published#2"];
    run(&[&words[..], &fault, &work].concat()).code(137);
    let mut job = start(&[&words[..], &["--resume"], &work].concat());
    job.until("committed");
    let processes = job.processes();
    let ranks: Vec<_> = processes.iter().filter(|(_, line)| line.starts_with(&probe)).collect();
    assert_eq!(ranks.len(), 2, "{processes:?}");
    for (pid, _) in ranks {
        for fd in fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten() {
            let to = fs::read_link(fd.path()).unwrap_or_default();
            assert!(!to.to_string_lossy().contains(".shard"), "{pid}: {to:?}");
        }
    }
    job.signal("TERM");
    job.end().code(143);
}

#[test]
fn a_damaged_version_falls_back_to_the_one_before_and_says_so() {
    type Damage = fn(&mut Vec<u8>);
    let flip: Damage = |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
    };
    let cut: Damage = |bytes| bytes.truncate(bytes.len() / 2);
    for (suffix, damaged) in
        [(".manifest", flip), (".manifest", cut), (".shard", flip), (".shard", cut)]
    {
        let scratch = Scratch::new();
        let d = scratch.join("d");
        broken(&d);
        let newest = manifests(&scratch).pop().unwrap();
        let version = newest.strip_suffix(".manifest").unwrap().to_owned();
        let names = scratch.files("d");
        let name = names.iter().find(|n| n.starts_with(&version) && n.ends_with(suffix)).unwrap();
        damage(&scratch.path().join("d").join(name), damaged);
        let ended = resumed(&d, &[]).code(0);
        let summary = ended.summary();
        assert_eq!(summary["bit_identical"], true, "{suffix}");
        let number: u64 = version.trim_start_matches('v').parse().unwrap();
        assert!(summary["resumed_from"].as_u64().unwrap() < number, "{suffix}");
        let told = ended.events().iter().any(|event| {
            event["text"].as_str().is_some_and(|text| {
                text.contains(&format!("version {number} ")) && text.contains("unusable")
            })
        });
        assert!(told, "{suffix}: {}", ended.stdout);
    }
}

#[test]
fn a_missing_shard_falls_back_too() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    broken(&d);
    let newest = manifests(&scratch).pop().unwrap();
    let version = newest.strip_suffix(".manifest").unwrap().to_owned();
    let shard = scratch
        .files("d")
        .into_iter()
        .find(|name| name.starts_with(&version) && name.ends_with(".shard"));
    fs::remove_file(scratch.path().join("d").join(shard.unwrap())).unwrap();
    assert_eq!(resumed(&d, &[]).code(0).summary()["bit_identical"], true);
}

#[test]
fn files_of_unpublished_versions_are_counted_and_removed_at_the_start() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    broken(&d);
    let number = number(&manifests(&scratch).pop().unwrap());
    let version = format!("v{:08}", number + 3);
    let strays = ["e1.r0.i0.shard", "e1.r1.i0.shard", "manifest.aside"];
    let strays = strays.map(|rest| format!("{version}.{rest}"));
    for name in &strays {
        fs::write(scratch.path().join("d").join(name), b"cut").unwrap();
    }
    // A refusal touches nothing.
    let probe = program("probe");
    let refused = ["-n", "2", "--ckpt-dir", &d, "--resume", &probe];
    run(&[&refused[..], WORK].concat()).code(65);
    assert!(strays.iter().all(|name| scratch.files("d").contains(name)));
    let ended = resumed(&d, &[]).code(0);
    assert!(notes(&ended, "3 files of versions that were never published are removed"));
    assert!(!strays.iter().any(|name| scratch.files("d").contains(name)));
}

#[test]
fn a_launcher_killed_as_it_writes_or_prunes_leaves_what_the_next_start_removes() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    let probe = program("probe");
    let options = ["-n", "3", "--ckpt-every", "5steps", "--ckpt-dir", &d, &probe];
    // Wherever the kill strikes, nothing but whole versions and what an aside marks is left.
    for _ in 0..4 {
        let mut job = start(&[&options[..], WORK].concat());
        job.until("published");
        job.signal("KILL");
        job.end().code(-9);
        let again = run(&[&["--quiet"], &options[..], WORK].concat()).code(0);
        assert!(!again.stderr.contains("have no manifest"), "{}", again.stderr);
        let keys = ["checkpoints: ", "lost time: ", "result digest: "];
        assert!(keys.iter().all(|key| again.stdout.contains(key)), "{}", again.stdout);
        assert!(!again.stdout.contains("intervals"), "a table is no key: {}", again.stdout);
        let files = scratch.files("d");
        for shard in files.iter().filter(|name| name.ends_with("shard")) {
            let manifest = format!("{}.manifest", shard.split('.').next().unwrap());
            assert!(files.contains(&manifest), "{files:?}");
        }
    }
}

#[test]
fn shards_whose_manifest_was_moved_are_left_alone_and_can_be_used_again() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    broken(&d);
    let newest = manifests(&scratch).pop().unwrap();
    let moved = format!("{newest}.bak");
    let rename = |from: &str, to: &str| {
        fs::rename(scratch.path().join("d").join(from), scratch.path().join("d").join(to)).unwrap();
    };
    rename(&newest, &moved);
    let shards = |scratch: &Scratch| {
        let version = newest.trim_end_matches("manifest");
        scratch.files("d").iter().filter(|n| n.starts_with(version) && n.ends_with("shard")).count()
    };
    let fault = ["--policy", "abort", "--inject", "kill:1@step=399"];
    let probe = program("probe");
    let words = ["-n", "3", "--ckpt-every", "1000steps", "--ckpt-dir", &d, "--resume"];
    let older = run(&[&words[..], &fault, &[&probe], WORK].concat()).code(137);
    older.says("3 shards of version").says("have no manifest and are left alone");
    assert_eq!(shards(&scratch), 3);
    rename(&moved, &newest);
    let summary = resumed(&d, &[]).code(0).summary();
    assert_eq!(summary["resumed_from"], number(&newest));
}

#[test]
fn a_second_job_on_a_directory_is_refused_while_the_first_lives() {
    let scratch = Scratch::new();
    let (probe, d) = (program("probe"), scratch.join("d"));
    let words = ["-n", "2", "--ckpt-dir", &d, &probe, "steps", "2000", "--spin-us", "1000"];
    let mut first = start(&words);
    first.until("committed");
    run(&words).code(73).says("is in use by process").says("another --ckpt-dir");
    first.signal("TERM");
    first.end().code(143);
}

#[test]
fn a_directory_that_cannot_be_used_is_refused_before_the_start() {
    let scratch = Scratch::new();
    let probe = program("probe");
    let file = scratch.join("file");
    fs::write(&file, b"").unwrap();
    for bad in [file.as_str(), "/proc/mainstay", "/dev/null/d"] {
        let ended = run(&["-n", "2", "--ckpt-dir", bad, &probe]).code(73).says(bad);
        assert!(ended.stdout.is_empty(), "no report of what did not run: {}", ended.stdout);
        assert!(ended.stderr.contains("--ckpt-dir"), "{}", ended.stderr);
    }
}

#[test]
fn a_directory_that_vanishes_or_fills_up_costs_durability_only() {
    let scratch = Scratch::new();
    let (probe, d) = (program("probe"), scratch.join("d"));
    let options = ["-n", "2", "--ckpt-every", "20steps", "--ckpt-dir", &d, "--inject"];
    let mut job = start(&[&options[..], &["kill:1@step=350", &probe], WORK].concat());
    job.until("published");
    // Renamed, not removed: a write that is under way must not hold the removal up.
    fs::rename(&d, scratch.join("gone")).unwrap();
    let ended = job.end().code(0);
    ended.says("is not on disk").says("memory alone");
}

#[test]
fn a_full_file_system_costs_durability_only() {
    let scratch = Scratch::new();
    let (probe, d) = (program("probe"), scratch.join("d"));
    let full = scratch.path().join("d");
    fs::create_dir_all(&full).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=300k", "none", &d])
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        // Without the right to mount there is no small file system; the unit tests of
        // `directory` meet the same error.
        return;
    }
    let options = ["-n", "2", "--ckpt-every", "20steps", "--ckpt-dir", &d, "--twin", "--inject"];
    let ended = run(&[&options[..], &["kill:1@step=350", &probe], WORK].concat());
    let unmounted = std::process::Command::new("umount").arg(&d).status();
    assert!(unmounted.unwrap().success());
    assert_eq!(ended.value("bit-identical"), "yes");
    ended.code(0).says("make room there");
}

#[test]
fn a_new_job_leaves_the_versions_of_another_alone() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    broken(&d);
    let before = manifests(&scratch);
    let probe = program("probe");
    let words = ["-n", "3", "--ckpt-every", "20steps", "--ckpt-dir", &d, &probe];
    let ended = run(&[&words[..], WORK].concat()).code(0).says("they are left alone");
    assert!(!ended.stderr.contains("restored version"));
    let after = manifests(&scratch);
    assert!(before.iter().all(|name| after.contains(name)));
    assert!(after.last() > before.last(), "versions are never used twice");
}

#[test]
fn old_versions_are_pruned_and_two_are_kept() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    broken(&d);
    assert!(manifests(&scratch).len() <= 3, "{:?}", scratch.files("d"));
    assert!(manifests(&scratch).len() >= 2);
}
