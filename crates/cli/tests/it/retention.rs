//! What stays on disk, what goes, and what memory versions may take.

use std::collections::BTreeSet;
use std::path::Path;

use crate::checkpoints::{WORK, manifests, number};
use crate::ckpt::{of_kind, one};
use crate::harness::{Scratch, ckpt, program, run, start};

/// Step by version of what is in the directory, and whether it is an archive.
fn listed(d: &str) -> Vec<(u64, u64, bool)> {
    let list = ckpt(&["ls", d, "--json"]).code(0);
    let versions = of_kind(&list, "version").into_iter();
    let of = |v: serde_json::Value| {
        assert_eq!(v["recoverable"], true, "{v}");
        let number = |key: &str| v[key].as_u64().unwrap();
        (number("version"), number("step"), v["archived"].as_bool().unwrap())
    };
    versions.map(of).collect()
}

#[test]
fn the_newest_stay_and_one_of_each_so_many_steps_across_launches() {
    let scratch = Scratch::new();
    let (d, probe) = (scratch.join("d"), program("probe"));
    let options = ["-n", "2", "--policy", "abort", "--ckpt-every", "10steps", "--ckpt-dir", &d];
    let keep = ["--keep", "1", "--keep-every", "60steps"];
    let fault = ["--inject", "kill:1@step=200", &probe];
    run(&[&options[..], &keep, &fault, WORK].concat()).code(137);
    let there = listed(&d);
    let archives = |there: &[(u64, u64, bool)]| -> Vec<u64> {
        there.iter().filter(|v| v.2).map(|v| v.1).collect()
    };
    let steps = archives(&there);
    let periods: BTreeSet<u64> = steps.iter().map(|step| step / 60).collect();
    assert!(steps.len() == periods.len() && !periods.contains(&0), "{there:?}");
    assert!(steps.len() >= 2 && there.len() <= steps.len() + 1, "{there:?}");
    // Another launch without archives of its own leaves those alone, and keeps one beside them.
    let fault = ["--resume", "--inject", "kill:1@step=300", &probe];
    run(&[&options[..], &["--keep", "1"], &fault, WORK].concat()).code(137);
    let then = listed(&d);
    assert_eq!(archives(&then), steps);
    assert!(then.len() == steps.len() + 1 || then.last().unwrap().2, "{then:?}");
    // One with the same period goes on where it was.
    let fault = ["--resume", "--inject", "kill:1@step=395", &probe];
    run(&[&options[..], &keep, &fault, WORK].concat()).code(137);
    let last = archives(&listed(&d));
    assert_eq!(last[..steps.len()], steps);
    let periods: BTreeSet<u64> = last.iter().map(|step| step / 60).collect();
    assert!(last.len() > steps.len() && periods.len() == last.len(), "{last:?}");
    // And they stay until somebody lets them go.
    let pruned = one(&ckpt(&["prune", &d, "--keep", "1", "--json"]).code(0), "summary");
    let newest = listed(&d).last().unwrap().0;
    assert_eq!(pruned["kept"], serde_json::json!([newest]));
    assert!(archives(&listed(&d)) == last && !pruned["archived"].as_array().unwrap().is_empty());
    ckpt(&["prune", &d, "--keep", "1", "--archives"]).code(0);
    assert_eq!(listed(&d).iter().map(|v| v.0).collect::<Vec<_>>(), [newest]);
    let left = scratch.files("d").into_iter().filter(|name| name.ends_with(".archive"));
    assert!(left.count() <= 1, "marks go with their versions");
}

