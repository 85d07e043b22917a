//! `--track-writes`: captures that copy only what was written, and the same bits as ever.

use serde_json::Value;

use crate::checkpoints::notes;
use crate::harness::{Ended, Scratch, matrix, program, root, run};

/// Runs beside a twin, which copies nothing at all; gives the run with its events.
fn tracked(mode: &str, options: &[&str], job: &[&str]) -> Ended {
    let words = ["-n", "2", "--json", "--twin", "--track-writes", mode];
    let ended = run(&[&words[..], options, job].concat()).code(0);
    assert_eq!(ended.summary()["bit_identical"], true, "{mode} {options:?} {job:?}");
    ended
}

/// Bytes of fields copied, and bytes there were, of each version that was committed.
fn copied(ended: &Ended) -> Vec<(u64, u64)> {
    let versions = ended.events();
    let committed =
        |event: &&Value| event["event"] == "checkpoint" && event["state"] == "committed";
    let bytes =
        |event: &Value| Some((event["copied_bytes"].as_u64()?, event["fields_bytes"].as_u64()?));
    versions.iter().filter(committed).map(|event| bytes(event).unwrap()).collect()
}

/// Whether this system can tell what was written; elsewhere the fallback is what is tested.
fn can_tell() -> bool {
    let probe = program("probe");
    let plan = run(&["--track-writes", "auto", "--dry-run", &probe, "steps", "1"]).code(0);
    let line = plan.stdout.lines().find(|line| line.contains("captures copy")).unwrap().to_owned();
    line.contains("what was written")
}

/// Nothing was found changed that had not been written.
fn none_missed(ended: &Ended) {
    assert!(!notes(ended, "cannot be trusted"), "{}", ended.stdout);
}

#[test]
fn state_that_does_not_change_is_left_alone_and_comes_back_bit_by_bit() {
    let probe = program("probe");
    let job = [&probe[..], "still", "20000000", "--steps", "200", "--spin-us", "1000"];
    for (mode, faults) in [
        ("on", "kill:1@point=captured#9"),
        ("auto", "kill:1@point=captured#9"),
        ("check", "kill:0@point=captured#7,kill:1@point=captured#14"),
    ] {
        let options = ["--ckpt-every", "5steps", "--disk-every", "1000steps", "--inject", faults];
        let ended = tracked(mode, &options, &job);
        none_missed(&ended);
        let versions = copied(&ended);
        if !can_tell() {
            continue;
        }
        // The first two fill the slots, and after each failure so do two more.
        assert_eq!(versions[0].0, versions[0].1, "the first one is whole");
        let small = versions.iter().filter(|(copied, all)| copied * 10 < *all).count();
        assert!(small >= 5, "{versions:?}");
        let restored =
            ended.events().iter().any(|e| e["event"] == "restored" && e["version"].is_u64());
        assert!(restored, "a version was restored");
    }
}

#[test]
fn memory_that_moves_in_every_way_loses_no_write() {
    let probe = program("probe");
    let job = [&probe[..], "moves", "--steps", "100", "--bytes", "3000000", "--spin-us", "500"];
    for (mode, every, faults) in [
        ("on", "1steps", "kill:1@point=captured#12"),
        ("check", "1steps", "kill:0@point=captured#8,kill:1@point=captured#20"),
        ("check", "3steps", "kill:1@point=capture-mid#90,kill:0@step=80"),
        ("auto", "2steps", "kill:0@point=captured#9"),
    ] {
        let memory = ["--disk-every", "1000steps", "--ckpt-every", every, "--inject", faults];
        let ended = tracked(mode, &memory, &job);
        none_missed(&ended);
        assert!(copied(&ended).len() > 5);
    }
}

