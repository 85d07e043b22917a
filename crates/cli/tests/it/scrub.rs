//! Copies that rot while a job runs: found, mended from the other copy, or given up before they are needed.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::harness::{Run, Scratch, ckpt, program, run, start};

/// Long enough for what is done to it; the data are two chunks.
const STEPS: &[&str] = &["steps", "1500", "--spin-us", "500", "--bytes", "1200000"];
/// In the second chunk.
const IN_CHUNK_1: u64 = 1_100_000;

/// A job with one version, which stays.
fn job(d: &str, options: &[&str]) -> Run {
    let probe = program("probe");
    let words = ["-n", "2", "--ckpt-every", "1h", "--scrub-every", "200ms", "--ckpt-dir", d];
    let mut job = start(&[&words[..], options, &[&probe], STEPS].concat());
    job.until("arenas");
    job.signal("USR1");
    job
}

/// What the job hands in when nothing happens to it.
fn answer() -> String {
    let probe = program("probe");
    run(&[&["-n", "2", "--quiet", &probe], STEPS].concat()).code(0).value("result digest")
}

/// The arenas that hold this version, as the launcher has them.
fn arenas(job: &Run, version: u64) -> Vec<PathBuf> {
    let fds = fs::read_dir(format!("/proc/{}/fd", job.pid())).unwrap().flatten();
    let is_arena = |path: &PathBuf| {
        let to = fs::read_link(path).unwrap_or_default();
        let mut header = [0; 32];
        to.to_string_lossy().contains("mainstay-arena")
            && File::open(path).unwrap().read_exact_at(&mut header, 0).is_ok()
            && &header[..8] == b"MSIMAGE1"
            && header[24..] == version.to_le_bytes()
    };
    let mut arenas: Vec<_> = fds.map(|fd| fd.path()).filter(is_arena).collect();
    arenas.sort();
    // Whoever reads one at this moment has it open once more.
    let mut known = BTreeSet::new();
    arenas.retain(|path| fs::metadata(path).is_ok_and(|data| known.insert(data.ino())));
    arenas
}

fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
}

fn kill_rank(job: &Run, started: &str) {
    let line = started.lines().rfind(|line| line.contains("rank 1 is up")).unwrap();
    let pid: String =
        line.split("pid ").nth(1).unwrap().chars().take_while(char::is_ascii_digit).collect();
    assert!(job.processes().iter().any(|(known, _)| known.to_string() == pid));
    let killed = std::process::Command::new("kill").args(["-KILL", &pid]).status();
    assert!(killed.unwrap().success());
}

/// A job of which the ranks are known by their processes.
fn job_with_ranks(d: &str, options: &[&str]) -> (Run, String) {
    let probe = program("probe");
    let words = ["-n", "2", "--ckpt-every", "1h", "--scrub-every", "200ms", "--ckpt-dir", d];
    let mut job = start(&[&words[..], options, &[&probe], STEPS].concat());
    let said = job.until("arenas");
    job.signal("USR1");
    (job, said)
}

#[test]
fn an_arena_that_rots_is_mended_from_the_shard_and_restored_from() {
    let answer = answer();
    // The header, the data, the gap behind a field.
    for at in [20, IN_CHUNK_1, 9000] {
        let scratch = Scratch::new();
        let (mut job, said) = job_with_ranks(&scratch.join("d"), &[]);
        job.until("on disk, as asked");
        let arenas = arenas(&job, 1);
        assert_eq!(arenas.len(), 2);
        flip(&arenas[0], at);
        let told = job.until("mended from the copy on disk");
        assert!(told.contains("in memory is unusable"), "{told}");
        kill_rank(&job, &said);
        let ended = job.end().code(0);
        for rank in 0..2 {
            assert!(
                ended.stderr.contains(&format!("rank {rank} restored version 1 from memory")),
                "{at}: {}",
                ended.stderr
            );
        }
        assert_eq!(ended.value("result digest"), answer, "{at}");
    }
}

#[test]
fn a_shard_that_rots_is_mended_in_its_place_from_the_arena() {
    for harm in [Some(20), Some(9000), Some(IN_CHUNK_1), None] {
        let scratch = Scratch::new();
        let d = scratch.join("d");
        let mut job = job(&d, &[]);
        job.until("on disk, as asked");
        let shards: Vec<_> =
            scratch.files("d").into_iter().filter(|name| name.ends_with(".shard")).collect();
        let shard = Path::new(&d).join(&shards[1]);
        let truth = fs::read(&shard).unwrap();
        match harm {
            Some(at) => flip(&shard, at),
            None => OpenOptions::new().write(true).open(&shard).unwrap().set_len(400_000).unwrap(),
        }
        let told = job.until("mended from the copy in memory");
        assert!(told.contains("on disk is unusable"), "{told}");
        assert!(fs::read(&shard).unwrap() == truth, "{harm:?}");
        ckpt(&["verify", &d]).code(0);
        job.signal("TERM");
        job.end().code(143);
    }
}

