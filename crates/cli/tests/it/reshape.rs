//! A job that goes on with another number of ranks.

use std::fs;

use crate::checkpoints::{damage, manifests, number};
use crate::harness::{Ended, Scratch, matrix, program, root, run, start};

const WORK: &[&str] = &["spread", "--steps", "300", "--spin-us", "1000"];

/// `probe spread` with these options of the launcher and these of its own.
fn spread(options: &[&str], own: &[&str]) -> Ended {
    let probe = program("probe");
    run(&[options, &[&probe], WORK, own].concat())
}

/// Has `n` ranks publish versions up to `published`, and dies.
fn broken(d: &str, n: &str, published: &str, own: &[&str]) {
    let fault = format!("kill:0@point=published#{published}");
    let options = ["-n", n, "--policy", "abort", "--ckpt-every", "20steps", "--ckpt-dir", d];
    spread(&[&options[..], &["--inject", &fault]].concat(), own).code(137);
}

fn resume(d: &str, n: &str, own: &[&str]) -> Ended {
    spread(&["-n", n, "--ckpt-every", "20steps", "--ckpt-dir", d, "--resume"], own)
}

fn newest(scratch: &Scratch) -> u64 {
    number(&manifests(scratch).pop().unwrap())
}

/// The shard of a rank of the newest version.
fn shard(scratch: &Scratch, rank: u32) -> std::path::PathBuf {
    let begins = format!("v{:08}.", newest(scratch));
    let is = |name: &String| {
        name.starts_with(&begins) && name.contains(&format!(".r{rank}.")) && name.ends_with("shard")
    };
    scratch.path().join("d").join(scratch.files("d").into_iter().find(is).unwrap())
}

#[test]
fn an_array_dealt_out_in_turn_goes_on_with_any_number_of_ranks() {
    let free = spread(&["-n", "1"], &[]).code(0).value("result digest");
    for m in ["1", "3", "7"] {
        let scratch = Scratch::new();
        let d = scratch.join("d");
        broken(&d, "4", "3", &[]);
        let version = newest(&scratch);
        let says = format!("version {version} of 4 ranks, put together for {m}");
        let ended = resume(&d, m, &[]).code(0).says(&says);
        assert_eq!(ended.value("result digest"), free, "{m} ranks");
    }
}

#[test]
fn more_ranks_than_rows_have_parts_without_rows() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    let rows = ["--rows", "7"];
    let free = spread(&["-n", "1"], &rows).code(0).value("result digest");
    broken(&d, "2", "2", &rows);
    let ended = resume(&d, "8", &rows).code(0).says("of 2 ranks, put together for 8");
    assert_eq!(ended.value("result digest"), free);
}

#[test]
fn ranks_that_die_while_they_put_a_version_together_begin_again() {
    let free = spread(&["-n", "1"], &[]).code(0).value("result digest");
    for faults in [
        "kill:1@point=restore-mid",
        "kill:0@point=restore-mid#2,kill:2@point=restore-mid#4",
        "kill:1@point=restore-mid,kill:1@point=respawned",
    ] {
        let scratch = Scratch::new();
        let d = scratch.join("d");
        broken(&d, "4", "2", &[]);
        let options = ["-n", "3", "--ckpt-every", "20steps", "--ckpt-dir", &d, "--resume"];
        let ended = spread(&[&options[..], &["--inject", faults]].concat(), &[]).code(0);
        let ended = ended.says("of 4 ranks, put together for 3").says("FAILED");
        assert_eq!(ended.value("result digest"), free, "{faults}");
    }
}

#[test]
fn versions_of_the_new_number_are_gone_on_with_as_they_are_or_put_together_again() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    let free = spread(&["-n", "1"], &[]).code(0).value("result digest");
    broken(&d, "4", "2", &[]);
    let options = ["--policy", "abort", "--ckpt-every", "20steps", "--ckpt-dir", &d, "--resume"];
    let fault = ["--inject", "kill:0@point=published#3"];
    for (n, says) in
        [("6", "of 4 ranks, put together for 6"), ("2", "of 6 ranks, put together for 2")]
    {
        spread(&[&["-n", n], &options[..], &fault].concat(), &[]).code(137).says(says);
    }
    let ended = resume(&d, "2", &[]).code(0);
    assert!(!ended.stderr.contains("put together"), "{}", ended.stderr);
    assert_eq!(ended.value("result digest"), free);
}

