//! Versions on disk: resumed, damaged, foreign, on directories that fail.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::harness::{Ended, Scratch, matrix, none_left, program, run, start};

const WORK: &[&str] = &["steps", "400", "--spin-us", "500", "--bytes", "200000"];

/// A job of 3 ranks that is aborted by a kill after some published versions.
fn broken(directory: &str) -> Ended {
    let probe = program("probe");
    let options = ["-n", "3", "--policy", "abort", "--ckpt-every", "20steps", "--ckpt-dir"];
    let fault = [directory, "--inject", "kill:1@point=published#4", &probe];
    run(&[&options[..], &fault, WORK].concat()).code(137)
}

fn resumed(directory: &str, options: &[&str]) -> Ended {
    let probe = program("probe");
    let words = ["-n", "3", "--json", "--twin", "--ckpt-dir", directory, "--resume"];
    run(&[&words[..], options, &[&probe], WORK].concat())
}

fn manifests(scratch: &Scratch) -> Vec<String> {
    scratch.files("d").into_iter().filter(|name| name.ends_with(".manifest")).collect()
}

fn damage(path: &std::path::Path, with: impl Fn(&mut Vec<u8>)) {
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
fn when_every_version_is_damaged_nothing_is_made_up() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    broken(&d);
    for name in scratch.files("d").iter().filter(|name| name.ends_with(".shard")) {
        damage(&scratch.path().join("d").join(name), |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        });
    }
    let probe = program("probe");
    let words = ["-n", "3", "--ckpt-dir", &d, "--resume", &probe];
    run(&[&words[..], WORK].concat()).code(65).says("every one is damaged");
    for name in scratch.files("d").iter().filter(|name| name.ends_with(".manifest")) {
        fs::write(scratch.path().join("d").join(name), b"nonsense").unwrap();
    }
    run(&[&words[..], WORK].concat()).code(65).says("nothing to resume");
}

#[test]
fn a_job_whose_versions_are_all_damaged_keeps_its_own_directory() {
    let scratch = Scratch::new();
    let probe = program("probe");
    let start = |options: &[&str]| {
        let mut run = std::process::Command::new(env!("CARGO_BIN_EXE_mainstay"));
        run.args(["run", "-n", "3", "--ckpt-every", "20steps"]).args(options).arg(&probe);
        run.args(WORK).env("XDG_STATE_HOME", scratch.path()).output().unwrap()
    };
    let first = start(&["--policy", "abort", "--inject", "kill:1@point=published#2"]);
    assert_eq!(first.status.code(), Some(137));
    let jobs = scratch.path().join("mainstay/jobs");
    let directory = fs::read_dir(&jobs).unwrap().next().unwrap().unwrap().path();
    let list = || {
        let entries = fs::read_dir(&directory).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    };
    let before = list();
    for shard in before.iter().filter(|path| path.extension().is_some_and(|e| e == "shard")) {
        damage(shard, |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        });
    }
    for _ in 0..2 {
        let again = start(&["--resume"]);
        assert_eq!(again.status.code(), Some(65));
        let stderr = String::from_utf8_lossy(&again.stderr);
        assert!(stderr.contains("every one is damaged"), "{stderr}");
        assert_eq!(list(), before, "what may still be repaired is left alone");
    }
}

#[test]
fn files_of_unpublished_versions_are_counted_and_removed_at_the_start() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    broken(&d);
    let newest = manifests(&scratch).pop().unwrap();
    let number: u64 = newest.trim_start_matches('v').trim_end_matches(".manifest").parse().unwrap();
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
    let told = ended.events().iter().any(|event| {
        let text = event["text"].as_str().unwrap_or_default();
        text.contains("files of versions that were never published are removed")
    });
    assert!(told, "{}", ended.stdout);
    assert!(!strays.iter().any(|name| scratch.files("d").contains(name)));
}

#[test]
fn another_program_arguments_ranks_or_input_are_refused_by_name() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    broken(&d);
    let probe = program("probe");
    let with = |n: &str, words: &[&str]| {
        run(&[&["-n", n, "--ckpt-dir", &d, "--resume"][..], words].concat()).code(65)
    };
    with("3", &[&probe, "steps", "500", "--spin-us", "500", "--bytes", "200000"])
        .says("`400` then, `500` now");
    with("2", &[&[probe.as_str()], WORK].concat()).says("give -n 3");
    let other = scratch.join("other");
    fs::copy(&probe, &other).unwrap();
    damage(std::path::Path::new(&other), |bytes| bytes.push(0));
    with("3", &[&[other.as_str()], WORK].concat()).says("another program");
    let missing = scratch.join("missing");
    run(&["-n", "3", "--ckpt-dir", &missing, "--resume", &probe]).code(65).says("no directory");
}

#[test]
fn another_matrix_under_the_same_name_is_refused() {
    let scratch = Scratch::new();
    let (cg, d, m) = (program("cg"), scratch.join("d"), scratch.join("m.mtx.gz"));
    fs::copy(matrix(), &m).unwrap();
    let options = ["-n", "2", "--ckpt-every", "20steps", "--ckpt-dir", &d];
    let fault = ["--policy", "abort", "--inject", "kill:1@point=published#2"];
    run(&[&options[..], &fault, &[&cg, &m, "--repeat", "3"]].concat()).code(137);
    let small = "%%MatrixMarket matrix coordinate real symmetric\n2 2 2\n1 1 1.0\n2 2 1.0\n";
    fs::write(&m, small).unwrap();
    run(&[&options[..], &["--resume", &cg, &m, "--repeat", "3"]].concat())
        .code(65)
        .says("input `matrix` has other bytes");
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
fn a_killed_launcher_leaves_no_process_and_its_versions() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    let probe = program("probe");
    let options = ["-n", "3", "--ckpt-every", "20steps", "--ckpt-dir", &d, &probe];
    let mut first = start(&[&options[..], WORK].concat());
    first.until("published");
    let mark = first.mark();
    first.signal("KILL");
    first.end().code(-9);
    none_left(&mark);
    assert_eq!(resumed(&d, &["--ckpt-every", "20steps"]).code(0).summary()["bit_identical"], true);
}

#[test]
fn a_directory_that_cannot_be_used_is_refused_before_the_start() {
    let scratch = Scratch::new();
    let probe = program("probe");
    let file = scratch.join("file");
    fs::write(&file, b"").unwrap();
    for bad in [file.as_str(), "/proc/mainstay", "/dev/null/d"] {
        let ended = run(&["-n", "2", "--ckpt-dir", bad, &probe]).code(73).says(bad);
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
