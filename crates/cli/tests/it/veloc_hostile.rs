//! `mainstay ckpt import veloc` of directories that are made to stop it.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Scratch, ckpt};

/// A file with one region of so many bytes, which are all zero and take no room.
fn sparse(dir: &Path, rank: u32, version: u32, bytes: u64) {
    fs::create_dir_all(dir).unwrap();
    let mut file = File::create(dir.join(format!("h-{rank}-{version}.dat"))).unwrap();
    let header = [&1_u64.to_le_bytes()[..], &7_i32.to_le_bytes(), &bytes.to_le_bytes()].concat();
    file.write_all(&header).unwrap();
    file.set_len(header.len() as u64 + bytes).unwrap();
}

#[test]
fn a_pipe_is_not_waited_for() {
    let scratch = Scratch::new();
    let (from, d) = (scratch.join("veloc"), scratch.join("d"));
    let dir = Path::new(&from);
    (1..=2).for_each(|version| sparse(dir, 0, version, 64));
    fs::remove_file(dir.join("h-0-2.dat")).unwrap();
    for name in ["h-0-1.dat.chksum", "h-0-2.dat"] {
        assert!(Command::new("mkfifo").arg(dir.join(name)).status().unwrap().success());
    }
    let ended = ckpt(&["import", "veloc", &from, "--out", &d]).code(65);
    let expected = "version 1: not imported: h-0-1.dat: its .chksum file: it is not a regular file";
    assert!(ended.stdout.contains(expected), "{}", ended.stdout);
    let expected = "version 2: not imported: h-0-2.dat: it is not a regular file";
    assert!(ended.stdout.contains(expected), "{}", ended.stdout);
}

#[test]
fn more_ranks_than_descriptors_are_imported() {
    let scratch = Scratch::new();
    let (from, d) = (scratch.join("veloc"), scratch.join("d"));
    (0..100).for_each(|rank| sparse(Path::new(&from), rank, 1, u64::from(rank)));
    let words = ["-c", "ulimit -n 64; exec \"$0\" ckpt import veloc \"$1\" --out \"$2\""];
    let mut command = Command::new("sh");
    command.args(words).arg(env!("CARGO_BIN_EXE_mainstay")).args([&from, &d]);
    let ended = command.output().unwrap();
    let told = String::from_utf8(ended.stdout).unwrap();
    assert!(told.ends_with("h, 100 ranks: 1 of 1 versions imported\n"), "{told}");
    ckpt(&["verify", &d]).code(0);
}

#[test]
fn what_is_wrong_with_a_source_is_not_blamed_on_our_directory() {
    let scratch = Scratch::new();
    let (from, d) = (scratch.join("veloc"), scratch.join("d"));
    let dir = Path::new(&from);
    sparse(dir, 0, 1, 64);
    fs::write(dir.join("h-0-1.dat.chksum"), [0; 32]).unwrap();
    let ended = ckpt(&["import", "veloc", &from, "--out", &d]).code(65);
    assert!(ended.stdout.contains("SHA-256 of its .chksum file\n"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("--ckpt-dir"), "{}", ended.stdout);
    // Two names of one region: neither is meant more than the other.
    let twice = ["--field", "7=a:u8", "--field", "7=b:u8"];
    let words = [&["import", "veloc", &from, "--out", &d][..], &twice].concat();
    let told = ckpt(&words).code(65).stdout;
    assert!(told.contains("not imported: region 7 is given two names\n"), "{told}");
    // Checksums that are asked for have to be somewhere.
    let nowhere = scratch.join("nowhere");
    let ended = ckpt(&["import", "veloc", &from, "--out", &d, "--meta", &nowhere]).code(73);
    assert!(ended.stderr.contains(&nowhere), "{}", ended.stderr);
    assert!(scratch.files("d").is_empty(), "nothing of it stays");
}

#[test]
fn an_import_that_is_interrupted_says_what_is_there() {
    let scratch = Scratch::new();
    let (from, d) = (scratch.join("veloc"), scratch.join("d"));
    sparse(Path::new(&from), 0, 1, 64);
    sparse(Path::new(&from), 0, 2, 2 << 30);
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
    command.args(["ckpt", "import", "veloc", &from, "--out", &d]);
    let child = command.stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::piped());
    let child = child.spawn().unwrap();
    let (second, until) = ("v00000002.e1.r0.i0.shard", Instant::now() + Duration::from_secs(60));
    while !Path::new(&d).join(second).exists() {
        assert!(Instant::now() < until, "the second version is never begun");
        std::thread::yield_now();
    }
    let kill = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status();
    assert!(kill.unwrap().success());
    let ended = child.wait_with_output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(143), "{told}");
    assert!(told.contains("holds the 1 versions that were whole by then"), "{told}");
    assert_eq!(scratch.files("d"), ["v00000001.e1.r0.i0.shard", "v00000001.manifest"]);
    ckpt(&["verify", &d]).code(0);
    assert!(
        ckpt(&["import", "veloc", &from, "--out", &d]).code(73).stderr.contains("new directory")
    );
}