#[test]
fn a_launcher_that_is_killed_behind_it_is_gone_on_with() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    let free = spread(&["-n", "1"], &[]).code(0).value("result digest");
    broken(&d, "3", "2", &[]);
    let probe = program("probe");
    let options = ["-n", "5", "--ckpt-every", "20steps", "--ckpt-dir", &d, "--resume", &probe];
    let mut job = start(&[&options[..], WORK].concat());
    job.until("of 3 ranks, put together for 5");
    job.signal("KILL");
    job.end().code(-9);
    assert_eq!(resume(&d, "4", &[]).code(0).value("result digest"), free);
}

/// Where the third field, the array, lies in an image.
const CELLS_AT: usize = 3 * 4096;

#[test]
fn a_damaged_part_makes_the_version_before_it_serve() {
    for (what, at, why) in [
        ("a bit", Some(CELLS_AT), "chunk 0 of field `spread.cells` has checksum"),
        ("the table", Some(usize::MAX), "table has checksum"),
        ("the file", None, "No such file"),
    ] {
        let scratch = Scratch::new();
        let d = scratch.join("d");
        broken(&d, "3", "3", &[]);
        let (version, shard) = (newest(&scratch), shard(&scratch, 2));
        match at {
            None => fs::remove_file(&shard).unwrap(),
            Some(at) => damage(&shard, |bytes| {
                let at = at.min(bytes.len() - 1);
                bytes[at] ^= 1;
            }),
        }
        let ended = resume(&d, "2", &[]).code(0);
        let bad = format!("version {version} of rank 2 on disk is unusable: ");
        let older = format!("version {} of 3 ranks, put together for 2", version - 1);
        for part in [&*bad, why, &older] {
            assert!(ended.stderr.contains(part), "{what}, {part}: {}", ended.stderr);
        }
    }
}

#[test]
fn with_every_version_damaged_nothing_is_made_up() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    broken(&d, "3", "3", &[]);
    for name in scratch.files("d").iter().filter(|name| name.contains(".r1.")) {
        damage(&scratch.path().join("d").join(name), |bytes| bytes[CELLS_AT] ^= 1);
    }
    let before = scratch.files("d");
    let refused = resume(&d, "5", &[]).code(65).says("every one is damaged");
    let told = refused.stderr.matches("of rank 1 on disk is unusable").count();
    assert_eq!(told, 2, "once a version: {}", refused.stderr);
    assert_eq!(scratch.files("d"), before, "what may still be repaired is left alone");
}

#[test]
fn a_version_with_a_message_under_way_is_passed_over_for_the_one_before() {
    // Two versions are left, of steps 40 and 60 at the latest; behind step 50 messages cross.
    let with = |d: &str, n: &str, late: &str, options: &[&str]| {
        let (probe, all) =
            (program("probe"), ["-n", n, "--ckpt-every", "20steps", "--ckpt-dir", d]);
        let work = ["spread", "--steps", "100", "--spin-us", "5000", "--late-from", late];
        run(&[&all[..], options, &[&probe], &work].concat())
    };
    let dies = ["--policy", "abort", "--inject", "kill:0@step=65"];
    let scratch = Scratch::new();
    let [d, e] = ["d", "e"].map(|name| scratch.join(name));
    let free = with(&e, "1", "50", &[]).code(0).value("result digest");
    with(&d, "3", "50", &dies).code(137);
    let version = newest(&scratch);
    let ended = with(&d, "2", "50", &["--resume"]).code(0);
    let passed = format!("version {version} is passed over: it is of 3 ranks and cannot be put");
    let older = format!("version {} of 3 ranks, put together for 2", version - 1);
    let ended = ended.says(&passed).says("was under way when it was captured").says(&older);
    assert_eq!(ended.value("result digest"), free);
    // With messages under way in each, as many ranks go on and no others.
    let d = scratch.join("all");
    with(&d, "3", "0", &dies).code(137);
    let refused = with(&d, "2", "0", &["--resume"]).code(65).says("give -n 3");
    refused.says("let each rank receive before `checkpoint`");
    with(&d, "3", "0", &["--resume"]).code(0);
}