#[test]
fn a_shard_that_is_gone_is_made_anew() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    let mut job = job(&d, &[]);
    job.until("on disk, as asked");
    let shard = scratch.files("d").into_iter().find(|name| name.ends_with(".shard")).unwrap();
    fs::remove_file(Path::new(&d).join(shard)).unwrap();
    job.until("mended from the copy in memory");
    ckpt(&["verify", &d]).code(0);
    job.signal("TERM");
    job.end().code(143);
}

#[test]
fn what_rots_in_both_copies_is_void_before_it_is_needed_and_the_older_one_is_used() {
    let answer = answer();
    let scratch = Scratch::new();
    let d = scratch.join("d");
    let (mut job, said) = job_with_ranks(&d, &[]);
    job.until("on disk, as asked");
    job.signal("USR1");
    job.until("version 2 is on disk, as asked");
    // The copy on disk of version 2 first, so that there is nothing to mend the arena from.
    let of_2 = |name: &String| name.starts_with("v00000002.") && name.ends_with("r0.i0.shard");
    let shard = scratch.files("d").into_iter().find(of_2).unwrap();
    let truth = Path::new(&d).join(&shard);
    let second = arenas(&job, 2);
    assert_eq!(second.len(), 2);
    // The same chunk in both, of both ranks, so that whichever is read first has no good one.
    for arena in &second {
        flip(arena, IN_CHUNK_1);
    }
    flip(&truth, IN_CHUNK_1);
    let of_2 = |name: &String| name.starts_with("v00000002.") && name.ends_with("r1.i0.shard");
    let other = scratch.files("d").into_iter().find(of_2).unwrap();
    flip(&Path::new(&d).join(other), IN_CHUNK_1);
    job.until("is not mended");
    kill_rank(&job, &said);
    let ended = job.end().code(0);
    assert!(ended.stderr.contains("going on from version 1"), "{}", ended.stderr);
    assert_eq!(ended.value("result digest"), answer);
}

#[test]
fn a_version_in_memory_alone_that_rots_is_given_up_and_told() {
    let answer = answer();
    let scratch = Scratch::new();
    let probe = program("probe");
    let d = scratch.join("d");
    let words = ["-n", "2", "--ckpt-every", "500steps", "--disk-every", "1h", "--ckpt-dir", &d];
    let scrub = ["--scrub-every", "100ms"];
    let mut job = start(&[&words[..], &scrub, &[&probe], STEPS].concat());
    let mut said = job.until("version 1 published");
    said.push_str(&job.until("version 2 committed"));
    for arena in arenas(&job, 2) {
        flip(&arena, IN_CHUNK_1);
    }
    job.until("version 2 of rank");
    kill_rank(&job, &said);
    let ended = job.end().code(0);
    assert_eq!(ended.value("result digest"), answer);
}

#[test]
fn reading_again_is_counted_and_can_be_left_off() {
    let probe = program("probe");
    let job = ["steps", "400", "--spin-us", "500", "--bytes", "1200000"];
    let words = ["-n", "2", "--json", "--ckpt-every", "100steps"];
    let scrubbed = |every: &str| {
        let ended =
            run(&[&words[..], &["--scrub-every", every, &probe], &job[..]].concat()).code(0);
        ended.summary()["stored"]["scrubbed"].clone()
    };
    let often = scrubbed("20ms");
    assert!(
        often["copies"].as_u64().unwrap() > 2 && often["bytes"].as_u64().unwrap() > 2_000_000,
        "{often}"
    );
    assert_eq!((&often["damaged"], &often["mended"]), (&0.into(), &0.into()));
    assert_eq!(scrubbed("off")["copies"], 0);
}

#[test]
fn a_directory_without_a_job_is_read_again_and_again() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    let mut job = job(&d, &[]);
    job.until("on disk, as asked");
    job.signal("TERM");
    job.end().code(143);
    ckpt(&["scrub", &d]).code(0);
    let passes = ckpt(&["scrub", &d, "--every", "10ms", "--passes", "3", "--json"]).code(0);
    let done = passes.events().into_iter().filter(|e| e["kind"] == "pass");
    assert_eq!(done.count(), 3);
    let shard = scratch.files("d").into_iter().find(|name| name.ends_with(".shard")).unwrap();
    flip(&Path::new(&d).join(shard), IN_CHUNK_1);
    let found = ckpt(&["scrub", &d]).code(65);
    assert!(found.stdout.contains("chunk 1 of field `work.words`"), "{}", found.stdout);
    // What is known is told once.
    let twice = ckpt(&["scrub", &d, "--every", "10ms", "--passes", "2", "--json"]).code(65);
    let damages = twice.events().into_iter().filter(|e| e["kind"] == "damage");
    assert_eq!(damages.count(), 1);
}