#[test]
fn fields_beyond_any_heap_threshold_are_unmapped_and_mapped_again() {
    // Above 32 MiB each allocation is a mapping of its own, given back as soon as it is dropped.
    let probe = program("probe");
    let job = [&probe[..], "moves", "--steps", "20", "--bytes", "34000000"];
    let options = [
        "--ckpt-every",
        "1steps",
        "--disk-every",
        "1000steps",
        "--inject",
        "kill:1@point=captured#6",
    ];
    none_missed(&tracked("check", &options, &job));
}

#[test]
fn programs_end_with_the_same_bits() {
    let (heat, cg, matrix) = (program("heat"), program("cg"), matrix());
    let terrain = root().join("data/jacksboro.asc.gz").to_str().unwrap().to_owned();
    let every = ["--disk-every", "100000steps", "--ckpt-every", "10steps", "--inject"];
    for mode in ["on", "check"] {
        let job = [&heat[..], &terrain, "--steps", "2000"];
        none_missed(&tracked(mode, &[&every[..], &["kill:1@point=captured#9"]].concat(), &job));
        let job = [&cg[..], &matrix];
        none_missed(&tracked(mode, &[&every[..], &["kill:0@point=captured#5"]].concat(), &job));
    }
}

#[test]
fn with_one_arena_with_nodes_and_from_disk_it_is_the_same() {
    let probe = program("probe");
    let job = [&probe[..], "still", "5000000", "--steps", "200", "--spin-us", "3000"];
    for options in [
        &["--ckpt-memory", "1x", "--inject", "kill:1@step=50"][..],
        &["--virtual-nodes", "2", "--inject", "kill:node1@point=published#2"],
        &[
            "--virtual-nodes",
            "2",
            "--redundancy",
            "xor",
            "--inject",
            "kill:node0@point=published#1,kill:1@step=150",
        ],
    ] {
        let ended = tracked("check", &[&["--ckpt-every", "5steps"], options].concat(), &job);
        none_missed(&ended);
    }
    let scratch = Scratch::new();
    let d = scratch.join("d");
    let words = ["-n", "2", "--policy", "abort", "--ckpt-every", "5steps", "--ckpt-dir", &d];
    let fault = ["--track-writes", "on", "--inject", "kill:1@point=published#4"];
    run(&[&words[..], &fault, &job].concat()).code(137);
    let ended = tracked("check", &["--ckpt-dir", &d, "--resume"], &job);
    assert!(ended.summary()["resumed_from"].as_u64().unwrap() >= 5);
    none_missed(&ended);
}

#[test]
fn a_system_that_cannot_tell_is_refused_by_name_or_copies_everything() {
    let probe = program("probe");
    let without = |mode| {
        let mut words = vec!["env", "MAINSTAY_NO_USERFAULTFD=1"];
        words.extend([&probe[..], "still", "5000000", "--steps", "60", "--spin-us", "1000"]);
        let options = ["-n", "2", "--json", "--ckpt-every", "5steps", "--track-writes", mode];
        run(&[&options[..], &words].concat())
    };
    // The launcher can, the ranks cannot: they say so, and copy everything.
    for mode in ["on", "auto"] {
        let ended = without(mode).code(0);
        assert!(copied(&ended).iter().all(|(copied, all)| copied == all));
        let wants = if can_tell() || mode == "auto" { 1 } else { 0 };
        assert!(wants == 0 || notes(&ended, "MAINSTAY_NO_USERFAULTFD is set"), "{}", ended.stdout);
    }
}

#[test]
fn without_the_option_nothing_is_told_of_copies() {
    let probe = program("probe");
    let job = ["-n", "1", "--json", "--ckpt-every", "5steps", &probe];
    let ended = run(&job).code(0);
    let versions = ended.events();
    let committed: Vec<_> = versions.iter().filter(|e| e["event"] == "checkpoint").collect();
    assert!(!committed.is_empty() && committed.iter().all(|e| e["copied_bytes"].is_null()));
    let refused = run(&["--track-writes", "perhaps", &probe, "steps", "1"]).code(2);
    assert!(refused.stderr.contains("none of auto, on, off and check"), "{}", refused.stderr);
}
