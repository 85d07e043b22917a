//! The ledger's exact answers about versions in memory that other nodes guard, one story a test.

use mainstay_ckpt::fetch::Ring;
use mainstay_ckpt::{Effect, Input, Ledger, Stale, VoidReason};
use mainstay_types::event::Level;
use mainstay_types::wire::node::Redundancy;
use mainstay_types::{Epoch, Node, Rank, Version};

use crate::script::{
    bad, captured, commit, dropped, failed, ledger, propose, proposed, publish, tell, written,
};

const V1: Version = Version(1);
const V2: Version = Version(2);
const N0: Node = Node(0);
const N1: Node = Node(1);

/// Two ranks on the first two of so many nodes, and a ledger in epoch 1.
fn nodes(nodes: u32, redundancy: Redundancy) -> Ledger {
    let ring = Ring::new(nodes, redundancy).unwrap();
    ledger(2, 1).guarded_by(ring, vec![N0, N1])
}

fn guard(version: Version, attempt: u32) -> Effect {
    Effect::Guard { version, attempt }
}

fn guarded(version: Version, attempt: u32) -> Input {
    Input::Guarded { version, attempt }
}

fn guard_failed(version: Version, attempt: u32) -> Input {
    Input::GuardFailed { version, attempt, why: "no link".to_owned() }
}

/// The part of the node's only rank.
fn rebuilt(version: Version, node: Node) -> Input {
    Input::Rebuilt { version, ranks: vec![Rank(node.0)] }
}

fn lost(node: Node) -> Input {
    Input::NodeLost { node }
}

/// Commits a version that is to stay in memory.
fn spare(l: &mut Ledger) -> Vec<Effect> {
    let version = l.next_version().0;
    let Input::Propose { epoch, step, .. } = propose(1, 10 * version) else { unreachable!() };
    tell(l, Input::Propose { epoch, step, durable: false });
    tell(l, captured(0, version, &[0, 0], &[0, 0]));
    tell(l, captured(1, version, &[0, 0], &[0, 0]))
}

fn void(version: Version, rank: u32, why: &str) -> Effect {
    let why = VoidReason::CopyBad { rank: Rank(rank), why: why.to_owned() };
    Effect::Void { version, why }
}

#[test]
fn a_committed_version_is_guarded_and_the_next_one_waits() {
    let mut l = nodes(3, Redundancy::Partner);
    assert_eq!(spare(&mut l), [Effect::Committed { version: V1 }, guard(V1, 1)]);
    assert_eq!(l.guarding(), Some((V1, 1)));
    assert!(l.may_propose(), "the other slot is empty");
    assert_eq!(spare(&mut l), [Effect::Committed { version: V2 }], "it waits");
    assert!(!l.may_propose(), "neither slot may go");
    assert_eq!(tell(&mut l, propose(1, 30)), dropped(Stale::Busy));
    assert_eq!(tell(&mut l, guarded(V1, 1)), [guard(V2, 2)]);
    assert!(!l.may_propose(), "version 1 is the only one that is guarded");
    assert_eq!(tell(&mut l, guarded(V1, 1)), dropped(Stale::Version));
    assert_eq!(tell(&mut l, guarded(V2, 1)), dropped(Stale::Version));
    assert_eq!(tell(&mut l, guarded(V2, 2)), []);
    let freed = [Effect::Freed { version: V1 }, proposed(3, 0, 30)];
    assert_eq!(tell(&mut l, propose(1, 30)), freed);
    assert_eq!(l.record(V2).unwrap().covered(), Some(Level::Partner));
}

#[test]
fn a_failed_guard_blocks_nothing_and_is_tried_again_once_nodes_are_whole() {
    let mut l = nodes(2, Redundancy::Partner);
    spare(&mut l);
    let told = Effect::Unguarded { version: V1, why: "no link".to_owned() };
    assert_eq!(tell(&mut l, guard_failed(V1, 1)), [told]);
    assert!(l.may_propose() && l.guarding().is_none());
    assert_eq!(tell(&mut l, Input::EpochRaised(Epoch(2))), [], "not by itself");
    assert_eq!(tell(&mut l, Input::NodesWhole), [guard(V1, 2)]);
    assert_eq!(tell(&mut l, Input::NodesWhole), [], "once is enough");
    assert_eq!(tell(&mut l, guard_failed(V1, 1)), dropped(Stale::Version));
    assert_eq!(tell(&mut l, guarded(V1, 2)), []);
    assert_eq!(tell(&mut l, Input::NodesWhole), [], "all of them hold it");
}

