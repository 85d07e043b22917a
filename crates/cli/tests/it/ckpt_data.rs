//! `mainstay ckpt extract` and `diff`: what they say of data is what is in the files.
//!
//! The reader of `.npy` files here is written from their specification (NEP 1) and shares nothing with
//! the writer.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::checkpoints::{broken, manifests, number};
use crate::ckpt::{of_kind, one};
use crate::harness::{Ended, Scratch, ckpt, matrix, program, root, run};

/// An array as a file says it.
struct Npy {
    descr: String,
    shape: Vec<usize>,
    data: Vec<u8>,
}

impl Npy {
    fn read(path: &str) -> Self {
        let bytes = fs::read(path).unwrap();
        assert_eq!(&bytes[..6], b"\x93NUMPY");
        assert_eq!(bytes[6..8], [1, 0]);
        let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        assert_eq!(end % 64, 0, "aligned for mapping");
        let text = std::str::from_utf8(&bytes[10..end]).unwrap();
        assert!(text.starts_with('{') && text.trim_end().ends_with('}') && text.ends_with('\n'));
        let behind = |key: &str| text.split_once(&format!("'{key}': ")).unwrap().1;
        assert!(behind("fortran_order").starts_with("False"));
        let descr = behind("descr").split('\'').nth(1).unwrap().to_owned();
        let shape = behind("shape").trim_start_matches('(').split(')').next().unwrap();
        let shape: Vec<usize> = shape
            .split(',')
            .map(str::trim)
            .filter(|e| !e.is_empty())
            .map(|e| e.parse().unwrap())
            .collect();
        let data = bytes[end..].to_vec();
        let width: usize = descr[2..].parse().unwrap();
        assert_eq!(data.len(), shape.iter().product::<usize>() * width, "{descr} {shape:?}");
        Self { descr, shape, data }
    }

