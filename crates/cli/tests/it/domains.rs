//! Directories of nodes are lost, cut short or rot; what others hold brings the same bits back, or nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::checkpoints::{WORK, damage, notes};
use crate::harness::{Ended, Scratch, ckpt, program, run, start};

const NODES: usize = 4;
const LEVELS: [&str; 4] = ["none", "partner", "xor", "parity:2"];

fn options<'a>(level: &'a str, directory: &'a str) -> Vec<&'a str> {
    let nodes = ["-n", "4", "--virtual-nodes", "4", "--redundancy", level];
    [&nodes[..], &["--ckpt-every", "20steps", "--ckpt-dir", directory]].concat()
}

/// A job of which some versions are published, and whose launcher is killed then.
fn killed(level: &str, directory: &str) {
    let probe = program("probe");
    let mut job = start(&[&options(level, directory)[..], &[&probe], WORK].concat());
    job.until("published on disk");
    job.until("published on disk");
    job.signal("KILL");
    let _killed = job.end();
}

fn resumed(level: &str, directory: &str) -> Ended {
    let probe = program("probe");
    let words = ["--json", "--twin", "--resume", &probe];
    run(&[&options(level, directory)[..], &words, WORK].concat())
}

fn node(directory: &Path, node: usize) -> std::path::PathBuf {
    directory.join(format!("node{node:02}"))
}

/// The bytes of all files of nodes.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for of in 0..NODES {
        for entry in fs::read_dir(node(directory, of)).into_iter().flatten().flatten() {
            let name = format!("{of}/{}", entry.file_name().to_string_lossy());
            files.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    files
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// Whether a level claims to survive the loss of these nodes.
fn claimed(level: &str, lost: &[usize]) -> bool {
    match level {
        "none" => lost.is_empty(),
        "partner" => !lost.iter().any(|node| lost.contains(&((node + 1) % NODES))),
        "xor" => lost.len() <= 1,
        _ => lost.len() <= 2,
    }
}

fn hurt(directory: &Path, lost: usize, how: &str) {
    let node = node(directory, lost);
    if how == "removed" {
        return fs::remove_dir_all(node).unwrap();
    }
    for (i, entry) in (0..).zip(fs::read_dir(&node).unwrap().flatten()) {
        damage(&entry.path(), |bytes| match how {
            // Another place in each file: in headers, tables, data and what is held for others.
            "flipped" => {
                let at = (bytes.len() / 7 * (i % 7) + 8 * lost) % bytes.len();
                bytes[at] ^= 1 << (i % 8);
            }
            _ => bytes.truncate(bytes.len() / 2),
        });
    }
}

#[test]
fn every_loss_within_the_claim_comes_back_and_no_other_is_made_up() {
    let mut cells = 0;
    for level in LEVELS {
        let scratch = Scratch::new();
        let original = scratch.path().join("d");
        killed(level, &scratch.join("d"));
        // Some files may be of a version that was under way.
        ckpt(&["prune", &scratch.join("d"), "--keep", "9"]).code(0);
        let whole = files(&original);
        for set in 1_usize..1 << NODES {
            let lost: Vec<usize> = (0..NODES).filter(|node| set >> node & 1 == 1).collect();
            for how in ["removed", "flipped", "cut"] {
                cells += 1;
                let cell = format!("{level}, {lost:?} {how}");
                let name = format!("{cells}");
                let (path, d) = (scratch.path().join(&name), scratch.join(&name));
                copy(&original, &path);
                lost.iter().for_each(|node| hurt(&path, *node, how));
                let hurt = files(&path);
                let good = claimed(level, &lost);
                let code = if good { 0 } else { 65 };
                if how == "removed" {
                    let told = ckpt(&["ls", &d]).code(0).stdout;
                    assert_eq!(told.contains("after repair"), good, "{cell}: {told}");
                }
                ckpt(&["repair", &d, "--dry-run"]).code(code);
                assert_eq!(files(&path), hurt, "{cell}: a dry run changes nothing");
                ckpt(&["repair", &d]).code(code);
                let now = files(&path);
                if good {
                    assert!(now == whole, "{cell}: the same bytes");
                    ckpt(&["verify", &d]).code(0);
                } else {
                    for (name, bytes) in &now {
                        let as_before = hurt.get(name) == Some(bytes);
                        assert!(as_before || whole.get(name) == Some(bytes), "{cell}: {name}");
                    }
                }
                fs::remove_dir_all(&path).unwrap();
            }
        }
    }
    println!("{cells} cells: levels x nodes lost x damages");
    assert_eq!(cells, 4 * 15 * 3);
}

#[test]
fn a_job_whose_nodes_have_lost_their_directories_goes_on_from_its_newest_version() {
    for (level, lost, how) in [
        ("partner", &[0, 2][..], "removed"),
        ("xor", &[1], "removed"),
        ("xor", &[3], "flipped"),
        ("parity:2", &[0, 3], "removed"),
        ("parity:2", &[1, 2], "cut"),
    ] {
        let scratch = Scratch::new();
        let (path, d) = (scratch.path().join("d"), scratch.join("d"));
        killed(level, &d);
        let names = scratch.files("d").into_iter().filter(|name| name.ends_with(".manifest"));
        let newest = crate::checkpoints::number(&names.max().unwrap());
        lost.iter().for_each(|node| hurt(&path, *node, how));
        let ended = resumed(level, &d).code(0);
        let summary = ended.summary();
        assert_eq!(summary["bit_identical"], true, "{level} {lost:?} {how}");
        assert_eq!(summary["resumed_from"], newest, "{level} {lost:?} {how}");
        let source = if level == "partner" { "its partner's copy" } else { "parity" };
        for node in lost {
            let told = format!("node {node}'s part of version {newest} was rebuilt from {source}");
            assert!(notes(&ended, &told), "{told}: {}", ended.stdout);
        }
    }
}

#[test]
fn one_loss_too_many_takes_an_older_version_or_refuses_with_its_reason() {
    let scratch = Scratch::new();
    let (path, d) = (scratch.path().join("d"), scratch.join("d"));
    killed("xor", &d);
    let mut manifests: Vec<_> =
        scratch.files("d").into_iter().filter(|name| name.ends_with(".manifest")).collect();
    let newest = manifests.pop().unwrap();
    let older = crate::checkpoints::number(manifests.last().unwrap());
    let version = newest.strip_suffix(".manifest").unwrap();
    for lost in [0, 1] {
        for entry in fs::read_dir(node(&path, lost)).unwrap().flatten() {
            if entry.file_name().to_string_lossy().starts_with(version) {
                fs::remove_file(entry.path()).unwrap();
            }
        }
    }
    copy(&path, &scratch.path().join("again"));
    let ended = resumed("xor", &d).code(0);
    assert_eq!(ended.summary()["bit_identical"], true);
    assert_eq!(ended.summary()["resumed_from"], older);
    assert!(notes(&ended, "does not come back"), "{}", ended.stdout);
    let again = scratch.path().join("again");
    [0, 1].iter().for_each(|node| hurt(&again, *node, "removed"));
    resumed("xor", &scratch.join("again")).code(65);
}
