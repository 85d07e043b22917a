//! Every target over its corpus, without libFuzzer: on stable, in seconds, in each run of the checks.
//!
//! Invariant: a corpus holds something that its target accepts, so that it does not rot unnoticed
//! when a format changes. Each input is also given cut short and with single bits flipped.

use std::fs;
use std::path::{Path, PathBuf};

use fuzz::TARGETS;

fn corpus(target: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries =
        fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_input_of_the_corpus_passes_whole_cut_and_flipped() {
    for (name, target) in TARGETS {
        let mut accepted = 0;
        for file in corpus(name) {
            let bytes = fs::read(&file).unwrap();
            accepted += u32::from(target(&bytes));
            for eighth in 0..8 {
                target(&bytes[..bytes.len() * eighth / 8]);
                let mut flipped = bytes.clone();
                if let Some(byte) = flipped.get_mut(bytes.len() * eighth / 8) {
                    *byte ^= 1 << eighth;
                }
                target(&flipped);
            }
        }
        assert!(accepted > 0, "{name}: its corpus holds nothing that it accepts");
    }
}

#[test]
fn every_target_has_a_program() {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets");
    let mut found: Vec<String> = fs::read_dir(programs)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    found.sort();
    let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(found, names);
}
