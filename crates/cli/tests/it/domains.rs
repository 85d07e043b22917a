//! Directories of nodes are lost, cut short or rot; what others hold brings the same bits back, or nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::checkpoints::{WORK, damage, notes};
use crate::harness::{Ended, Scratch, ckpt, program, run, start};

const NODES: usize = 4;
const LEVELS: [&str; 4] = ["none", "partner", "xor", "parity:2"];
/// How shards are stored: as they are, or in blocks that refer to older versions.
const STORING: [&[&str]; 2] = [&[], &["--full-every", "3", "--compress", "lz4"]];

fn options<'a>(level: &'a str, directory: &'a str) -> Vec<&'a str> {
    let nodes = ["-n", "4", "--virtual-nodes", "4", "--redundancy", level];
    [&nodes[..], &["--ckpt-every", "20steps", "--ckpt-dir", directory]].concat()
}

/// A job of which some versions are published, and whose launcher is killed then.
fn killed(level: &str, storing: &[&str], directory: &str) {
    let probe = program("probe");
    let mut job = start(&[&options(level, directory)[..], storing, &[&probe], WORK].concat());
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

/// The bytes of all manifests and all files of nodes.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for path in manifests(directory) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        files.insert(name, fs::read(path).unwrap());
    }
    for of in 0..NODES {
        for entry in fs::read_dir(node(directory, of)).into_iter().flatten().flatten() {
            let name = format!("{of}/{}", entry.file_name().to_string_lossy());
            files.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    files
}

fn manifests(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "manifest"));
    paths.sort();
    paths
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

/// Harms the nodes that are lost in one way, and the manifests in another.
fn harm(directory: &Path, lost: &[usize], how: &str, of_manifests: &str) {
    lost.iter().for_each(|node| hurt(directory, *node, how));
    for path in manifests(directory) {
        match of_manifests {
            "whole" => {}
            "removed" => fs::remove_file(path).unwrap(),
            _ => damage(&path, |bytes| bytes[40] ^= 2),
        }
    }
}

