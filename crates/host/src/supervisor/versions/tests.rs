//! Versions whose drain hangs, is missing or is pressed on, and what a failed job leaves.

use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};

use mainstay_control::{DiskMode, Policy};
use mainstay_types::Incarnation;

use super::*;
use crate::shm::allocate_arena;
use crate::supervisor::Storage;
use crate::supervisor::config::Config;
use crate::supervisor::drain::{Drain, Report};
use crate::sys;

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("mainstay-v-{}-{name}", std::process::id()));
    let _old = std::fs::remove_dir_all(&path);
    path
}

fn plan(directory: PathBuf) -> Plan {
    let config = Config {
        n: 1,
        policy: Policy::Abort,
        max_restarts: 0,
        directory: Some(directory),
        every: Every::Steps(1),
        domains: None,
        disk: DiskMode::Each,
        storing: crate::supervisor::drain::Storing::default(),
        storage: Storage::default(),
        mtbf: None,
        machine_mtbf: None,
        limit: None,
        resume: None,
        heartbeat: seconds(1),
        lost_after: seconds(1),
        hang_after: None,
        rejoin_within: seconds(1),
        injections: Vec::new(),
        audit: false,
        message_checks: true,
        seed: 0,
        checkpoints: true,
        trace_records: 0,
        command: vec!["program".into()],
    };
    let mut plan = Plan::new(&config).unwrap();
    plan.own_directory = true;
    plan
}

pub(super) fn versions(name: &str) -> Versions {
    Versions::open(&plan(scratch(name))).unwrap().0
}

/// Versions whose drain hangs until the sender is dropped.
pub(super) fn hanging(name: &str) -> (Versions, Sender<()>) {
    let (release, released) = channel();
    let mut versions = versions(name);
    versions.writer = Writer::with(Drain::hanging(released).unwrap());
    (versions, release)
}

/// Commits the version of a step, whose arena holds nothing; gives what is told.
pub(super) fn commit(versions: &mut Versions, step: u64) -> (Version, Vec<Event>) {
    let (epoch, step) = (versions.epoch, Step(step));
    let mut effects = Vec::new();
    versions.ledger.step(Input::Propose { epoch, step, durable: true }, &mut effects);
    versions.apply(effects);
    let version = versions.ledger.capturing().unwrap().version();
    let (fd, bytes) = allocate_arena(4096).unwrap();
    let arena = ArenaMemory { fd: Arc::new(fd), bytes };
    let capture = Capture {
        rank: Rank(0),
        incarnation: Incarnation(0),
        epoch,
        version,
        step,
        image_bytes: 4096,
        table_crc: 0,
        blocked: Duration::ZERO,
        sent: vec![0],
        delivered: vec![0],
        early: Vec::new(),
        any_chooses: false,
        tracked: None,
    };
    (version, versions.captured(capture, &[Some(arena.clone()), Some(arena)]))
}

pub(super) fn says(events: &[Event], part: &str) -> bool {
    events.iter().any(|event| matches!(event, Event::Note { text } if text.contains(part)))
}

#[test]
fn a_write_that_hangs_is_told_then_given_up_and_none_is_started_beside_it() {
    let (mut versions, release) = hanging("hangs");
    let (first, told) = commit(&mut versions, 1);
    assert!(matches!(&told[..], [Event::Checkpoint(c)] if c.state == VersionState::Committed));
    let start = sys::now();
    assert!(versions.look_at_drain(start + seconds(20)).is_empty());
    assert!(says(&versions.look_at_drain(start + seconds(40)), "on its way to disk for 4"));
    assert!(versions.look_at_drain(start + seconds(50)).is_empty(), "once is enough");
    assert!(versions.ledger.is_draining());
    let told = versions.look_at_drain(start + seconds(301));
    assert!(says(&told, "has hung for 30") && says(&told, "memory alone"), "{told:?}");
    assert!(!versions.ledger.is_draining());
    assert_eq!(versions.newest().map(|newest| newest.0), Some(first), "it is still in memory");
    let (second, told) = commit(&mut versions, 2);
    assert!(says(&told, &format!("the write of version {first} still hangs")), "{told:?}");
    assert_eq!(versions.newest().map(|newest| newest.0), Some(second));
    // Once the file system lets go, another thread takes over.
    drop(release);
    let (mut step, mut notes) = (2, 0);
    while !versions.ledger.is_draining() {
        std::thread::yield_now();
        step += 1;
        notes += u64::from(says(&commit(&mut versions, step).1, "still hangs"));
    }
    assert!(notes <= step.ilog2().into(), "{notes} notes of {step} versions");
    versions.end(true, &mut || false);
}

#[test]
fn a_write_is_not_late_for_the_time_that_the_job_stood_still() {
    let (mut versions, release) = hanging("suspended");
    let (version, _) = commit(&mut versions, 1);
    let start = sys::now();
    let committed = |versions: &Versions| versions.memory[&version].committed_at.unwrap();
    let before = committed(&versions);
    versions.suspended(start, start + seconds(400));
    assert_eq!(committed(&versions), before + seconds(400));
    assert!(versions.look_at_drain(start + seconds(420)).is_empty(), "20 s of its own time");
    assert!(says(&versions.look_at_drain(start + seconds(440)), "on its way to disk for 4"));
    drop(release);
    versions.end(true, &mut || false);
}

