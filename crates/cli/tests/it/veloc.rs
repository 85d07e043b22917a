//! `mainstay ckpt import veloc`: files made to VELOC's layout by hand, whole and damaged.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::ckpt::{content, of_kind, one};
use crate::harness::{Scratch, ckpt, program, run};

const MAPPING: &str = "0=u:f64[6,4]";

/// What a rank has in region 0: whole rows of 4, rank 0 two of them and rank 1 four.
fn rows(rank: u32, version: u32) -> Vec<u8> {
    let rows = if rank == 0 { 0..8 } else { 8..24 };
    rows.flat_map(|i| (f64::from(i) + f64::from(version) / 16.0).to_le_bytes()).collect()
}

/// A file as `client_impl_t::checkpoint_mem` writes it.
fn file(regions: &[(i32, &[u8])]) -> Vec<u8> {
    let mut bytes = (regions.len() as u64).to_le_bytes().to_vec();
    for (id, data) in regions {
        bytes.extend(id.to_le_bytes());
        bytes.extend((data.len() as u64).to_le_bytes());
    }
    bytes.extend(regions.iter().flat_map(|(_, data)| data.iter().copied()));
    bytes
}

fn write(dir: &Path, version: u32) {
    fs::create_dir_all(dir).unwrap();
    for rank in 0..2 {
        let bytes = file(&[(0, &rows(rank, version)), (3, &version.to_le_bytes())]);
        fs::write(dir.join(format!("heat-{rank}-{version}.dat")), bytes).unwrap();
    }
}

#[test]
fn whole_versions_are_imported_bit_for_bit_and_others_refused_by_name() {
    let scratch = Scratch::new();
    let (from, d) = (scratch.join("veloc"), scratch.join("d"));
    let dir = Path::new(&from);
    (1..=5).for_each(|version| write(dir, version));
    fs::remove_file(dir.join("heat-1-2.dat")).unwrap();
    let torn = fs::read(dir.join("heat-0-3.dat")).unwrap();
    fs::write(dir.join("heat-0-3.dat"), &torn[..torn.len() - 1]).unwrap();
    let mut flipped = fs::read(dir.join("heat-1-4.dat")).unwrap();
    fs::write(dir.join("heat-1-4.dat.chksum"), Sha256::digest(&flipped)).unwrap();
    flipped[100] ^= 1;
    fs::write(dir.join("heat-1-4.dat"), flipped).unwrap();
    let good = fs::read(dir.join("heat-1-5.dat")).unwrap();
    fs::write(dir.join("heat-1-5.dat.chksum"), Sha256::digest(good)).unwrap();
    let before = content(dir);
    let words = ["import", "veloc", &from, "--out", &d, "--field", MAPPING, "--json"];
    let ended = ckpt(&words).code(65);
    assert_eq!(content(dir), before, "the source is only read");
    let told = of_kind(&ended, "imported");
    let errors: Vec<&str> = told.iter().map(|o| o["error"].as_str().unwrap_or("")).collect();
    assert_eq!((errors[0], errors[1], errors[4]), ("", "it has no file of rank 1", ""));
    assert!(errors[2].contains("heat-0-3.dat: it has 99 bytes"), "{}", errors[2]);
    assert!(errors[2].contains("its header says 100"), "{}", errors[2]);
    assert!(errors[3].contains("heat-1-4.dat") && errors[3].contains("SHA-256"), "{}", errors[3]);
    let summary = one(&ended, "summary");
    assert_eq!((summary["imported"].as_u64(), summary["n"].as_u64()), (Some(2), Some(2)));
    // Nothing of a refused version stays, and what is there is whole.
    let versions = of_kind(&ckpt(&["ls", &d, "--json"]).code(0), "version");
    let numbers: Vec<_> = versions.iter().map(|v| v["version"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 5]);
    ckpt(&["verify", &d]).code(0);
    for version in [1, 5] {
        let (v, out) = (version.to_string(), scratch.join(&format!("u{version}")));
        ckpt(&["extract", &d, &v, "heat.u", "--raw", "-o", &out]).code(0);
        assert_eq!(fs::read(&out).unwrap(), [rows(0, version), rows(1, version)].concat());
        let out = scratch.join(&format!("n{version}"));
        ckpt(&["extract", &d, &v, "heat.3", "--rank", "1", "--raw", "-o", &out]).code(0);
        assert_eq!(fs::read(&out).unwrap(), version.to_le_bytes());
    }
    // A second import would mix with the first.
    let again = ckpt(&words).code(73);
    assert!(one(&again, "error")["text"].as_str().unwrap().contains("give a new directory"));
}

#[test]
fn what_cannot_be_imported_says_why() {
    let scratch = Scratch::new();
    let (from, d) = (scratch.join("veloc"), scratch.join("d"));
    let import = |more: &[&str], code| {
        ckpt(&[&["import", "veloc", &from, "--out", &d][..], more].concat()).code(code)
    };
    assert!(import(&[], 73).stderr.contains("look at the directory of VELOC"));
    fs::create_dir_all(&from).unwrap();
    assert!(import(&[], 65).stderr.contains("no file of VELOC"));
    write(Path::new(&from), 1);
    fs::write(Path::new(&from).join("other-0-1.dat"), b"").unwrap();
    assert!(import(&[], 65).stderr.contains("heat, other; name one with --name"));
    assert!(import(&["--name", "heta"], 65).stderr.contains("heat, other"));
    assert!(!Path::new(&d).exists(), "nothing was made");
    let other = import(&["--name", "other"], 65).stdout;
    assert!(other.contains("other-0-1.dat: it is cut short in its header"), "{other}");
    for (more, why) in [
        (["--field", "0=u:f64[7,4]"], "the ranks have 6 rows of region 0"),
        (["--field", "9=u:f64"], "no rank has a region 9"),
        (["--ranks", "3"], "it has no file of rank 2"),
        (["--ranks", "1"], "it has a file of rank 1"),
    ] {
        let ended = import(&[&["--name", "heat"][..], &more].concat(), 65);
        assert!(ended.stdout.contains(why), "{}", ended.stdout);
        assert!(scratch.files("d").is_empty(), "nothing of it stays");
    }
    assert!(import(&["--field", "0=u:f99"], 2).stderr.contains("does not say what a region is"));
    import(&["--name", "heat"], 0);
    assert_eq!(scratch.files("d").len(), 3, "a manifest and two shards");
    // No program goes on from it, not even one with the same (no) arguments.
    let resumed = run(&["-n", "2", "--ckpt-dir", &d, "--resume", &program("cg")]).code(65);
    let why = "the file of `veloc:heat` has other bytes than then";
    assert!(resumed.stderr.contains(why), "{}", resumed.stderr);
}