#[test]
fn a_lost_node_is_rebuilt_and_then_guarded_again() {
    for (redundancy, level) in
        [(Redundancy::Partner, Level::Partner), (Redundancy::Parity(1), Level::Parity)]
    {
        let mut l = nodes(3, redundancy);
        spare(&mut l);
        tell(&mut l, guarded(V1, 1));
        assert_eq!(tell(&mut l, lost(N1)), []);
        let choice = l.choose().unwrap();
        let levels: Vec<_> = choice.ranks.iter().map(|source| source.level).collect();
        assert_eq!(levels, [Level::Memory, level]);
        assert_eq!(choice.rebuilds.into_iter().collect::<Vec<_>>(), [(N1, vec![Rank(1)])]);
        assert_eq!(l.left(V1), [N0, Node(2)]);
        assert_eq!(tell(&mut l, rebuilt(V1, N1)), []);
        let choice = l.choose().unwrap();
        assert!(choice.rebuilds.is_empty());
        assert!(choice.ranks.iter().all(|source| source.level == Level::Memory));
        assert_eq!(l.left(V1), [N0, Node(2)], "it holds nothing for others yet");
        assert_eq!(tell(&mut l, Input::NodesWhole), [guard(V1, 2)]);
        assert_eq!(tell(&mut l, guarded(V1, 2)), []);
        assert_eq!(l.left(V1), [N0, N1, Node(2)]);
    }
}

#[test]
fn a_node_lost_during_a_guard_leads_back_to_the_version_that_is_guarded() {
    let mut l = nodes(3, Redundancy::Parity(1));
    spare(&mut l);
    tell(&mut l, guarded(V1, 1));
    spare(&mut l);
    assert_eq!(tell(&mut l, lost(N0)), [void(V2, 0, "node 0 is lost")]);
    assert_eq!(tell(&mut l, guarded(V2, 2)), dropped(Stale::Version));
    assert_eq!(l.choose().unwrap().version, V1);
    // And one more is beyond the claim.
    assert_eq!(tell(&mut l, lost(N1)), [void(V1, 0, "node 1 is lost")]);
    assert_eq!(l.choose(), None);
    assert_eq!(tell(&mut l, Input::NodesWhole), []);
    assert!(l.may_propose());
}

#[test]
fn a_node_lost_during_a_capture_voids_what_is_captured() {
    let mut l = nodes(3, Redundancy::Partner);
    tell(&mut l, propose(1, 10));
    let why = VoidReason::NodeLost(Node(2));
    assert_eq!(tell(&mut l, lost(Node(2))), [Effect::Void { version: V1, why }]);
    assert_eq!(tell(&mut l, lost(Node(3))), dropped(Stale::Version));
    let mut l = ledger(2, 1);
    assert_eq!(tell(&mut l, lost(N0)), dropped(Stale::Version), "it knows of no nodes");
    assert_eq!(tell(&mut l, Input::NodesWhole), dropped(Stale::Version));
}

/// What one without ranks was to hold is not there, though no copy is lost with it.
#[test]
fn a_node_without_ranks_ends_the_guards_under_way_all_the_same() {
    let mut l = nodes(3, Redundancy::Parity(1));
    spare(&mut l);
    spare(&mut l);
    assert_eq!(tell(&mut l, lost(Node(2))), []);
    assert_eq!((l.guarding(), l.record(V2).unwrap().covered()), (None, None));
    assert_eq!(tell(&mut l, guarded(V1, 1)), dropped(Stale::Version));
    assert!(l.may_propose(), "the one that waited is forgotten, too");
    assert_eq!(tell(&mut l, Input::NodesWhole), [guard(V2, 2)]);
    assert_eq!(tell(&mut l, guarded(V2, 2)), []);
    assert_eq!(l.record(V2).unwrap().covered(), Some(Level::Parity));
}

#[test]
fn a_rotten_arena_is_rebuilt_and_again_once_it_was_found_good() {
    let mut l = nodes(2, Redundancy::Partner);
    spare(&mut l);
    tell(&mut l, guarded(V1, 1));
    for attempt in 2..4 {
        assert_eq!(tell(&mut l, bad(1, 0, Level::Memory)), []);
        assert_eq!(l.choose().unwrap().ranks[0].level, Level::Partner);
        assert_eq!(tell(&mut l, rebuilt(V1, N0)), []);
        assert_eq!(tell(&mut l, Input::NodesWhole), [], "nodes hold all that they did");
        assert_eq!(tell(&mut l, Input::Restored { version: V1 }), []);
        tell(&mut l, lost(N1));
        tell(&mut l, rebuilt(V1, N1));
        assert_eq!(tell(&mut l, Input::NodesWhole), [guard(V1, attempt)]);
        tell(&mut l, guarded(V1, attempt));
    }
}

/// A copy that goes bad after the order is not called good by the answer to it.
#[test]
fn an_answer_is_for_the_parts_that_were_rebuilt() {
    let ring = Ring::new(2, Redundancy::Partner).unwrap();
    let mut l = ledger(2, 1).guarded_by(ring, vec![N0, N0]);
    spare(&mut l);
    tell(&mut l, guarded(V1, 1));
    tell(&mut l, lost(N0));
    let all = l.choose().unwrap().rebuilds.remove(&N0).unwrap();
    let (first, rest) = all.split_first().unwrap();
    tell(&mut l, Input::Rebuilt { version: V1, ranks: vec![*first] });
    assert_eq!(l.choose().unwrap().rebuilds.get(&N0).map_or(&[][..], |ranks| ranks), rest);
    let nobody = Input::Rebuilt { version: V1, ranks: vec![Rank(99)] };
    assert_eq!(tell(&mut l, nobody), dropped(Stale::Ranks));
}

