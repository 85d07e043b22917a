//! Going on with a job that was cut short, and refusing what is not that job.

use std::fs;

use crate::checkpoints::{WORK, broken, damage, manifests, notes, number, resumed};
use crate::harness::{Scratch, matrix, none_left, program, run, start};

#[test]
fn when_every_version_is_damaged_nothing_is_made_up() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    broken(&d);
    for name in scratch.files("d").iter().filter(|name| name.ends_with(".shard")) {
        damage(&scratch.path().join("d").join(name), |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        });
    }
    let probe = program("probe");
    let words = ["-n", "3", "--ckpt-dir", &d, "--resume", &probe];
    run(&[&words[..], WORK].concat()).code(65).says("every one is damaged");
    for name in scratch.files("d").iter().filter(|name| name.ends_with(".manifest")) {
        fs::write(scratch.path().join("d").join(name), b"nonsense").unwrap();
    }
    run(&[&words[..], WORK].concat()).code(65).says("nothing to resume");
}

#[test]
fn a_job_whose_versions_are_all_damaged_keeps_its_own_directory() {
    let scratch = Scratch::new();
    let probe = program("probe");
    let start = |options: &[&str]| {
        let mut run = std::process::Command::new(env!("CARGO_BIN_EXE_mainstay"));
        run.args(["run", "-n", "3", "--ckpt-every", "20steps"]).args(options).arg(&probe);
        run.args(WORK).env("XDG_STATE_HOME", scratch.path()).output().unwrap()
    };
    let first = start(&["--policy", "abort", "--inject", "kill:1@point=published#2"]);
    assert_eq!(first.status.code(), Some(137));
    let jobs = scratch.path().join("mainstay/jobs");
    let directory = fs::read_dir(&jobs).unwrap().next().unwrap().unwrap().path();
    let list = || {
        let entries = fs::read_dir(&directory).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    };
    let before = list();
    for shard in before.iter().filter(|path| path.extension().is_some_and(|e| e == "shard")) {
        damage(shard, |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        });
    }
    for _ in 0..2 {
        let again = start(&["--resume"]);
        assert_eq!(again.status.code(), Some(65));
        let stderr = String::from_utf8_lossy(&again.stderr);
        assert!(stderr.contains("every one is damaged"), "{stderr}");
        assert_eq!(list(), before, "what may still be repaired is left alone");
    }
}

#[test]
fn a_resume_means_the_newest_job_that_it_fits() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    broken(&d);
    let own = manifests(&scratch).pop().unwrap();
    // Another job in the same place, with other arguments and higher numbers.
    let probe = program("probe");
    let other = ["-n", "2", "--policy", "abort", "--ckpt-every", "20steps", "--ckpt-dir", &d];
    let fault = ["--inject", "kill:1@point=published#2", &probe, "steps", "9000"];
    run(&[&other[..], &fault, &["--spin-us", "500"]].concat()).code(137);
    let ended = resumed(&d, &[]).code(0);
    assert!(notes(&ended, "is passed over: it is another one"), "{}", ended.stdout);
    assert_eq!(ended.summary()["resumed_from"], number(&own));
    // What fits nobody is refused, and every job named.
    let words = ["-n", "2", "--ckpt-dir", &d, "--resume", &probe, "steps", "7"];
    let refused = run(&words).code(65);
    assert_eq!(refused.stderr.matches("job ").count(), 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("`9000` then, `7` now"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("go on from it"), "the same words would come to the same");
}

#[test]
fn a_job_in_its_own_directory_is_gone_on_with_by_name() {
    let probe = program("probe");
    let options = ["-n", "2", "--policy", "abort", "--ckpt-every", "20steps", "--inject"];
    let mut job = start(&[&options[..], &["kill:1@point=published#2", &probe], WORK].concat());
    let told = job.until("go on from it with: mainstay run -n 2 --resume=");
    let id = told.split("job ").nth(1).unwrap().split(':').next().unwrap().to_owned();
    let rest = job.until("\n");
    assert!(format!("{told}{rest}").contains(&format!("--resume={id} {probe} ")), "{told}{rest}");
    job.end().code(137);
}