#[test]
fn whoever_presses_on_does_not_wait_for_the_last_version() {
    let (mut versions, release) = hanging("haste");
    commit(&mut versions, 1);
    let mut looks = 0;
    let ended = versions.end(false, &mut || {
        looks += 1;
        looks > 1
    });
    assert!(says(&ended.events, "is not waited for any longer"), "{:?}", ended.events);
    assert!(says(&ended.events, "hangs and is left behind"), "{:?}", ended.events);
    assert_eq!((looks, ended.resumable), (3, None));
    drop(release);
}

#[test]
fn a_job_that_succeeded_does_not_wait_for_a_write_that_hangs() {
    let (mut versions, release) = hanging("success");
    commit(&mut versions, 1);
    let ended = versions.end(true, &mut || true);
    assert!(says(&ended.events, "hangs and is left behind"), "{:?}", ended.events);
    drop(release);
}

#[test]
fn without_a_thread_versions_stay_in_memory_which_is_said_less_and_less_often() {
    let mut versions = versions("threadless");
    let mut said = Vec::new();
    for step in 1..9 {
        let (version, told) = commit(&mut versions, step);
        if says(&told, &format!("version {version} is not on disk")) {
            said.push(step);
        }
        assert!(!versions.ledger.is_draining() && versions.ledger.may_propose());
    }
    assert_eq!(said, [1, 2, 4, 8]);
    versions.end(true, &mut || false);
}

#[test]
fn a_version_whose_only_copy_is_bad_is_told_as_void() {
    let mut versions = versions("void");
    let (version, _) = commit(&mut versions, 1);
    let told = versions.copy_bad(Rank(0), version, Level::Memory, "a bit flipped");
    let [Event::Checkpoint(checkpoint)] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!((checkpoint.version, checkpoint.state), (version, VersionState::Void));
    versions.end(true, &mut || false);
}

#[test]
fn a_refused_program_is_refused_each_time() {
    let mut versions = versions("program");
    versions.resumed = Some(versions.identity.clone());
    for _ in 0..2 {
        assert!(versions.choose().unwrap_err().contains("cannot be compared"));
    }
    versions.program = Some(Arc::new(File::open("/proc/self/exe").unwrap()));
    assert!(versions.choose().unwrap_err().contains("another program"));
    let digest = super::super::drain::digest_of(versions.program.as_ref().unwrap()).unwrap();
    versions.resumed.as_mut().unwrap().program.sha256 = digest;
    assert_eq!(versions.choose(), Ok(None));
    assert_eq!(versions.resumed, None);
    versions.end(true, &mut || false);
}

#[test]
fn a_failed_job_removes_its_directory_only_if_it_never_held_a_manifest() {
    for (name, held) in [("held", true), ("empty", false)] {
        let path = scratch(name);
        let mut first = Versions::open(&plan(path.clone())).unwrap().0;
        if held {
            std::fs::write(path.join("v00000001.manifest"), b"nonsense").unwrap();
            drop(first);
            first = Versions::open(&plan(path.clone())).unwrap().0;
        }
        let ended = first.end(false, &mut || false);
        assert_eq!((ended.kept.is_some(), path.exists()), (held, held));
        assert_eq!(ended.resumable, None);
        let _removed = std::fs::remove_dir_all(&path);
    }
}

#[test]
fn what_no_manifest_names_is_removed_at_the_start_and_counted() {
    let path = scratch("strays");
    drop(Directory::open(&path).unwrap());
    let kept = ["LOCK", "v00000001.e1.r0.i0.shard", "v00000001.manifest"];
    let strays = ["v00000002.e1.r0.i0.shard", "v00000002.manifest.aside"];
    for name in &[&kept[1..], &strays].concat() {
        std::fs::write(path.join(name), b"nonsense").unwrap();
    }
    let mut versions = Versions::open(&plan(path)).unwrap().0;
    let notes = versions.take_notes().join("\n");
    assert!(notes.contains("2 files of versions that were never published are removed"), "{notes}");
    assert_eq!(versions.directory.as_ref().unwrap().names().unwrap(), kept);
    assert_eq!(versions.ledger.next_version(), Version(3), "numbers are not used again");
    versions.end(true, &mut || false);
}

#[test]
fn nothing_is_published_on_an_input_of_other_bytes_though_length_and_crc_agree() {
    let mut versions = versions("input");
    versions.start_drain();
    let blob = Arc::new(Blob::create("t", &[b"the input"]).unwrap());
    assert_eq!(versions.input_loaded("m", &blob, blob.crc()), None);
    // As if a resumed job had written down another digest for the same length and CRC.
    versions.identity.inputs[0].sha256 = [7; 32];
    let (version, _) = commit(&mut versions, 1);
    let mut told = Vec::new();
    while versions.ledger.is_draining() {
        let report = versions.writer.drain().unwrap().wait(seconds(60)).unwrap();
        if let Report::Input(name, digest) = &report {
            let why = versions.input_digest(name, *digest).unwrap();
            assert!(why.contains("input `m` has other bytes"), "{why}");
            continue;
        }
        told.extend(versions.report(report));
    }
    assert!(says(&told, &format!("version {version} is not on disk")), "{told:?}");
    assert!(says(&told, "other bytes than the job began with"), "{told:?}");
    assert_eq!(versions.ledger.newest_published(), None);
    // Length or CRC are compared at once.
    let other = Arc::new(Blob::create("t", &[b"another one"]).unwrap());
    assert!(versions.input_loaded("m", &other, other.crc()).is_some());
    versions.end(false, &mut || true);
}