#[test]
fn what_was_rebuilt_and_is_bad_is_not_rebuilt_from_the_same() {
    let mut l = nodes(2, Redundancy::Partner);
    spare(&mut l);
    tell(&mut l, guarded(V1, 1));
    tell(&mut l, bad(1, 0, Level::Memory));
    tell(&mut l, rebuilt(V1, N0));
    assert_eq!(tell(&mut l, bad(1, 0, Level::Memory)), [void(V1, 0, "rotten")]);
}

/// Nobody knows whether the others fetched the bytes before they were bad, or after.
#[test]
fn a_copy_that_goes_bad_during_its_guard_ends_it() {
    let mut l = nodes(2, Redundancy::Partner);
    commit(&mut l);
    let told = Effect::Unguarded { version: V1, why: "rotten".to_owned() };
    assert_eq!(tell(&mut l, bad(1, 0, Level::Memory)), [told], "its drain has not ended");
    assert_eq!(tell(&mut l, guarded(V1, 1)), dropped(Stale::Version));
    assert_eq!(l.record(V1).unwrap().covered(), None);
    let told = tell(&mut l, failed(1));
    assert!(told.contains(&void(V1, 0, "disk full")), "{told:?}");
}

#[test]
fn a_version_that_waits_for_its_drain_and_is_lost_is_not_drained() {
    let mut l = nodes(2, Redundancy::Partner);
    commit(&mut l);
    tell(&mut l, guarded(V1, 1));
    commit(&mut l);
    let cancelled = [Effect::DrainCancelled { version: V2 }, void(V2, 1, "node 1 is lost")];
    assert_eq!(tell(&mut l, lost(N1)), cancelled);
    assert_eq!(l.record(V2), None);
    assert_eq!(publish(&mut l, 1), [Effect::Published { version: V1 }]);
    assert!(!l.is_draining());
}

#[test]
fn what_cannot_be_rebuilt_is_restored_from_disk() {
    let fails = |version| Input::RebuildFailed { version, why: "rotten".to_owned() };
    let mut l = nodes(2, Redundancy::Partner);
    commit(&mut l);
    tell(&mut l, guarded(V1, 1));
    publish(&mut l, 1);
    tell(&mut l, lost(N0));
    assert_eq!(l.choose().unwrap().ranks[0].level, Level::Partner);
    assert_eq!(tell(&mut l, fails(V1)), []);
    assert_eq!(l.choose().unwrap().ranks[0].level, Level::Disk);
    assert_eq!(tell(&mut l, fails(V1)), dropped(Stale::Version));
    let late = rebuilt(V1, N0);
    assert_eq!(tell(&mut l, late), dropped(Stale::Version));
    assert_eq!(tell(&mut l, Input::NodesWhole), [], "not all of it is in memory");
    // And without disk it is void.
    let mut l = nodes(2, Redundancy::Partner);
    spare(&mut l);
    tell(&mut l, guarded(V1, 1));
    tell(&mut l, lost(N0));
    assert_eq!(tell(&mut l, fails(V1)), [void(V1, 0, "rotten")]);
}

#[test]
fn a_drain_of_what_a_lost_node_had_fails_and_takes_no_guard_with_it() {
    let mut l = nodes(2, Redundancy::Partner);
    commit(&mut l);
    tell(&mut l, guarded(V1, 1));
    assert_eq!(tell(&mut l, lost(N0)), []);
    assert!(tell(&mut l, failed(1)).contains(&Effect::Discard { version: V1 }));
    assert_eq!(l.choose().unwrap().ranks[0].level, Level::Partner);
    // Of a version that is guarded by nobody, only what is written counts.
    let mut l = nodes(2, Redundancy::Partner);
    commit(&mut l);
    tell(&mut l, written(1));
    assert_eq!(tell(&mut l, lost(N0)), [], "it may yet be published");
    assert_eq!(l.choose(), None);
    tell(&mut l, Input::Published { version: V1 });
    assert_eq!(l.choose().unwrap().ranks[0].level, Level::Disk);
}

#[test]
fn a_version_without_a_slot_is_guarded_by_nobody() {
    let mut l = nodes(2, Redundancy::Partner);
    commit(&mut l);
    tell(&mut l, guarded(V1, 1));
    publish(&mut l, 1);
    spare(&mut l);
    tell(&mut l, guarded(V2, 2));
    tell(&mut l, propose(1, 30));
    assert_eq!(l.record(V1).unwrap().covered(), None);
    assert_eq!(l.left(V1), []);
    let late = rebuilt(V1, N0);
    assert_eq!(tell(&mut l, late), dropped(Stale::Version));
}

#[test]
fn nodes_without_redundancy_lose_what_they_have() {
    let mut l = nodes(2, Redundancy::None);
    assert_eq!(spare(&mut l), [Effect::Committed { version: V1 }]);
    assert_eq!(tell(&mut l, Input::NodesWhole), []);
    assert_eq!(tell(&mut l, lost(N0)), [void(V1, 0, "node 0 is lost")]);
}
