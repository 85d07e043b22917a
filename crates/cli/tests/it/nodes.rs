//! Nodes are lost, with all that their ranks had in memory; the answer keeps its bits.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};

use crate::checkpoints::WORK;
use crate::harness::{Ended, Run, Scratch, program, run, start};

const SIX: &[&str] = &["-n", "6", "--virtual-nodes", "3", "--ckpt-every", "20steps"];
/// Long enough for several losses also where each rank has a processor.
const LONG: &[&str] = &["steps", "1200", "--spin-us", "500", "--bytes", "200000"];

/// The digest of a run without nodes and without faults.
fn digest(n: &str, work: &[&str]) -> String {
    let probe = program("probe");
    run(&[&["-n", n, "--ckpt-every", "20steps", &probe], work].concat())
        .code(0)
        .value("result digest")
}

/// A job whose versions stay in memory but for the first.
fn job(redundancy: &str, options: &[&str]) -> Run {
    job_of(redundancy, options, LONG)
}

fn job_of(redundancy: &str, options: &[&str], work: &[&str]) -> Run {
    let probe = program("probe");
    let rest = ["--disk-every", "1h", "--redundancy", redundancy];
    start(&[SIX, &rest, options, &[&probe], work].concat())
}

/// Processes by what was told of them: `node 1` or `rank 2`.
pub(crate) fn pids(told: &str) -> BTreeMap<String, i32> {
    let up = told.lines().filter_map(|line| {
        let (_, line) = line.split_once(" s  ")?;
        let (who, _) = line.split_once(" is up")?;
        let (_, pid) = line.rsplit_once("pid ")?;
        Some((who.to_owned(), pid.trim_end_matches(')').parse().ok()?))
    });
    up.collect()
}

pub(crate) fn kill(pids: &[i32], signal: &str) {
    let mut command = std::process::Command::new("kill");
    command.arg(format!("-{signal}")).args(pids.iter().map(ToString::to_string));
    // A rank whose node is killed first may be gone already.
    let _gone = command.stderr(std::process::Stdio::null()).status().unwrap();
}

/// A node and its two ranks, of which there are two a node.
fn node(pids: &BTreeMap<String, i32>, node: usize) -> [i32; 3] {
    let rank = |rank: usize| pids[&format!("rank {rank}")];
    [pids[&format!("node {node}")], rank(2 * node), rank(2 * node + 1)]
}

fn events(ended: &Ended, name: &str) -> Vec<serde_json::Value> {
    ended.events().into_iter().filter(|event| event["event"] == name).collect()
}

#[test]
fn a_node_that_is_killed_with_its_ranks_is_rebuilt_from_others() {
    let expected = digest("6", LONG);
    for (redundancy, level) in [("partner", "partner"), ("xor", "parity"), ("parity:2", "parity")] {
        let mut job = job(redundancy, &[]);
        let told = job.until(&format!("is guarded by {level}"));
        kill(&node(&pids(&told), 1), "KILL");
        job.until("node 1 is lost with its ranks");
        let told = job.until("recovered in epoch");
        assert!(told.contains(&format!("by {level}")), "{told}");
        assert!(!told.contains("from the beginning"), "{told}");
        let ended = job.end().code(0);
        assert_eq!(ended.value("result digest"), expected, "{redundancy}");
    }
}

#[test]
fn as_many_nodes_as_claimed_may_be_lost_at_once_and_one_after_the_other() {
    let expected = digest("6", LONG);
    let mut job = job("parity:2", &[]);
    let told = job.until("is guarded by parity");
    let all = pids(&told);
    kill(&[node(&all, 0), node(&all, 2)].concat(), "KILL");
    let told = job.until("is guarded by parity");
    assert!(told.contains("node 0 got its part") && told.contains("node 2 got its part"), "{told}");
    // A guard may be done before the last rank is where it was.
    if !told.contains("recovered in epoch") {
        job.until("recovered in epoch");
    }
    // All nodes hold again what they are to hold: two more may go.
    let (up, all) = (pids(&told), all);
    let now: BTreeMap<_, _> = all.into_iter().chain(up).collect();
    kill(&[node(&now, 1), node(&now, 0)].concat(), "KILL");
    let told = job.until("recovered in epoch");
    assert!(told.contains("node 1 got its part") && told.contains("node 0 got its part"), "{told}");
    let ended = job.end().code(0);
    assert_eq!(ended.value("result digest"), expected);
}

