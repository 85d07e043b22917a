//! `mainstay ckpt ls`, `show` and `prune`: on directories that jobs have left, whole and destroyed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;

use crate::checkpoints::{WORK, broken, damage, manifests, number, resumed};
use crate::harness::{Ended, Scratch, ckpt, program, run, start};

/// A copy of a directory's files.
pub(crate) fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// All files of a directory.
pub(crate) fn content(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    let read = |entry: fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
    };
    files.map(read).collect()
}

/// The objects of this kind.
pub(crate) fn of_kind(ended: &Ended, kind: &str) -> Vec<Value> {
    let objects = ended.events().into_iter();
    objects.filter(|object| object["kind"] == kind && object["v"] == 1).collect()
}

/// The only object of this kind.
pub(crate) fn one(ended: &Ended, kind: &str) -> Value {
    let mut found = of_kind(ended, kind);
    assert_eq!(found.len(), 1, "{kind} in {}", ended.stdout);
    found.remove(0)
}

/// What `ls` says of a version.
fn listed(d: &str, version: u64) -> Value {
    let versions = of_kind(&ckpt(&["ls", d, "--json"]).code(0), "version");
    let found = versions.into_iter().find(|object| object["version"] == version);
    found.unwrap_or_else(|| panic!("no version {version}"))
}

#[test]
fn versions_are_listed_and_shown_and_nothing_is_touched() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    broken(&d);
    let before = content(Path::new(&d));
    let newest = number(&manifests(&scratch).pop().unwrap());
    let list = ckpt(&["ls", &d, "--json"]).code(0);
    let (versions, directory) = (of_kind(&list, "version"), one(&list, "directory"));
    assert_eq!(versions.len(), manifests(&scratch).len());
    assert_eq!(
        (&directory["resumed"], &directory["directory"]),
        (&newest.into(), &d.clone().into())
    );
    let last = versions.last().unwrap();
    assert_eq!((&last["recoverable"], &last["resumed"]), (&true.into(), &true.into()));
    assert_eq!((&last["ranks"], &last["standing"]), (&3.into(), &"published".into()));
    let mark = format!("v{newest:08}.");
    let bytes: usize =
        before.iter().filter(|(name, _)| name.starts_with(&mark)).map(|(_, b)| b.len()).sum();
    assert_eq!(last["bytes"], bytes);
    let people = ckpt(&["ls", &d]).code(0);
    let line = people.stdout.lines().find(|line| line.contains('*')).unwrap();
    assert!(line.split_whitespace().nth(1) == Some(&newest.to_string()), "{}", people.stdout);
    assert!(people.stdout.contains(&format!("* version {newest} is what --resume takes")));

    let shown = one(&ckpt(&["show", &d, "--json"]).code(0), "version");
    assert_eq!((&shown["version"], &shown["seed"]), (&newest.into(), &0.into()));
    let arguments: Vec<_> = WORK.iter().map(|word| Value::from(*word)).collect();
    assert_eq!(shown["arguments"], Value::from(arguments));
    let probe = fs::read(program("probe")).unwrap();
    let sha256: String = <sha2::Sha256 as sha2::Digest>::digest(probe)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(shown["program"]["sha256"], sha256);
    let parts = shown["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 3);
    for part in parts {
        let file = &before[part["file"].as_str().unwrap()];
        assert_eq!((&part["bytes"], &part["fault"]), (&file.len().into(), &Value::Null));
        let words = &part["fields"][2];
        assert_eq!((&words["name"], &words["kind"]), (&"words".into(), &"u64".into()));
        assert_eq!((&words["bytes"], &words["chunks"]), (&200_000.into(), &1.into()));
    }
    let people = ckpt(&["show", &d, &newest.to_string()]).code(0);
    for part in
        ["it is what --resume takes", "--bytes 200000", &sha256, "work.words", "looks whole"]
    {
        assert!(people.stdout.contains(part), "no {part} in {}", people.stdout);
    }
    ckpt(&["verify", &d]).code(0);
    ckpt(&["prune", &d, "--keep", "1", "--dry-run"]).code(0);
    assert_eq!(content(Path::new(&d)), before, "a look changes nothing");
}