    fn doubles(&self) -> Vec<f64> {
        assert_eq!(self.descr, "<f8");
        self.data.chunks(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect()
    }
}

/// `heat` on so many ranks, aborted so that its version of this step is on disk; gives its number.
fn heat(n: &str, d: &str, step: u64) -> u64 {
    let terrain = root().join("data/jacksboro.asc.gz");
    let (every, kill) = (format!("{step}steps"), format!("kill:0@step={}", step + 10));
    let options = ["-n", n, "--ckpt-every", &every, "--policy", "abort", "--ckpt-dir", d];
    let fault = ["--inject", &kill, &program("heat"), terrain.to_str().unwrap()];
    run(&[&options[..], &fault].concat()).code(137);
    let version = one(&ckpt(&["ls", d, "--json"]).code(0), "version");
    assert_eq!(version["step"], step);
    version["version"].as_u64().unwrap()
}

fn extract(d: &str, version: u64, words: &[&str], out: &str) -> Ended {
    ckpt(&[&["extract", d, &version.to_string()][..], words, &["-o", out]].concat())
}

/// The fields of a comparison.
fn fields(d: &str, a: u64, b: u64, other: &[&str], code: i32) -> Vec<Value> {
    let words = ["diff", d, &a.to_string(), &b.to_string(), "--json"];
    of_kind(&ckpt(&[&words[..], other].concat()).code(code), "field")
}

#[test]
fn blocks_of_all_ranks_make_the_array_that_one_rank_would_have() {
    let scratch = Scratch::new();
    let (d1, d4) = (scratch.join("d1"), scratch.join("d4"));
    let (v1, v4) = (heat("1", &d1, 30), heat("4", &d4, 30));
    let (one_file, four_file) = (scratch.join("one.npy"), scratch.join("four.npy"));
    extract(&d1, v1, &["heat.u"], &one_file).code(0);
    let told = one(&extract(&d4, v4, &["u", "--json"], &four_file).code(0), "extracted");
    let (one_rank, four_ranks) = (Npy::read(&one_file), Npy::read(&four_file));
    assert_eq!((&one_rank.shape, one_rank.data == four_ranks.data), (&four_ranks.shape, true));
    assert_eq!(told["shape"], Value::from(four_ranks.shape.clone()));
    assert_eq!(told["bytes"], fs::metadata(&four_file).unwrap().len());
    // The same by hand: each rank's part in its place.
    let shown = one(&ckpt(&["show", &d4, &v4.to_string(), "--json"]).code(0), "version");
    let whole = four_ranks.doubles();
    let mut cells = 0;
    for (rank, part) in shown["parts"].as_array().unwrap().iter().enumerate() {
        let file = scratch.join(&format!("r{rank}.npy"));
        extract(&d4, v4, &["heat.u", "--rank", &rank.to_string()], &file).code(0);
        let block = Npy::read(&file);
        let field = &part["fields"][1];
        assert_eq!(field["shape"], Value::from(block.shape.clone()));
        let at: Vec<usize> = serde_json::from_value(field["global_offset"].clone()).unwrap();
        for (i, value) in block.doubles().into_iter().enumerate() {
            let (row, column) = (at[0] + i / block.shape[1], at[1] + i % block.shape[1]);
            let same = whole[row * four_ranks.shape[1] + column];
            assert_eq!(same.to_bits(), value.to_bits(), "rank {rank}, {row}, {column}");
            cells += 1;
        }
    }
    assert_eq!(cells, whole.len());
    // Versions of different numbers of ranks are compared by their indices.
    let found = fields(&d1, v1, v4, &["--other", &d4], 1);
    let outcomes: Vec<_> = found.iter().map(|f| (&f["field"], &f["outcome"])).collect();
    assert_eq!(outcomes[1], (&"heat.u".into(), &"identical".into()), "{found:?}");
    assert_eq!(outcomes[0], (&"heat.step".into(), &"unlike".into()));
}

#[test]
fn a_difference_is_what_the_numbers_say() {
    let scratch = Scratch::new();
    let (d2, d4, d) = (scratch.join("d2"), scratch.join("d4"), scratch.join("d"));
    let (v2, v4, older) = (heat("2", &d2, 30), heat("4", &d4, 30), heat("4", &d, 20));
    assert_eq!(fields(&d4, v4, v4, &[], 0).len(), 2);
    let (a, b) = (scratch.join("a.npy"), scratch.join("b.npy"));
    extract(&d2, v2, &["u"], &a).code(0);
    extract(&d, older, &["u"], &b).code(0);
    let (a, b) = (Npy::read(&a), Npy::read(&b));
    let pairs: Vec<(f64, f64)> = a.doubles().into_iter().zip(b.doubles()).collect();
    let differ = |(a, b): &(f64, f64)| a.to_bits() != b.to_bits();
    let differing = pairs.iter().filter(|pair| differ(pair)).count();
    let first = pairs.iter().position(differ).unwrap();
    let largest = pairs.iter().map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let squares: f64 = pairs.iter().map(|(a, b)| (a - b) * (a - b)).sum();
    let found = fields(&d2, v2, older, &["--other", &d], 1).remove(1);
    assert_eq!((&found["outcome"], &found["differing"]), (&"differs".into(), &differing.into()));
    assert_eq!(found["first"], Value::from(vec![first / a.shape[1], first % a.shape[1]]));
    assert_eq!(found["largest"].as_f64(), Some(largest));
    let l2 = found["l2"].as_f64().unwrap();
    assert!((l2 - squares.sqrt()).abs() <= 1e-9 * l2, "{l2} {squares}");
    // Scalars of the same job, rank by rank.
    let step = fields(&d, older, v4, &["--other", &d4], 1).remove(0);
    assert_eq!((&step["differing"], &step["largest"]), (&4.into(), &10.0.into()), "{step}");
    assert_eq!((&step["first"], &step["first_rank"]), (&vec![0].into(), &0.into()));
    let people =
        ckpt(&["diff", &d, &older.to_string(), &v4.to_string(), "--other", &d4]).code(1).stdout;
    assert!(people.contains("rank 0 [0]") && people.contains("differ in 2 of 2"), "{people}");
}

#[test]
fn solutions_of_cg_are_put_together_by_rows() {
    let scratch = Scratch::new();
    let (cg, d, file) = (program("cg"), scratch.join("d"), scratch.join("xs.npy"));
    let options = ["-n", "3", "--ckpt-every", "20steps", "--ckpt-dir", &d, "--policy", "abort"];
    let fault = ["--inject", "kill:1@point=published#2", &cg, &matrix(), "--repeat", "3"];
    run(&[&options[..], &fault].concat()).code(137);
    let newest = one(&ckpt(&["ls", &d, "--json"]).code(0), "directory")["resumed"].clone();
    let newest = newest.as_u64().unwrap();
    for field in ["x", "r", "xs"] {
        let _none = fs::remove_file(&file);
        extract(&d, newest, &[field], &file).code(0);
        let whole = Npy::read(&file);
        let mut joined = Vec::new();
        for rank in ["0", "1", "2"] {
            let part = scratch.join("part.bin");
            extract(&d, newest, &[field, "--rank", rank, "--raw", "--force"], &part).code(0);
            joined.extend(fs::read(&part).unwrap());
        }
        assert!(whole.data == joined, "{field}: rows follow each other");
        assert_eq!(whole.shape[0], 4884, "{field}");
    }
}

#[test]
fn a_file_is_never_replaced_unasked_and_requests_that_cannot_be_met_say_what_can() {
    let scratch = Scratch::new();
    let (d, out) = (scratch.join("d"), scratch.join("out.npy"));
    broken(&d);
    let version = number(&manifests(&scratch).pop().unwrap());
    let step = ["step", "--rank", "2"];
    extract(&d, version, &step, &out).code(0);
    let array = Npy::read(&out);
    assert_eq!((array.descr.as_str(), &array.shape), ("<u8", &vec![1]));
    let first = fs::read(&out).unwrap();
    extract(&d, version, &["sum", "--rank", "0"], &out).code(73).says("--force");
    assert_eq!(fs::read(&out).unwrap(), first);
    extract(&d, version, &["words", "--rank", "0", "--force"], &out).code(0);
    assert_eq!(Npy::read(&out).data.len(), 200_000);
    let other = scratch.join("other");
    extract(&d, version, &["step"], &other).code(65).says("no global shape").says("--rank R");
    extract(&d, version, &["step", "--rank", "3"], &other).code(65).says("ranks are 0 to 2");
    extract(&d, version, &["none"], &other).code(65).says("work.step, work.sum, work.words");
    extract(&d, version + 9, &step, &other).code(65).says("it holds");
    extract(&d, version, &step, &scratch.join("no/such")).code(73).says("cannot be written");
    extract(&d, version, &step, scratch.path().to_str().unwrap()).code(73);
    ckpt(&["extract", &d, "1", "step", "--rank", "-1", "-o", &other]).code(2);
    assert!(!Path::new(&other).exists());
    let names: Vec<_> = fs::read_dir(scratch.path()).unwrap().collect();
    assert_eq!(names.len(), 2, "the directory and one file: nothing aside is left");
}