#[test]
fn by_time_the_first_version_is_kept_and_its_age_counts_in_the_next_launch() {
    let scratch = Scratch::new();
    let (d, probe) = (scratch.join("d"), program("probe"));
    let options = ["-n", "2", "--policy", "abort", "--ckpt-every", "20steps", "--ckpt-dir", &d];
    let keep = ["--keep", "1", "--keep-every", "1h"];
    let aborted = |more: &[&str]| {
        run(&[&options[..], &keep, more, &[&probe], WORK].concat()).code(137);
        let there = listed(&d).into_iter();
        there.filter(|v| v.2).map(|v| v.0).collect::<Vec<_>>()
    };
    let first = aborted(&["--inject", "kill:1@step=150"]);
    assert_eq!(first.len(), 1, "the first of all, and no other in this hour");
    assert_eq!(aborted(&["--resume", "--inject", "kill:1@step=250"]), first);
    // The mark of an hour ago: the next version is another archive.
    let mark = Path::new(&d).join(format!("v{:08}.archive", first[0]));
    let hour_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3700);
    std::fs::File::open(mark).unwrap().set_modified(hour_ago).unwrap();
    let both = aborted(&["--resume", "--inject", "kill:1@step=350"]);
    assert!(both.len() == 2 && both[0] == first[0], "{both:?}");
}

#[test]
fn so_many_versions_stay_as_are_asked_for() {
    for keep in [1, 4] {
        let scratch = Scratch::new();
        let (d, probe) = (scratch.join("d"), program("probe"));
        let text = keep.to_string();
        let options = ["-n", "2", "--policy", "abort", "--ckpt-every", "20steps", "--keep", &text];
        let fault = ["--ckpt-dir", &d, "--inject", "kill:1@point=published#7", &probe];
        run(&[&options[..], &fault, WORK].concat()).code(137);
        assert_eq!(manifests(&scratch).len(), keep, "{:?}", manifests(&scratch));
    }
    let probe = program("probe");
    let refused = run(&["--keep-every", "100steps", &probe, "steps", "1"]).code(2);
    assert!(refused.stderr.contains("--ckpt-dir"), "{}", refused.stderr);
    run(&["--keep", "0", &probe, "steps", "1"]).code(2).says("always stays");
}

#[test]
fn with_one_arena_a_capture_that_is_struck_goes_back_to_what_is_on_disk() {
    let probe = program("probe");
    let options = ["-n", "3", "--json", "--twin", "--ckpt-every", "20steps", "--ckpt-memory", "1x"];
    // In the middle of the third capture of three fields: what was captured before lies on disk alone.
    let fault = ["--inject", "kill:1@point=capture-mid#8", &probe];
    let ended = run(&[&options[..], &fault, WORK].concat()).code(0);
    let summary = ended.summary();
    assert_eq!(
        (&summary["bit_identical"], &summary["stored"]["arenas"]),
        (&true.into(), &1.into())
    );
    let restored: Vec<_> =
        ended.events().into_iter().filter(|e| e["event"] == "restored").collect();
    assert_eq!(restored.len(), 3);
    for event in &restored {
        let (version, level) = (&event["version"], &event["level"]);
        assert_eq!((version, level), (&restored[0]["version"], &"disk".into()), "{event}");
        assert!(version.as_u64().unwrap() >= 2, "{event}");
    }
}

#[test]
fn with_one_arena_a_failure_between_captures_goes_back_to_memory() {
    let (probe, scratch) = (program("probe"), Scratch::new());
    let work = ["steps", "700", "--spin-us", "500", "--bytes", "200000"];
    // The next multiple is far off, and the version stays until the ranks are near it.
    for every in ["1h", "500steps"] {
        let d = scratch.join(every);
        let options = ["-n", "2", "--ckpt-every", every, "--ckpt-memory", "1x", "--ckpt-dir", &d];
        let mut job = start(&[&options[..], &[&probe], &work].concat());
        let said = job.until("arenas");
        job.signal("USR1");
        job.until("on disk, as asked");
        let line = said.lines().rfind(|line| line.contains("rank 1 is up")).unwrap();
        let pid = line.split("pid ").nth(1).unwrap().split(')').next().unwrap();
        let killed = std::process::Command::new("kill").args(["-KILL", pid]).status();
        assert!(killed.unwrap().success());
        let ended = job.end().code(0);
        for rank in 0..2 {
            let restored = format!("rank {rank} restored version 1 from memory");
            assert!(ended.stderr.contains(&restored), "{every}: {}", ended.stderr);
        }
    }
}