#[test]
fn what_is_marked_is_what_a_resume_takes() {
    type Harm = fn(&Path, &str);
    let shard = |d: &Path, version: &str| {
        let mut names: Vec<_> = content(d).into_keys().collect();
        names.retain(|name| name.starts_with(version) && name.ends_with(".shard"));
        d.join(&names[1])
    };
    let scratch = Scratch::new();
    let whole = scratch.path().join("d");
    broken(&scratch.join("d"));
    let newest = manifests(&scratch).pop().unwrap();
    let version = newest.trim_end_matches("manifest");
    let harms: [(&str, Harm); 6] = [
        ("nothing", |_, _| {}),
        ("manifest flipped", |d, version| {
            damage(&d.join(format!("{version}manifest")), |bytes| bytes[30] ^= 1);
        }),
        ("manifest moved", |d, version| {
            fs::rename(d.join(format!("{version}manifest")), d.join("moved")).unwrap();
        }),
        ("shard gone", |shard, _| fs::remove_file(shard).unwrap()),
        ("shard cut", |shard, _| damage(shard, |bytes| bytes.truncate(bytes.len() / 2))),
        ("header flipped", |shard, _| damage(shard, |bytes| bytes[24] ^= 1)),
    ];
    for (name, harm) in harms {
        let other = Scratch::new();
        let (d, path) = (other.join("d"), other.path().join("d"));
        copied(&whole, &path);
        let target = match name.contains("shard") || name.contains("header") {
            true => shard(&path, version),
            false => path.clone(),
        };
        harm(&target, version);
        let marked = one(&ckpt(&["ls", &d, "--json"]).code(0), "directory")["resumed"].clone();
        assert_eq!(marked == number(&newest), name == "nothing", "{name}");
        let summary = resumed(&d, &[]).code(0).summary();
        assert_eq!(summary["resumed_from"], marked, "{name}");
    }
}

#[test]
fn directories_that_hold_nothing_or_nonsense_get_clear_words() {
    let scratch = Scratch::new();
    let (d, file) = (scratch.join("d"), scratch.join("file"));
    fs::write(&file, b"").unwrap();
    for bad in [d.as_str(), &file, "/dev/null/x"] {
        for words in [&["ls", bad][..], &["show", bad], &["verify", bad], &["prune", bad]] {
            let ended = ckpt(words).code(73).says(bad);
            assert!(ended.stdout.is_empty() && !scratch.path().join("d").exists(), "{words:?}");
        }
        let error = one(&ckpt(&["ls", bad, "--json"]).code(73), "error");
        assert!(error["exit"] == 73 && error["text"].as_str().unwrap().contains(bad));
    }
    fs::create_dir(&d).unwrap();
    assert!(ckpt(&["ls", &d]).code(0).stdout.contains("holds no version"));
    ckpt(&["show", &d]).code(65).says("holds no version");
    assert!(ckpt(&["verify", &d]).code(65).stdout.contains("holds no version"));
    ckpt(&["diff", &d, "1", "2"]).code(65).says("holds no version");
    assert!(ckpt(&["prune", &d, "--dry-run"]).code(0).stdout.contains("none is removed"));
    assert_eq!(fs::read_dir(&d).unwrap().count(), 0);
    ckpt(&["show", &d, "newest"]).code(2).says("is not a version");
    ckpt(&["prune", &d, "--keep", "0"]).code(2).says("always stays");
}