#[test]
fn one_node_more_than_claimed_costs_what_is_in_memory_and_no_more() {
    // Lines of commits come once a second.
    let work = ["steps", "3000", "--spin-us", "500", "--bytes", "200000"];
    let expected = digest("6", &work);
    for (redundancy, lost) in [("none", 1), ("xor", 2), ("partner", 2)] {
        let scratch = Scratch::new();
        let mut job = job_of(redundancy, &["--ckpt-dir", &scratch.join("d")], &work);
        let told = job.until("published on disk");
        let all = pids(&told);
        let nodes: Vec<_> = (0..lost).flat_map(|lost| node(&all, lost)).collect();
        // Long enough that other versions follow the one on disk.
        job.until("more since the last line");
        kill(&nodes, "KILL");
        let told = job.until("recovered in epoch");
        assert!(told.contains("is void"), "{redundancy}: {told}");
        assert!(told.contains("from disk"), "{redundancy}: {told}");
        let ended = job.end().code(0);
        assert_eq!(ended.value("result digest"), expected, "{redundancy}");
    }
}

#[test]
fn a_node_alone_takes_its_ranks_with_it_and_a_rank_alone_leaves_its_node() {
    let expected = digest("6", LONG);
    let mut job = job("partner", &[]);
    let told = job.until("is guarded by partner");
    let all = pids(&told);
    kill(&[all["rank 3"]], "KILL");
    let told = job.until("recovered in epoch");
    assert!(told.contains("rank 3 restored version") && !told.contains("is lost"), "{told}");
    kill(&[all["node 2"]], "KILL");
    let told = job.until("recovered in epoch");
    assert!(told.contains("rank 4 FAILED") && told.contains("rank 5 FAILED"), "{told}");
    assert!(!told.contains("rank 3 FAILED") && told.contains("node 2 got its part"), "{told}");
    assert_eq!(job.end().code(0).value("result digest"), expected);
}

#[test]
fn a_node_that_is_stopped_is_taken_for_lost_after_its_time() {
    let mut job = job("partner", &["--lost-after", "300ms", "--heartbeat", "50ms"]);
    let told = job.until("is guarded by partner");
    kill(&[pids(&told)["node 0"]], "STOP");
    job.until("node 0 is killed: it was stopped for longer than --lost-after");
    job.until("recovered in epoch");
    assert_eq!(job.end().code(0).value("result digest"), digest("6", LONG));
}

/// Memory of arenas that processes hold: descriptors and mappings, as device and inode, by process.
fn arenas() -> BTreeMap<(u64, u64), BTreeSet<i32>> {
    let mut found: BTreeMap<_, BTreeSet<i32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        for kind in ["fd", "map_files"] {
            for link in fs::read_dir(entry.path().join(kind)).into_iter().flatten().flatten() {
                let target = fs::read_link(link.path()).unwrap_or_default();
                if target.to_string_lossy().contains("memfd:mainstay-arena")
                    && let Ok(metadata) = fs::metadata(link.path())
                {
                    found.entry((metadata.dev(), metadata.ino())).or_default().insert(pid);
                }
            }
        }
    }
    found
}

#[test]
fn nobody_but_a_node_and_its_rank_could_read_an_arena_and_nobody_can_once_it_is_lost() {
    let mut job = job("xor", &[]);
    let told = job.until("is guarded by parity");
    let all = pids(&told);
    let mine: BTreeSet<_> = job.processes().into_iter().map(|(pid, _)| pid).collect();
    let of_job = |(memory, holders): ((u64, u64), BTreeSet<i32>)| {
        (!holders.is_disjoint(&mine)).then_some((memory, holders))
    };
    let before: BTreeMap<_, _> = arenas().into_iter().filter_map(of_job).collect();
    assert_eq!(before.len(), 12, "two for each rank");
    let mut lost = BTreeSet::new();
    for (memory, holders) in &before {
        let is_of = |index: usize| {
            let [node, one, other] = node(&all, index);
            holders.contains(&node) && holders.iter().all(|pid| [node, one, other].contains(pid))
        };
        assert!((0..3).any(is_of) && holders.len() == 2, "{holders:?} {all:?}");
        if is_of(1) {
            lost.insert(*memory);
        }
    }
    assert_eq!(lost.len(), 4);
    kill(&node(&all, 1), "KILL");
    job.until("recovered in epoch");
    let left: Vec<_> = arenas().into_iter().filter(|(memory, _)| lost.contains(memory)).collect();
    assert!(left.is_empty(), "{left:?}");
    job.end().code(0);
}

