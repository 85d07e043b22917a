//! Bad options and bad input: refused before anything starts, or by the program, by name.

use std::fs;

use crate::harness::{Scratch, matrix, program, run, start};

#[test]
fn bad_options_exit_with_2_and_teach() {
    let probe = program("probe");
    for (words, text) in [
        (vec!["-n", "0", &probe], "at least 1 rank"),
        (vec!["-n", "x", &probe], "a whole number"),
        (vec!["-n", "2"], "<PROGRAM>"),
        (vec!["-n", "2", "--inject", "kill:5@step=1", &probe], "ranks of this job are 0 to 1"),
        (vec!["--inject", "boil:0@step=1", &probe], "kill, stop, exit:CODE, segv or panic"),
        (vec!["--inject", "kill:0@point=nowhere", &probe], "--list-points"),
        (vec!["--ckpt-every", "sometimes", &probe], "100steps"),
        (vec!["--lost-after", "soon", &probe], "500ms"),
        (vec!["--lost-after", "0s", &probe], "more than zero"),
        (vec!["--heartbeat", "0s", &probe], "more than zero"),
        (vec!["--hang-after", "0ms", &probe], "more than zero"),
        (vec!["--rejoin-within", "0.0001us", &probe], "more than zero"),
        (vec!["--resume=zz", &probe], "32 hexadecimal digits"),
        (vec!["--chkpt-every", "50steps", &probe], "a similar argument exists: '--ckpt-every'"),
        (vec!["-x", &probe], "unexpected argument '-x'"),
    ] {
        run(&words).code(2).says(text);
    }
}

#[test]
fn more_ranks_than_memory_are_refused_with_both_numbers() {
    let probe = program("probe");
    let ended = run(&["-n", "1000000", &probe]).code(2).says("1000000 ranks need at least");
    assert!(ended.stderr.contains("GiB are available"), "{}", ended.stderr);
    assert!(ended.stdout.is_empty());
    let summary = run(&["-n", "1000000", "--json", &probe]).code(2).summary();
    assert_eq!(summary["n"], 1_000_000);
}

#[test]
fn a_dry_run_tells_the_plan_and_starts_nothing() {
    let ended = run(&["-n", "4", "--dry-run", "--mtbf", "24h", "/nowhere/solver", "x"]).code(0);
    for (key, value) in [
        ("command", "/nowhere/solver x"),
        ("interval", "auto for one failure in 24.0 h"),
        ("policy", "rollback"),
    ] {
        let line = ended.stdout.lines().find(|line| line.starts_with(key)).unwrap();
        assert!(line.ends_with(value), "{line}");
    }
    for key in ["ranks:", "memory:", "directory:", "environment:"] {
        assert!(ended.stdout.contains(key), "{key}");
    }
    let ended = run(&["-n", "4", "--dry-run", "--json", "/nowhere/solver"]).code(0);
    assert_eq!((&ended.summary()["n"], &ended.events()[0]["event"]), (&4.into(), &"plan".into()));
}

#[test]
fn the_points_are_listed() {
    let ended = run(&["--list-points"]).code(0);
    assert_eq!(ended.stdout.lines().count(), mainstay_types::Point::ALL.len());
}

#[test]
fn a_bad_matrix_exits_with_65_and_names_file_and_line() {
    let scratch = Scratch::new();
    let cg = program("cg");
    let header = "%%MatrixMarket matrix coordinate real symmetric\n";
    for (name, text, says) in [
        ("index.mtx", format!("{header}2 2 2\n1 1 1.0\n3 1 1.0\n"), "index.mtx:4"),
        ("short.mtx", format!("{header}2 2 2\n1 1 1.0\n"), "short.mtx"),
        ("array.mtx", "%%MatrixMarket matrix array real general\n".to_owned(), "array"),
        ("complex.mtx", header.replace("real", "complex"), "complex"),
        ("skew.mtx", header.replace("symmetric", "skew-symmetric"), "skew"),
        ("empty.mtx", String::new(), "empty.mtx"),
        ("number.mtx", format!("{header}1 1 1\n1 1 one\n"), "number.mtx:3"),
        ("huge.mtx", format!("{header}2 2 99999999999\n1 1 1.0\n"), "huge.mtx"),
        (
            "indefinite.mtx",
            format!("{header}2 2 3\n1 1 1\n2 1 9\n2 2 4\n"),
            "not positive definite",
        ),
    ] {
        fs::write(scratch.path().join(name), text).unwrap();
        let ended = run(&["-n", "3", &cg, &scratch.join(name)]).code(65).says(says);
        let lines = ended.stderr.lines().filter(|line| line.starts_with("cg: ")).count();
        assert_eq!(lines, 1, "said once: {}", ended.stderr);
    }
    run(&["-n", "3", &cg, &scratch.join("missing.mtx")]).code(65).says("missing.mtx");
    let whole = fs::read(matrix()).unwrap();
    fs::write(scratch.path().join("cut.mtx.gz"), &whole[..whole.len() / 2]).unwrap();
    run(&["-n", "3", &cg, &scratch.join("cut.mtx.gz")]).code(65).says("cut.mtx.gz");
}