#[test]
fn names_that_lie_foreign_files_and_what_is_no_file_are_told() {
    let scratch = Scratch::new();
    let (d, path) = (scratch.join("d"), scratch.path().join("d"));
    broken(&d);
    let newest = manifests(&scratch).pop().unwrap();
    let top = number(&newest);
    let at = |version: u64, rest: &str| path.join(format!("v{version:08}.{rest}"));
    fs::copy(path.join(&newest), at(top + 1, "manifest")).unwrap();
    fs::create_dir(at(top + 2, "manifest")).unwrap();
    symlink("nowhere", at(top + 3, "manifest")).unwrap();
    symlink(at(top + 4, "manifest"), at(top + 4, "manifest")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(at(top + 5, "manifest")).status();
    assert!(made.unwrap().success());
    fs::create_dir(at(top + 6, "e1.r0.i0.shard")).unwrap();
    fs::write(at(top + 7, "manifest.aside"), b"").unwrap();
    fs::write(at(top + 8, "manifest"), b"").unwrap();
    let mut newer = fs::read(path.join(&newest)).unwrap();
    newer[8] = 3;
    let end = newer.len() - 4;
    let crc = mainstay_types::crc32c(&newer[..end]);
    newer[end..].copy_from_slice(&crc.to_le_bytes());
    fs::write(at(top + 9, "manifest"), newer).unwrap();
    fs::write(path.join("notes\u{1b}[2J.txt"), b"").unwrap();
    for (more, code, text) in [
        (1, "other_version", format!("it says version {top}")),
        (2, "not_a_file", "not a regular file".to_owned()),
        (3, "missing", "missing".to_owned()),
        (4, "unreadable", "cannot be read".to_owned()),
        (5, "not_a_file", "not a regular file".to_owned()),
        (6, "no_manifest", "put it back".to_owned()),
        (7, "unpublished", "never published".to_owned()),
        (8, "damaged", "cut short".to_owned()),
        (9, "format", "format 3, and this build reads format 1".to_owned()),
    ] {
        let version = listed(&d, top + more);
        let reason = &version["reasons"][0];
        assert_eq!((&reason["code"], &version["recoverable"]), (&code.into(), &false.into()));
        assert!(reason["text"].as_str().unwrap().contains(&text), "{reason}");
        let number = (top + more).to_string();
        ckpt(&["verify", &d, &number]).code(65);
        ckpt(&["show", &d, &number]).code(65);
        ckpt(&["extract", &d, &number, "step", "-o", &scratch.join("x")]).code(65);
    }
    let people = ckpt(&["ls", &d]).code(0).stdout;
    assert!(!people.contains('\u{1b}') && people.contains("no files of a version: notes"));
    assert!(people.contains(&format!("* version {top} is")), "{people}");
    assert!(ckpt(&["verify", &d]).code(65).stdout.contains("8 unusable"));
    // A link to a whole file is as good as that.
    let shard = shards(&scratch, &newest).remove(0);
    fs::rename(path.join(&shard), scratch.join("elsewhere")).unwrap();
    symlink(scratch.join("elsewhere"), path.join(&shard)).unwrap();
    assert_eq!(listed(&d, top)["recoverable"], true);
    ckpt(&["verify", &d, &top.to_string()]).code(0);
}

fn shards(scratch: &Scratch, manifest: &str) -> Vec<String> {
    let version = manifest.trim_end_matches("manifest");
    let mut files = scratch.files("d");
    files.retain(|name| name.starts_with(version) && name.ends_with("shard"));
    files
}

/// More versions of one job than it keeps itself.
fn many_versions(scratch: &Scratch) -> Vec<String> {
    let (d, kept) = (scratch.join("d"), scratch.path().join("kept"));
    broken(&d);
    copied(&scratch.path().join("d"), &kept);
    let probe = program("probe");
    let options = ["-n", "3", "--policy", "abort", "--ckpt-every", "20steps", "--ckpt-dir", &d];
    let fault = ["--resume", "--inject", "kill:1@point=published#3", &probe];
    run(&[&options[..], &fault, WORK].concat()).code(137);
    copied(&kept, &scratch.path().join("d"));
    let versions = manifests(scratch);
    assert!(versions.len() >= 4, "{versions:?}");
    versions
}

#[test]
fn pruning_keeps_what_was_read_whole_and_removes_what_is_older() {
    let scratch = Scratch::new();
    let (d, path) = (scratch.join("d"), scratch.path().join("d"));
    let before = many_versions(&scratch);
    let (newest, older) = (before[before.len() - 1].clone(), before[before.len() - 2].clone());
    // The newest looks whole and is not.
    damage(&path.join(&shards(&scratch, &newest)[0]), |bytes| bytes[4096] ^= 1);
    let stray = number(&newest) + 5;
    for rest in ["manifest.aside", "e1.r0.i0.shard"] {
        fs::write(path.join(format!("v{stray:08}.{rest}")), b"cut").unwrap();
    }
    let orphan = format!("v{:08}.e1.r0.i0.shard", stray + 1);
    fs::write(path.join(&orphan), b"lost").unwrap();
    let all = content(&path);
    let dry = ckpt(&["prune", &d, "--keep", "1", "--dry-run", "--json"]).code(0);
    assert_eq!(content(&path), all);
    let wet = ckpt(&["prune", &d, "--keep", "1", "--json"]).code(0);
    assert_eq!(of_kind(&dry, "removal"), of_kind(&wet, "removal"));
    assert_eq!(of_kind(&wet, "removal").len(), before.len() - 2 + 1, "and what was unpublished");
    let (dry, wet) = (one(&dry, "summary"), one(&wet, "summary"));
    assert_eq!((&dry["kept"], &dry["freed"]), (&wet["kept"], &wet["freed"]));
    let after = content(&path);
    let freed: usize =
        all.iter().filter(|(name, _)| !after.contains_key(*name)).map(|(_, b)| b.len()).sum();
    assert_eq!(wet["freed"], freed);
    assert_eq!(wet["left"], Value::from(vec![stray + 1]));
    assert!(after.contains_key(&orphan) && !scratch.files("d").iter().any(|n| n.contains("aside")));
    assert_eq!(wet["kept"], Value::from(vec![number(&older)]));
    assert_eq!(manifests(&scratch), [older.clone(), newest]);
    ckpt(&["verify", &d, &number(&older).to_string()]).code(0);
    assert_eq!(resumed(&d, &[]).code(0).summary()["resumed_from"], number(&older));
}

#[test]
fn a_version_that_cannot_be_removed_whole_is_told_and_the_others_go() {
    let scratch = Scratch::new();
    let (d, path) = (scratch.join("d"), scratch.path().join("d"));
    let before = many_versions(&scratch);
    // Nothing removes a directory that has the name of a shard.
    let stuck = shards(&scratch, &before[0]).pop().unwrap();
    fs::remove_file(path.join(&stuck)).unwrap();
    fs::create_dir(path.join(&stuck)).unwrap();
    let pruned = ckpt(&["prune", &d, "--keep", "1", "--json"]).code(73);
    let failed: Vec<_> =
        of_kind(&pruned, "removal").into_iter().filter(|r| !r["error"].is_null()).collect();
    assert_eq!((failed.len(), &failed[0]["version"]), (1, &number(&before[0]).into()));
    assert!(failed[0]["error"].as_str().unwrap().contains(&stuck), "{failed:?}");
    assert_eq!(manifests(&scratch), before[before.len() - 1..]);
    assert_eq!(listed(&d, number(&before[0]))["standing"], "aside", "what is left is known");
    fs::remove_dir(path.join(&stuck)).unwrap();
    ckpt(&["prune", &d, "--keep", "1"]).code(0);
    assert_eq!(scratch.files("d").len(), 4, "a manifest and three shards");
}

#[test]
fn pruning_is_refused_while_a_job_has_the_directory_and_looks_are_not() {
    let scratch = Scratch::new();
    let (probe, d) = (program("probe"), scratch.join("d"));
    let work = ["steps", "20000", "--spin-us", "200", "--bytes", "400000"];
    let words = ["-n", "2", "--ckpt-every", "2steps", "--ckpt-dir", &d, &probe];
    let mut job = start(&[&words[..], &work].concat());
    job.until("published");
    for options in [&["--dry-run"][..], &[]] {
        let refused = ckpt(&[&["prune", &d][..], options].concat()).code(73);
        refused.says("is in use by process").says(&job.pid().to_string());
    }
    // Versions come and go meanwhile; none is ever called damaged for that.
    let harmless = ["changing", "unpublished"];
    let mut seen = 0;
    for _ in 0..40 {
        let list = ckpt(&["ls", &d, "--json"]).code(0);
        for version in of_kind(&list, "version") {
            seen += u64::from(version["recoverable"] == true);
            for reason in version["reasons"].as_array().unwrap() {
                assert!(harmless.contains(&reason["code"].as_str().unwrap()), "{version}");
            }
        }
        let verified = ckpt(&["verify", &d, "--json"]);
        assert!(of_kind(&verified, "damage").is_empty(), "{}", verified.stdout);
    }
    assert!(seen > 0, "there was something to see");
    job.signal("TERM");
    job.end().code(143);
    assert!(ckpt(&["prune", &d, "--keep", "1"]).code(0).stdout.contains("kept: version"));
    let left = ckpt(&["ls", &d, "--json"]).code(0);
    assert_eq!(of_kind(&left, "version").len(), 1, "{}", left.stdout);
    let again = [&words[..6], &["--resume", &probe], &work].concat();
    let mut job = start(&again);
    job.until("restored version");
    job.signal("TERM");
    job.end().code(143);
}
