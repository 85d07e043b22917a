//! Short words for what a ledger is told, so that a test reads like a protocol trace.

use std::time::Duration;

use mainstay_ckpt::{Effect, Identity, Input, Ledger, Manifest, Program, RankEntry, Stale};
use mainstay_types::event::Level;
use mainstay_types::wire::Early;
use mainstay_types::{Epoch, Incarnation, JobId, Rank, Step, Version};

/// What one input leads to.
pub(crate) fn tell(ledger: &mut Ledger, input: Input) -> Vec<Effect> {
    let mut effects = Vec::new();
    ledger.step(input, &mut effects);
    effects
}

/// A ledger in epoch 1.
pub(crate) fn ledger(n: u32, keep: usize) -> Ledger {
    let mut ledger = Ledger::new(n, Version(1), keep);
    assert_eq!(tell(&mut ledger, Input::EpochRaised(Epoch(1))), []);
    ledger
}

pub(crate) fn propose(epoch: u32, step: u64) -> Input {
    Input::Propose { epoch: Epoch(epoch), step: Step(step), durable: true }
}

pub(crate) fn proposed(version: u64, slot: u8, step: u64) -> Effect {
    Effect::Proposed { version: Version(version), slot, step: Step(step) }
}

/// A rank's part of a version at step `10 × version`, in epoch 1.
pub(crate) fn captured(rank: u32, version: u64, sent: &[u64], delivered: &[u64]) -> Input {
    Input::Captured {
        rank: Rank(rank),
        epoch: Epoch(1),
        version: Version(version),
        step: Step(10 * version),
        incarnation: Incarnation(rank),
        image_bytes: 5000,
        table_crc: 100 + rank,
        blocked: Duration::from_millis(u64::from(rank)),
        sent: sent.to_vec(),
        delivered: delivered.to_vec(),
        early: vec![],
        any_chooses: false,
    }
}

pub(crate) fn with_early(mut input: Input, list: &[(u32, u64)]) -> Input {
    if let Input::Captured { early, .. } = &mut input {
        early.extend(list.iter().map(|(peer, sequence)| Early {
            peer: Rank(*peer),
            sequence: *sequence,
            hash: 7,
        }));
    }
    input
}

pub(crate) fn late(rank: u32, version: u64, bytes: u64) -> Input {
    Input::Late { rank: Rank(rank), epoch: Epoch(1), version: Version(version), bytes, crc: 9 }
}

pub(crate) fn written(version: u64) -> Input {
    Input::Written { version: Version(version) }
}

pub(crate) fn published(version: u64) -> Input {
    Input::Published { version: Version(version) }
}

pub(crate) fn failed(version: u64) -> Input {
    Input::WriteFailed { version: Version(version), why: "disk full".to_owned() }
}

pub(crate) fn bad(version: u64, rank: u32, level: Level) -> Input {
    Input::CopyBad { version: Version(version), rank: Rank(rank), level, why: "rotten".to_owned() }
}

pub(crate) fn dropped(what: Stale) -> [Effect; 1] {
    [Effect::Dropped { what }]
}

pub(crate) fn identity() -> Identity {
    Identity {
        job: JobId([1; 16]),
        launch: 1,
        program: Program { path: "p".to_owned(), sha256: [0; 32] },
        seed: 0,
        args: vec![],
        inputs: vec![],
    }
}

/// The manifest of a version of an earlier launch.
pub(crate) fn old_manifest(version: u64, n: u32) -> Manifest {
    let entry = RankEntry {
        file_epoch: Epoch(0),
        image_bytes: 4100,
        late_bytes: 10,
        sent: vec![1; n as usize],
        delivered: vec![0; n as usize],
        ..RankEntry::default()
    };
    Manifest {
        identity: identity(),
        epoch: Epoch(0),
        version: Version(version),
        step: Step(10 * version),
        parent: None,
        ranks: vec![entry; n as usize],
        nodes: None,
    }
}

/// Commits the next version of a job of two ranks without messages, and returns its number and
/// the effects of the commit.
pub(crate) fn commit(ledger: &mut Ledger) -> (u64, Vec<Effect>) {
    let version = ledger.next_version().0;
    tell(ledger, propose(1, 10 * version));
    assert_eq!(tell(ledger, captured(0, version, &[0, 0], &[0, 0])), []);
    let effects = tell(ledger, captured(1, version, &[0, 0], &[0, 0]));
    let version = Version(version);
    assert_eq!(effects[0], Effect::Committed { version });
    (version.0, effects)
}

/// Publishes the version being drained and returns the effects of the publication.
pub(crate) fn publish(ledger: &mut Ledger, version: u64) -> Vec<Effect> {
    let effects = tell(ledger, written(version));
    let version = Version(version);
    assert_eq!(effects, [Effect::Publish { version }]);
    tell(ledger, published(version.0))
}