#[test]
fn every_loss_within_the_claim_comes_back_and_no_other_is_made_up() {
    let mut cells = 0;
    for (level, storing) in LEVELS.into_iter().flat_map(|l| STORING.map(|storing| (l, storing))) {
        let scratch = Scratch::in_memory();
        let original = scratch.path().join("d");
        killed(level, storing, &scratch.join("d"));
        // Some files may be of a version that was under way.
        ckpt(&["prune", &scratch.join("d"), "--keep", "9"]).code(0);
        ckpt(&["verify", &scratch.join("d")]).code(0);
        let whole = files(&original);
        for set in 0_usize..1 << NODES {
            let lost: Vec<usize> = (0..NODES).filter(|node| set >> node & 1 == 1).collect();
            let ways = ["removed", "flipped", "cut"].map(|how| (how, "whole"));
            let more = [("removed", "removed"), ("removed", "flipped")];
            for (how, of_manifests) in ways.into_iter().chain(more) {
                cells += 1;
                let cell = format!("{level} {storing:?}, {lost:?} {how}, manifests {of_manifests}");
                let name = format!("{cells}");
                let (path, d) = (scratch.path().join(&name), scratch.join(&name));
                copy(&original, &path);
                harm(&path, &lost, how, of_manifests);
                let hurt = files(&path);
                let good = claimed(level, &lost);
                // Without a manifest nobody knows that there was a version.
                let unknown = of_manifests == "removed" && lost.len() == NODES;
                let code = if good || unknown { 0 } else { 65 };
                if how == "removed" && !(lost.is_empty() && of_manifests == "whole") {
                    let told = ckpt(&["ls", &d]).code(0).stdout;
                    let hopes = told.contains("after repair");
                    assert!(hopes || !good, "{cell}: {told}");
                    assert!(!hopes || good || of_manifests != "whole", "{cell}: {told}");
                }
                let ended = ckpt(&["repair", &d, "--dry-run"]);
                assert_eq!(ended.code, code, "{cell}: {}", ended.stdout);
                assert_eq!(files(&path), hurt, "{cell}: a dry run changes nothing");
                let ended = ckpt(&["repair", &d]);
                assert_eq!(ended.code, code, "{cell}: {}", ended.stdout);
                let now = files(&path);
                if good {
                    assert!(now == whole, "{cell}: the same bytes: {}", ended.stdout);
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
    println!("{cells} cells: levels x storing x nodes lost x damages");
    assert_eq!(cells, 4 * 2 * 16 * 5);
}

#[test]
fn a_version_that_was_never_published_is_not_brought_back() {
    let scratch = Scratch::new();
    let (path, d) = (scratch.path().join("d"), scratch.join("d"));
    killed("xor", &[], &d);
    ckpt(&["prune", &d, "--keep", "9"]).code(0);
    let newest = manifests(&path).pop().unwrap();
    let mark = newest.with_extension("manifest.aside");
    fs::rename(&newest, &mark).unwrap();
    fs::write(node(&path, 1).join("v00000001.manifest.copy.mend"), b"half").unwrap();
    ckpt(&["repair", &d]).code(0);
    assert!(mark.exists() && !newest.exists());
    let ended = resumed("xor", &d).code(0);
    assert_eq!(ended.summary()["bit_identical"], true);
    assert!(!mark.exists() && !node(&path, 1).join("v00000001.manifest.copy.mend").exists());
    // Two copies that contradict each other are none.
    let scratch = Scratch::new();
    let (path, d) = (scratch.path().join("d"), scratch.join("d"));
    killed("xor", &[], &d);
    ckpt(&["prune", &d, "--keep", "1"]).code(0);
    let only = manifests(&path).pop().unwrap();
    let name = format!("{}.copy", only.file_name().unwrap().to_string_lossy());
    fs::remove_file(&only).unwrap();
    damage(&node(&path, 1).join(name), |bytes| {
        // Another launch, with a checksum that is right.
        bytes[28] ^= 1;
        let end = bytes.len() - 4;
        let crc = mainstay_types::crc32c(&bytes[..end]);
        bytes[end..].copy_from_slice(&crc.to_le_bytes());
    });
    ckpt(&["repair", &d]);
    assert!(!only.exists());
    resumed("xor", &d).code(65);
}

#[test]
fn a_node_is_lost_with_its_directory_while_the_job_runs() {
    for (level, storing) in [("partner", STORING[0]), ("xor", STORING[1])] {
        let scratch = Scratch::new();
        let (path, d) = (scratch.path().join("d"), scratch.join("d"));
        let probe = program("probe");
        let work = ["steps", "3000", "--spin-us", "500", "--bytes", "200000"];
        let mut job = start(&[&options(level, &d)[..], storing, &[&probe], &work].concat());
        let told = job.until("version 2 published on disk");
        let pids = crate::nodes::pids(&told);
        let mine = [pids["node 1"], pids["rank 1"]];
        crate::nodes::kill(&mine, "KILL");
        // A version may be written into it at this moment.
        let until = Instant::now() + Duration::from_secs(10);
        while let Err(error) = fs::remove_dir_all(node(&path, 1)) {
            assert!(Instant::now() < until, "{error}");
        }
        job.until("recovered in epoch");
        job.until("published on disk");
        job.until("published on disk");
        let ended = job.end().code(0);
        assert!(node(&path, 1).is_dir(), "it is made again: {}", ended.stderr);
        ckpt(&["repair", &d]).code(0);
        ckpt(&["verify", &d]).code(0);
    }
}

#[test]
fn a_job_whose_nodes_have_lost_their_directories_goes_on_from_its_newest_version() {
    for (level, lost, how) in [
        ("partner", &[0, 2][..], "removed"),
        ("xor", &[1], "removed"),
        ("xor", &[3], "flipped"),
        ("parity:2", &[0, 3], "removed"),
        ("parity:2", &[1, 2], "cut"),
        ("partner", &[1], "everything"),
        ("parity:2", &[0, 1], "everything"),
    ] {
        let scratch = Scratch::new();
        let (path, d) = (scratch.path().join("d"), scratch.join("d"));
        killed(level, &[], &d);
        let names = scratch.files("d").into_iter().filter(|name| name.ends_with(".manifest"));
        let newest = crate::checkpoints::number(&names.max().unwrap());
        match how {
            // The directory itself has lost all that is not in nodes, too.
            "everything" => harm(&path, lost, "removed", "removed"),
            _ => harm(&path, lost, how, "whole"),
        }
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
    killed("xor", &[], &d);
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

#[test]
fn what_was_read_as_a_holder_and_is_lost_does_not_end_the_search_for_an_older_version() {
    let scratch = Scratch::new();
    let (path, d) = (scratch.path().join("d"), scratch.join("d"));
    let probe = program("probe");
    let storing = ["--full-every", "2", "--keep", "6", "--policy", "abort"];
    let fault = ["--inject", "kill:1@point=published#6", &probe];
    // A part of its state never changes.
    let work = ["still", "200000", "--steps", "400", "--spin-us", "500"];
    run(&[&options("xor", &d)[..], &storing, &fault, &work].concat()).code(137);
    ckpt(&["prune", &d, "--keep", "9"]).code(0);
    // The last two that refer to others: the newer one and what it refers to are lost for good.
    let number = |path: &std::path::PathBuf| {
        crate::checkpoints::number(&path.file_name().unwrap().to_string_lossy())
    };
    let refers = |version: u64| -> Option<u64> {
        let shown = ckpt(&["show", &d, &version.to_string(), "--json"]).code(0).stdout;
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        shown["refers_to"][0].as_u64()
    };
    let versions: Vec<u64> = manifests(&path).iter().map(number).collect();
    let referring: Vec<(u64, u64)> =
        versions.iter().filter_map(|version| Some((*version, refers(*version)?))).collect();
    let (older, holder) = (referring[referring.len() - 2].0, referring[referring.len() - 1].1);
    assert!(older < holder, "two chains: {referring:?}");
    hurt(&path, 1, "removed");
    for entry in fs::read_dir(node(&path, 0)).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name[1..9].parse::<u64>().unwrap() >= holder {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    let words = ["--json", "--twin", "--resume", &probe];
    let ended = run(&[&options("xor", &d)[..], &words, &work].concat()).code(0);
    assert_eq!(ended.summary()["resumed_from"], older, "{}", ended.stdout);
    assert_eq!(ended.summary()["bit_identical"], true);
}