#[test]
fn a_directory_is_looked_at_before_a_twin_or_for_a_dry_run() {
    let scratch = Scratch::new();
    let (probe, d) = (program("probe"), scratch.join("d"));
    let file = scratch.join("file");
    fs::write(&file, b"").unwrap();
    let mark = scratch.join("ran");
    let touch = ["sh", "-c", "touch \"$0\"", &mark];
    run(&[&["--twin", "--ckpt-dir", &file][..], &touch].concat()).code(73);
    run(&[&["--twin", "--ckpt-dir", &d, "--resume"][..], &touch].concat()).code(65);
    assert!(!scratch.path().join("ran").exists(), "nothing ran");
    let dry = |words: &[&str]| run(&[&["--dry-run", "--ckpt-dir"][..], words].concat());
    dry(&[&file, &probe]).code(73).says("a directory is needed");
    dry(&[&d, "--resume", &probe]).code(65).says("nothing to resume");
    dry(&[&d, &probe]).code(0);
    assert!(!scratch.path().join("d").exists(), "a dry run makes nothing");
    let mut job = start(&["--ckpt-dir", &d, &probe, "steps", "4000", "--spin-us", "1000"]);
    job.until("committed");
    dry(&[&d, &probe]).code(73).says("is in use by process");
    job.signal("TERM");
    job.end().code(143);
}

#[test]
fn another_program_arguments_ranks_or_input_are_refused_by_name() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    broken(&d);
    let probe = program("probe");
    let with = |n: &str, words: &[&str]| {
        run(&[&["-n", n, "--ckpt-dir", &d, "--resume"][..], words].concat()).code(65)
    };
    with("3", &[&probe, "steps", "500", "--spin-us", "500", "--bytes", "200000"])
        .says("`400` then, `500` now");
    with("2", &[&[probe.as_str()], WORK].concat()).says("give -n 3");
    with("3", &[&["--seed", "7", &probe], WORK].concat()).says("its seed was 0 and is 7");
    let other = scratch.join("other");
    fs::copy(&probe, &other).unwrap();
    damage(std::path::Path::new(&other), |bytes| bytes.push(0));
    with("3", &[&[other.as_str()], WORK].concat()).says("another program");
    with("3", &[&["/bin/echo"], WORK].concat()).says("never joined the job");
    let missing = scratch.join("missing");
    run(&["-n", "3", "--ckpt-dir", &missing, "--resume", &probe]).code(65).says("no directory");
}

#[test]
fn a_resumed_job_keeps_its_seed() {
    let scratch = Scratch::new();
    let (probe, d) = (program("probe"), scratch.join("d"));
    let options = ["-n", "2", "--seed", "7", "--ckpt-every", "20steps", "--ckpt-dir", &d];
    let fault = ["--policy", "abort", "--inject", "kill:1@point=published#2", &probe];
    let work = ["random", "--steps", "200", "--spin-us", "300"];
    let ended = run(&[&options[..], &fault, &work].concat()).code(137);
    assert!(ended.stderr.contains("-n 2 --seed 7 "), "{}", ended.stderr);
    let words = [&options[..], &["--resume", "--twin", &probe], &work].concat();
    assert_eq!(run(&words).code(0).value("bit-identical"), "yes");
}

#[test]
fn another_matrix_under_the_same_name_is_refused() {
    let scratch = Scratch::new();
    let (cg, d, m) = (program("cg"), scratch.join("d"), scratch.join("m.mtx.gz"));
    fs::copy(matrix(), &m).unwrap();
    let options = ["-n", "2", "--ckpt-every", "20steps", "--ckpt-dir", &d];
    let fault = ["--policy", "abort", "--inject", "kill:1@point=published#2"];
    run(&[&options[..], &fault, &[&cg, &m, "--repeat", "3"]].concat()).code(137);
    let small = "%%MatrixMarket matrix coordinate real symmetric\n2 2 2\n1 1 1.0\n2 2 1.0\n";
    fs::write(&m, small).unwrap();
    run(&[&options[..], &["--resume", &cg, &m, "--repeat", "3"]].concat())
        .code(65)
        .says("input `matrix` has other bytes");
}

#[test]
fn a_killed_launcher_leaves_no_process_and_its_versions() {
    let scratch = Scratch::new();
    let d = scratch.join("d");
    let probe = program("probe");
    let options = ["-n", "3", "--ckpt-every", "20steps", "--ckpt-dir", &d, &probe];
    let mut first = start(&[&options[..], WORK].concat());
    first.until("published");
    let mark = first.mark();
    first.signal("KILL");
    first.end().code(-9);
    none_left(&mark);
    assert_eq!(resumed(&d, &["--ckpt-every", "20steps"]).code(0).summary()["bit_identical"], true);
}

#[test]
fn a_file_of_an_epoch_that_no_job_reaches_is_refused_by_name() {
    let scratch = Scratch::new();
    let (probe, d) = (program("probe"), scratch.join("d"));
    fs::create_dir(scratch.path().join("d")).unwrap();
    let name = "v00000001.e4294967294.r0.i0.shard";
    fs::write(scratch.path().join("d").join(name), b"").unwrap();
    run(&["-n", "2", "--ckpt-dir", &d, &probe]).code(73).says("epoch 4294967294");
}