#[test]
fn with_one_arena_what_was_to_stay_in_memory_is_written_before_it_is_overwritten() {
    let probe = program("probe");
    let options = ["-n", "2", "--json", "--ckpt-every", "20steps", "--disk-every", "1000steps"];
    // The first version goes to disk and is damaged there by nobody; the others stay in memory.
    let ended = run(&[&options[..], &["--ckpt-memory", "1x", &probe], WORK].concat()).code(0);
    let summary = ended.summary();
    let states: Vec<_> = summary["checkpoints"].as_array().unwrap().iter().collect();
    assert!(states.len() >= 3, "{states:?}");
    assert_eq!(states[0]["state"], "published");
    assert!(states[1..].iter().all(|c| c["state"] == "committed"), "{states:?}");
}

#[test]
fn more_memory_than_the_limit_is_refused_with_both_numbers() {
    let probe = program("probe");
    let job = [&probe[..], "steps", "10", "--bytes", "3000000"];
    let refused = run(&[&["-n", "2", "--ckpt-memory", "10MiB"], &job[..]].concat()).code(1);
    let said =
        refused.says("the arenas of all ranks take 12 MiB").says("--ckpt-memory allows 10 MiB");
    said.says("or give --ckpt-memory 1x");
    let fits = run(&[&["-n", "2", "--ckpt-memory", "1x,10MiB"], &job[..]].concat()).code(0);
    fits.says("checkpoints take 6 MiB in 2 arenas; --ckpt-memory allows 10 MiB; with one a rank");
    let plan = run(&[&["-n", "2", "--dry-run", "--ckpt-memory", "1x,10MiB"], &job[..]].concat());
    let stdout = plan.code(0).stdout;
    for part in
        ["arenas:       1 time the protected state", "at most 10 MiB", "late messages:", "drain:"]
    {
        assert!(stdout.contains(part), "no `{part}` in {stdout}");
    }
}

#[test]
fn captures_that_wait_for_an_arena_are_counted() {
    let probe = program("probe");
    // Each version is 40 MB, and a step a moment: the disk takes longer.
    let job = [&probe[..], "steps", "300", "--spin-us", "500", "--bytes", "20000000"];
    let options = ["-n", "2", "--json", "--ckpt-every", "1steps", "--ckpt-memory", "1x"];
    let stored = run(&[&options[..], &job].concat()).code(0).summary()["stored"].clone();
    assert!(stored["waits"].as_u64().unwrap() > 0, "{stored}");
    assert!(stored["waited_ms"].as_f64().unwrap() > 0.0, "{stored}");
    assert_eq!(stored["arenas_bytes"].as_u64().unwrap() / 1_000_000, 40, "{stored}");
}

#[test]
fn one_of_each_so_many_steps_goes_to_disk() {
    let probe = program("probe");
    let options = ["-n", "2", "--json", "--ckpt-every", "10steps", "--disk-every", "100steps"];
    let summary = run(&[&options[..], &[&probe], WORK].concat()).code(0).summary();
    let on_disk = summary["checkpoints"].as_array().unwrap().iter();
    let on_disk: Vec<u64> = on_disk
        .filter(|c| c["state"] == "published")
        .map(|c| c["step"].as_u64().unwrap() / 100)
        .collect();
    let periods: BTreeSet<u64> = on_disk.iter().copied().collect();
    assert!(on_disk.len() >= 3 && periods.len() == on_disk.len(), "{on_disk:?}");
    let disk = &summary["intervals"][1];
    assert_eq!(
        (&disk["reason"], &disk["interval_ms"]),
        (&"declared".into(), &serde_json::Value::Null)
    );
    assert!(disk["bytes"].as_u64().unwrap() > 400_000 && disk["bytes_per_s"].is_u64(), "{disk}");
    assert!(number("v00000001.manifest") == 1);
}