#[test]
fn a_rotten_arena_is_rebuilt_from_what_others_hold() {
    let expected = digest("6", LONG);
    for redundancy in ["partner", "xor"] {
        // One version is taken by a signal, so that its arena stays as it is.
        let probe = program("probe");
        let options = ["-n", "6", "--virtual-nodes", "3", "--ckpt-every", "500steps"];
        let rest = ["--disk-every", "1h", "--redundancy", redundancy, &probe];
        let mut job = start(&[&options[..], &rest, LONG].concat());
        let told = job.until("is guarded by");
        let all = pids(&told);
        // Whichever of the two arenas of rank 2 the version lies in.
        let mut arenas = Vec::new();
        for link in fs::read_dir(format!("/proc/{}/fd", all["node 1"])).unwrap().flatten() {
            let target = fs::read_link(link.path()).unwrap_or_default();
            if target.to_string_lossy().contains("memfd:mainstay-arena") {
                arenas
                    .push(fs::OpenOptions::new().write(true).read(true).open(link.path()).unwrap());
            }
        }
        assert_eq!(arenas.len(), 4);
        for arena in arenas {
            let mut byte = [0];
            arena.read_exact_at(&mut byte, 100_000).unwrap();
            arena.write_all_at(&[byte[0] ^ 4], 100_000).unwrap();
        }
        kill(&[all["rank 0"]], "KILL");
        let told = job.until("recovered in epoch");
        assert!(told.contains("in memory is unusable"), "{told}");
        assert!(told.contains("node 1 got its part of version 1 back"), "{told}");
        assert!(told.contains("restored version 1 from memory"), "{told}");
        assert_eq!(job.end().code(0).value("result digest"), expected, "{redundancy}");
    }
}

#[test]
fn faults_are_injected_into_nodes_and_proved() {
    let probe = program("probe");
    let options =
        ["--redundancy", "parity:1", "--inject", "kill:node1@point=published#2", "--twin"];
    let more = ["--json", "--disk-every", "100ms", &probe];
    let ended = run(&[SIX, &options, &more, WORK].concat()).code(0);
    let summary = ended.summary();
    assert_eq!(summary["bit_identical"], true, "{}", ended.stderr);
    assert_eq!(summary["not_injected"], serde_json::json!([]));
    assert_eq!(events(&ended, "node_up").len(), 4);
    assert_eq!(events(&ended, "node_lost")[0]["node"], 1);
    assert!(events(&ended, "guarded").iter().all(|event| event["level"] == "parity"));
}

#[test]
fn a_launcher_that_is_killed_leaves_no_node_and_its_versions_are_gone_on_with() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    let mut broken = job("partner", &["--ckpt-dir", &d]);
    broken.until("published on disk");
    broken.signal("KILL");
    broken.end().code(-9);
    let probe = program("probe");
    let resume = ["--ckpt-dir", &d, "--resume", &probe];
    // With nodes or without: what lies on disk is the same.
    let ended = run(&[&["-n", "6"], &resume[..], LONG].concat()).code(0);
    assert_eq!(ended.value("result digest"), digest("6", LONG));
    assert!(ended.stderr.contains("resumed: the job goes on from version"), "{}", ended.stderr);
}

#[test]
fn nodes_that_cannot_be_are_refused_with_the_reason() {
    let probe = program("probe");
    for (options, why) in [
        (&["-n", "2", "--virtual-nodes", "3"][..], "3 nodes are more than the 2 ranks"),
        (&["-n", "2", "--virtual-nodes", "0"], "not a number of nodes from 1 to 64"),
        (&["-n", "99", "--virtual-nodes", "65"], "not a number of nodes from 1 to 64"),
        (&["-n", "2", "--virtual-nodes", "1", "--redundancy", "partner"], "too few for redundancy"),
        (&["-n", "3", "--virtual-nodes", "3", "--redundancy", "parity:3"], "parity:3: give more"),
        (&["-n", "3", "--virtual-nodes", "3", "--redundancy", "parity:0"], "M from 1 to 255"),
        (&["-n", "3", "--virtual-nodes", "3", "--redundancy", "raid"], "is not none, partner"),
        (&["-n", "3", "--redundancy", "partner"], "--virtual-nodes"),
        (&["-n", "3", "--inject", "kill:node0@time=1s"], "this job has none"),
        (&["-n", "3", "--virtual-nodes", "2", "--inject", "kill:node2@time=1s"], "are 0 to 1"),
        (&["-n", "3", "--virtual-nodes", "2", "--inject", "kill:node1@step=5"], "struck by time"),
    ] {
        run(&[options, &[&probe], WORK].concat()).code(2).says(why);
    }
    // A person who starts a node by hand is told what it is.
    let mut node = std::process::Command::new(env!("CARGO_BIN_EXE_mainstay"));
    let node = node.arg("node").stdin(std::process::Stdio::null()).output().unwrap();
    assert_eq!(node.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&node.stderr).contains("a launcher starts it"));
}
