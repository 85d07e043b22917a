//! `heat`: the same picture whatever dies, whenever, on every number of ranks; and bad input.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::harness::{Ended, Scratch, program, root, run, start};

fn terrain() -> String {
    root().join("data/jacksboro.asc.gz").to_str().unwrap().to_owned()
}

/// `heat` with these options of the launcher and these of its own.
fn heat(options: &[&str], own: &[&str]) -> Ended {
    let (heat, terrain) = (program("heat"), terrain());
    run(&[options, &[&heat, &terrain, "--steps", "120"], own].concat())
}

fn digest(path: &str) -> String {
    Sha256::digest(fs::read(path).unwrap()).iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn the_field_is_the_same_on_every_number_of_ranks_and_keeps_its_heat() {
    let lone = heat(&["-n", "1"], &[]).code(0);
    for ranks in ["2", "3", "4", "6"] {
        let ended = heat(&["-n", ranks], &[]).code(0);
        for key in ["result digest", "heat", "drift", "mean", "min", "max", "time"] {
            assert_eq!(ended.value(key), lone.value(key), "{key} on {ranks} ranks");
        }
    }
    assert!(lone.value("drift").parse::<f64>().unwrap() < 1e-14);
    let [min, max] = ["min", "max"].map(|key| lone.value(key).parse::<f64>().unwrap());
    assert!(min > 236.0 && max < 1200.0 && min < max, "{min} {max}");
}

#[test]
fn a_killed_rank_changes_no_pixel() {
    let scratch = Scratch::new();
    let [plain, killed] = ["plain.png", "killed.png"].map(|name| scratch.join(name));
    let free = heat(&["-n", "1"], &["--out", &plain]).code(0);
    assert_eq!(free.value("result digest"), digest(&plain));
    assert!(fs::read(&plain).unwrap().starts_with(b"\x89PNG"));
    for fault in ["kill:2@step=60", "kill:*@step=33", "kill:0@point=send#150,kill:3@step=90"] {
        // One that strikes every rank is as many failures without progress.
        let budget = ["--max-restarts", "9"];
        let options =
            [&["-n", "4", "--ckpt-every", "10steps", "--inject", fault], &budget[..]].concat();
        let ended = heat(&options, &["--out", &killed]).code(0);
        assert_eq!(digest(&killed), digest(&plain), "{fault}");
        assert_eq!(ended.value("result digest"), digest(&plain), "{fault}");
        assert!(ended.stderr.contains("FAILED"), "{}", ended.stderr);
        fs::remove_file(&killed).unwrap();
    }
}

#[test]
fn a_rank_that_dies_as_it_finishes_leaves_one_whole_picture() {
    let scratch = Scratch::new();
    let [plain, killed] = ["plain.png", "killed.png"].map(|name| scratch.join(name));
    heat(&["-n", "3"], &["--out", &plain]).code(0);
    for fault in [
        "kill:0@point=finish-mid",
        "kill:1@point=finish-mid",
        "kill:0@point=finish-mid,kill:2@point=finish-mid",
        "kill:0@point=finished",
    ] {
        let options = ["-n", "3", "--ckpt-every", "10steps", "--inject", fault];
        heat(&options, &["--out", &killed]).code(0);
        assert_eq!(digest(&killed), digest(&plain), "{fault}");
        assert_eq!(scratch.files("").len(), 2, "nothing lies beside it");
        fs::remove_file(&killed).unwrap();
    }
    // Given up in the end: no picture, not half of one.
    let options = ["-n", "3", "--policy", "abort", "--inject", "kill:0@step=120"];
    heat(&options, &["--out", &killed]).code(137);
    assert_eq!(scratch.files(""), ["plain.png"]);
}

#[test]
fn a_job_that_was_cut_short_is_gone_on_with_to_the_same_picture() {
    let scratch = Scratch::new();
    let [d, plain, out] = ["d", "plain.png", "out.png"].map(|name| scratch.join(name));
    let (program, terrain) = (program("heat"), terrain());
    let words = |options: &[&str], out: &str| -> Vec<String> {
        let own = [&program, &terrain, "--steps", "4000", "--out", out];
        [&["-n", "2", "--ckpt-every", "20steps"][..], options, &own]
            .concat()
            .iter()
            .map(|word| (*word).to_owned())
            .collect()
    };
    let with = |words: Vec<String>| -> Ended {
        run(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    with(words(&[], &plain)).code(0);
    let first = words(&["--ckpt-dir", &d], &out);
    let mut job = start(&first.iter().map(String::as_str).collect::<Vec<_>>());
    job.until("published");
    job.signal("KILL");
    job.end().code(-9);
    assert!(!Path::new(&out).exists());
    let ended = with(words(&["--ckpt-dir", &d, "--resume", "--json"], &out)).code(0);
    assert!(ended.summary()["resumed_from"].as_u64().unwrap() >= 1);
    assert_eq!(digest(&out), digest(&plain));
}

#[test]
fn more_ranks_than_cells_and_a_field_with_walls_end_right() {
    let scratch = Scratch::new();
    let [input, out, again] = ["in.asc", "out.asc", "again.asc"].map(|name| scratch.join(name));
    let header = "ncols 3\nnrows 1\nxllcorner 0\nyllcorner 0\ncellsize 2\n";
    fs::write(&input, format!("{header}8 -9999 4\n")).unwrap();
    let options = ["-n", "5", "--ckpt-every", "50steps", "--inject", "kill:4@step=2000", "--twin"];
    let with = |steps: &str| {
        let own = [&program("heat"), &input, "--steps", steps, "--out", &out];
        run(&[&options[..], &own].concat()).code(0)
    };
    // Ranks without a cell keep step, or there would be no version to go on from.
    let ended = with("3000");
    assert_eq!(ended.value("bit-identical"), "yes");
    assert!(ended.stderr.contains("going on from version"), "{}", ended.stderr);
    assert_eq!(
        fs::read_to_string(&out).unwrap(),
        format!("{header}NODATA_value -9999\n8 -9999 4\n")
    );
    fs::write(&input, format!("{header}8 0 4\n")).unwrap();
    let ended = with("3000");
    assert!((ended.value("mean").parse::<f64>().unwrap() - 4.0).abs() < 1e-14);
    assert_eq!(ended.value("time"), "2250.0");
    // A grid that was written is a raster like any other.
    let own = [&program("heat"), &out, "--steps", "0", "--out", &again];
    run(&[&["-n", "2"][..], &own].concat()).code(0);
    assert_eq!(digest(&again), digest(&out));
}

#[test]
fn a_bad_raster_exits_with_65_and_names_file_line_and_column() {
    let scratch = Scratch::new();
    let heat = program("heat");
    let header = "ncols 2\nnrows 2\nxllcorner 0\nyllcorner 0\ncellsize 1\n";
    let huge = header.replace(" 2\n", " 1000000000\n");
    for (name, text, says) in [
        ("huge.asc", format!("{huge}1 2\n"), "huge.asc:2:7: 1000000000 columns by 1000000000 rows"),
        ("short.asc", format!("{header}1 2 3\n"), "short.asc:7:1: the file ends after 3 of 4"),
        ("nan.asc", format!("{header}1 2\n3 nan\n"), "nan.asc:7:3: `nan` is not a number"),
        ("holes.asc", format!("{header}-9999 -9999 -9999 -9999"), "every cell is missing"),
        ("key.asc", header.replace("cellsize 1\n", "1 2 3 4"), "key.asc:5:1: the header lacks"),
        ("colour.ppm", "P6 1 1 255\nabc".to_owned(), "colour.ppm:1:1: `P6` is not supported"),
        ("text.asc", "hello\n".to_owned(), "text.asc:1:1: the file begins with `hello"),
        ("empty.png", String::new(), "empty.png: the file is empty"),
    ] {
        fs::write(scratch.path().join(name), text).unwrap();
        let ended = run(&["-n", "3", &heat, &scratch.join(name)]).code(65).says(says);
        let lines = ended.stderr.lines().filter(|line| line.starts_with("heat: ")).count();
        assert_eq!(lines, 1, "said once: {}", ended.stderr);
    }
    run(&["-n", "3", &heat, &scratch.join("missing.asc")]).code(65).says("missing.asc");
}

#[test]
fn a_picture_replaces_no_input_and_its_place_is_looked_at_first() {
    let scratch = Scratch::new();
    let (heat, copy) = (program("heat"), scratch.join("t.asc"));
    fs::copy(terrain(), &copy).unwrap();
    run(&["-n", "2", &heat, &copy, "--out", &copy]).code(65).says("it is an input");
    assert_eq!(fs::read(&copy).unwrap(), fs::read(terrain()).unwrap());
    let out = scratch.join("missing/p.png");
    let ended = run(&["-n", "2", &heat, &copy, "--out", &out]).code(73).says("make its directory");
    assert!(!ended.stderr.contains("committed"), "before any work: {}", ended.stderr);
    run(&["-n", "2", &heat, &copy, "--out", "p.jpg"]).code(2).says("must end in .png");
}

#[test]
fn another_raster_under_the_same_name_is_refused() {
    let scratch = Scratch::new();
    let [d, input] = ["d", "t.pgm"].map(|name| scratch.join(name));
    fs::write(&input, "P2 2 2 9 1 2 3 4").unwrap();
    let options = ["-n", "2", "--ckpt-every", "20steps", "--ckpt-dir", &d];
    let own = [&program("heat"), &input, "--steps", "100000"];
    let fault = ["--policy", "abort", "--inject", "kill:1@point=published#1"];
    run(&[&options[..], &fault, &own].concat()).code(137);
    fs::write(&input, "P2 2 2 9 1 2 3 5").unwrap();
    run(&[&options[..], &["--resume"], &own].concat())
        .code(65)
        .says("input `raster` has other bytes");
}
