//! What is being mended when its version goes, or the thread that was to write it.

use super::super::tests::{commit, hanging, says, seconds, versions};
use super::*;

/// A copy of rank 0 that is being mended.
fn mending(version: Version, level: Level) -> Mending {
    let copy = Copy { version, level, rank: Rank(0) };
    Mending { copy, left: Vec::new(), rounds: 1, why: "it was bad".to_owned() }
}

/// What reading a copy of rank 0 came to.
fn checked(version: Version, level: Level, gone: Option<&str>) -> Checked {
    let copy = Copy { version, level, rank: Rank(0) };
    let (bytes, cpu, findings) = (0, Duration::ZERO, Vec::new());
    Checked { copy, bytes, cpu, findings, gone: gone.map(str::to_owned) }
}

#[test]
fn a_version_that_goes_while_it_is_mended_hides_no_other_that_is_bad() {
    let mut versions = versions("mended-and-gone");
    let (version, _) = commit(&mut versions, 1);
    let gone = Version(99);
    for why in [None, Some("it is not there")] {
        versions.scrubbing.mending = Some(mending(gone, Level::Disk));
        assert!(versions.checked(checked(gone, Level::Disk, why)).is_empty());
        let told = versions.checked(checked(version, Level::Memory, None));
        assert!(told.is_empty(), "nothing of it was mended: {told:?}");
        assert_eq!(versions.scrubbing.totals.mended, 0);
    }
    let told = versions.checked(checked(version, Level::Memory, Some("a bit flipped")));
    assert!(says(&told, &format!("version {version} of rank 0 in memory is unusable")), "{told:?}");
    assert_eq!(versions.scrubbing.totals.damaged, 1);
    assert_eq!(versions.ledger.newest_restorable(), None);
    versions.end(true, &mut || false);
}

#[test]
fn reading_goes_on_when_the_thread_that_was_to_mend_hangs() {
    let (mut versions, release) = hanging("mends-and-hangs");
    let (version, _) = commit(&mut versions, 1);
    let copy = Copy { version, level: Level::Memory, rank: Rank(0) };
    let now = sys::now();
    let mut engine = Scrub::new(seconds(1));
    engine.appeared(copy, 1, now);
    assert_eq!(engine.due(now + seconds(2)).map(|check| check.copy), Some(copy));
    assert_eq!(engine.due_in(now + seconds(2)), None, "until what is read is mended");
    versions.scrubbing.engine = Some(engine);
    versions.scrubbing.mending = Some(mending(version, Level::Disk));
    let told = versions.look_at_drain(now + seconds(302));
    assert!(says(&told, "of rank 0 on disk is not mended: its write has hung"), "{told:?}");
    let engine = versions.scrubbing.engine.as_ref().unwrap();
    assert!(engine.due_in(now + seconds(2)).is_some());
    drop(release);
    versions.end(true, &mut || false);
}
