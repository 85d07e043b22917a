//! The protocol documents name what the code has.
//!
//! Deliberately absent: whether what they say of it is true; the other tests are about that.

use mainstay_control::evidence::Options;
use mainstay_control::recovery::Policy;
use mainstay_types::{WaitKind, duration};

const RECOVERY: &str = include_str!("../../../../docs/protocols/recovery.md");
const EVIDENCE: &str = include_str!("../../../../docs/protocols/evidence.md");
const TARGET: &str = include_str!("../../../../docs/protocols/target.md");

/// The variants of an enum in a source file, in order.
fn variants<'a>(source: &'a str, name: &str) -> Vec<&'a str> {
    let (_, body) = source.split_once(&format!("enum {name} {{\n")).expect("the enum is there");
    let (body, _) = body.split_once("\n}\n").expect("it ends");
    body.lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(char::is_uppercase))
        .map(|line| line.split([' ', '(', ',']).next().unwrap_or(line))
        .collect()
}

/// Every name opens a row of a table.
fn has_rows(page: &str, names: &[&str]) {
    assert!(!names.is_empty());
    for name in names {
        assert!(page.contains(&format!("\n| `{name}` |")), "no row for {name}");
    }
}

#[test]
fn every_input_effect_phase_and_state_has_a_row() {
    let effects = include_str!("../../src/recovery/effect.rs");
    has_rows(RECOVERY, &variants(effects, "Input"));
    has_rows(RECOVERY, &variants(effects, "Effect"));
    has_rows(RECOVERY, &variants(include_str!("../../src/recovery.rs"), "Phase"));
    has_rows(RECOVERY, &variants(include_str!("../../src/recovery/member.rs"), "State"));
    has_rows(RECOVERY, &[Policy::Abort, Policy::Restart, Policy::Rollback].map(Policy::name));
}

#[test]
fn defaults_and_codes_are_those_of_the_code() {
    let options = Options::default();
    assert_eq!(duration::parse("5s"), Ok(options.lost_after));
    assert!(EVIDENCE.contains("| `--lost-after` | 5 s |"));
    assert_eq!(duration::parse("5m"), Ok(options.rejoin_within));
    assert!(EVIDENCE.contains("| `--rejoin-within` | 5 min |"));
    assert_eq!(options.hang_after, None);
    assert!(EVIDENCE.contains("| `--hang-after` | off |"));
    for code in 0..10 {
        let row = EVIDENCE.contains(&format!("\n| {code} | "));
        assert_eq!(row, code == 0 || WaitKind::from_code(code).is_some(), "code {code}");
    }
    for word in ["STEP", "TARGET", "TARGET_VERSION", "TARGET_SLOT"] {
        assert!(TARGET.contains(&format!("`{word}`")), "{word}");
    }
}