#[test]
fn what_is_not_declared_or_declared_wrongly_is_refused_by_name() {
    for (wrong, says) in [
        ("undeclared", "the field `spread.sum` does not say what it is of the whole"),
        ("differs", "`spread.mine` is declared to be the same on all ranks, and ranks 1, 2 differ"),
        (
            "shape",
            "`spread.cells` is a part of an array of shape [103, 5] on rank 0 of the version, \
                   where a part of an array of shape [102, 5] is expected",
        ),
        ("kind", "`spread.table` is u64 on rank 0 of the version, where f64 is expected"),
        ("doubled", "ranks 0 and 1 of the version both have element [0, 0] of `spread.cells`"),
    ] {
        let scratch = Scratch::new();
        let d = scratch.join("d");
        let own = ["--wrong", wrong];
        broken(&d, "3", "2", &own);
        let ended = resume(&d, "2", &own).says(says);
        assert!([1, 65].contains(&ended.code), "{wrong}: {} {}", ended.code, ended.stderr);
        if ended.code == 65 {
            assert!(ended.stderr.contains("give -n 3"), "{wrong}: {}", ended.stderr);
        }
        resume(&d, "3", &own).code(0);
    }
}

#[test]
fn heat_paints_the_same_picture_whatever_numbers_of_ranks_painted_it() {
    let scratch = Scratch::new();
    let [plain, out] = ["plain.png", "out.png"].map(|name| scratch.join(name));
    let terrain = root().join("data/jacksboro.asc.gz").to_str().unwrap().to_owned();
    let heat = |options: &[&str], out: &str| {
        run(&[options, &[&program("heat"), &terrain, "--steps", "4000", "--out", out]].concat())
    };
    heat(&["-n", "2"], &plain).code(0);
    for path in [["4", "6", "3"], ["1", "5", "2"]] {
        let d = scratch.join(&path.concat());
        for (k, n) in path.iter().enumerate() {
            let mut options = vec!["-n", n, "--ckpt-every", "20steps", "--ckpt-dir", &d];
            if k < 2 {
                options.extend(["--policy", "abort", "--inject", "kill:0@point=published#2"]);
            }
            if k > 0 {
                options.push("--resume");
            }
            let ended = heat(&options, &out).code(if k < 2 { 137 } else { 0 });
            if k > 0 {
                let _ = ended.says(&format!("of {} ranks, put together for {n}", path[k - 1]));
            }
        }
        assert!(fs::read(&out).unwrap() == fs::read(&plain).unwrap(), "{path:?}");
        fs::remove_file(&out).unwrap();
    }
}

#[test]
fn cg_goes_on_with_another_number_of_ranks_to_its_tolerance() {
    let scratch = Scratch::new();
    let (cg, m, d, out) = (program("cg"), matrix(), scratch.join("d"), scratch.join("x.f64"));
    let options = ["--ckpt-every", "20steps", "--ckpt-dir", &d];
    let fault = ["--policy", "abort", "--inject", "kill:0@point=published#2"];
    let words = [cg.as_str(), &m, "--repeat", "9", "--out", &out];
    run(&[&["-n", "4"], &options[..], &fault, &words].concat()).code(137);
    let ended = run(&[&["-n", "3"], &options[..], &["--resume"], &words].concat()).code(0);
    let ended = ended.says("of 4 ranks, put together for 3");
    // The greatest true residual of all systems: the tolerance, and what the recurrence drifts.
    assert!(ended.value("residual").parse::<f64>().unwrap() <= 2e-10);
    let bytes = fs::read(&out).unwrap();
    let numbers = bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap()));
    // The first system has the solution of all ones.
    let first = numbers.step_by(9).map(|x| (x - 1.0).abs()).fold(0.0, f64::max);
    assert!(first < 1e-4, "{first}");
}