#[test]
fn an_output_that_cannot_be_written_is_refused_as_it_is_declared() {
    let (cg, matrix, scratch) = (program("cg"), matrix(), Scratch::new());
    let out = scratch.join("missing/x.f64");
    let ended = run(&["-n", "2", &cg, &matrix, "--repeat", "200", "--out", &out]).code(73);
    let ended = ended.says("missing/x.f64 cannot be written").says("make its directory");
    assert!(!ended.stderr.contains("committed"), "before any work: {}", ended.stderr);
}

#[test]
fn an_output_that_cannot_be_written_any_more_keeps_the_versions() {
    let scratch = Scratch::new();
    let (cg, matrix, d) = (program("cg"), matrix(), scratch.join("d"));
    let (out, place) = (scratch.join("o/x.f64"), scratch.path().join("o"));
    fs::create_dir(&place).unwrap();
    let options = ["-n", "2", "--ckpt-every", "20steps", "--ckpt-dir", &d];
    let mut job = start(&[&options[..], &[&cg, &matrix, "--repeat", "4", "--out", &out]].concat());
    job.until("published");
    fs::remove_dir(&place).unwrap();
    job.end().code(73).says("x.f64 cannot be written").says("go on from it with");
}

#[test]
fn an_output_replaces_no_input_and_nothing_but_a_file() {
    let (cg, scratch) = (program("cg"), Scratch::new());
    let copy = scratch.join("m.mtx.gz");
    fs::copy(matrix(), &copy).unwrap();
    run(&["-n", "2", &cg, &copy, "--out", &copy]).code(65).says("it is an input");
    assert_eq!(fs::read(&copy).unwrap(), fs::read(matrix()).unwrap());
    let pipe = scratch.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    run(&["-n", "2", &cg, &copy, "--out", &pipe]).code(73).says("and no file");
}

#[test]
fn an_output_has_the_digest_of_the_report() {
    use sha2::{Digest, Sha256};
    let scratch = Scratch::new();
    let (cg, matrix, out) = (program("cg"), matrix(), scratch.join("x.f64"));
    let options = ["-n", "3", "--ckpt-every", "20steps", "--inject", "kill:1@step=60"];
    let ended = run(&[&options[..], &[&cg, &matrix, "--out", &out]].concat()).code(0);
    let bytes = fs::read(&out).unwrap();
    assert_eq!(bytes.len(), 4884 * 8);
    let digest: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(ended.value("result digest"), digest);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1, "nothing lies beside it");
}

#[test]
fn a_wrong_command_line_ends_with_a_summary_too() {
    let probe = program("probe");
    for (words, text) in [
        (vec!["--json", "-n", "0", &probe], "at least 1 rank"),
        (vec!["--heartbeat", "0s", "--json", &probe], "more than zero"),
        (vec!["--json"], "<PROGRAM>"),
    ] {
        let ended = run(&words).code(2);
        let summary = ended.summary();
        assert_eq!((&summary["exit"], &summary["policy"]), (&2.into(), &"rollback".into()));
        assert!(ended.events()[0]["text"].as_str().unwrap().contains(text), "{}", ended.stdout);
        assert!(ended.stderr.is_empty(), "{}", ended.stderr);
    }
    let ended = run(&["-n", "0", &probe, "--json"]).code(2).says("at least 1 rank");
    assert!(ended.stdout.is_empty(), "that option is the program's");
    let words = ["-n", "1000000", "--policy", "restart", "--json", &probe];
    assert_eq!(run(&words).code(2).summary()["policy"], "restart");
}

#[test]
fn a_twin_publishes_nothing() {
    let scratch = Scratch::new();
    let (cg, matrix, out) = (program("cg"), matrix(), scratch.join("x.f64"));
    let options = ["-n", "2", "--twin", "--max-restarts", "0", "--inject", "kill:1@step=60"];
    run(&[&options[..], &[&cg, &matrix, "--out", &out]].concat()).code(137);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "the run as asked failed");
    let options = ["-n", "2", "--twin", "--ckpt-every", "20steps", "--inject", "kill:1@step=60"];
    let ended = run(&[&options[..], &[&cg, &matrix, "--out", &out]].concat()).code(0);
    assert_eq!(ended.value("bit-identical"), "yes");
    assert_eq!(fs::read(&out).unwrap().len(), 4884 * 8);
}

#[test]
fn the_command_that_resumes_can_be_pasted() {
    let scratch = Scratch::new();
    let (cg, input, d) = (program("cg"), scratch.join("it's a matrix.mtx.gz"), scratch.join("d d"));
    fs::copy(matrix(), &input).unwrap();
    let options = ["-n", "2", "--ckpt-every", "20steps", "--ckpt-dir", &d, "--max-restarts", "0"];
    let fault = ["--inject", "kill:1@step=60"];
    let ended = run(&[&options[..], &fault, &[&cg, &input]].concat()).code(137);
    let hint = ended.stderr.split("go on from it with: mainstay ").nth(1).unwrap();
    let script = format!("{} {}", env!("CARGO_BIN_EXE_mainstay"), hint.lines().next().unwrap());
    let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {stderr}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("result digest: "));
}
