//! Rules on the shape of files and tests: a header, a bounded length, no ignored test, no sleep.
//!
//! Deliberately absent: the length of functions, which clippy measures.

use std::collections::BTreeSet;

use super::purity::is_test_file;
use super::{Finding, Source};

/// Lines from which a file is worth a look.
const LINES_ADVISED: usize = 400;
/// Lines that a file may have.
const LINES_MAX: usize = 600;
/// Waits for wall-clock time, which no test may do.
const SLEEPS: &[&str] = &["std::thread::sleep", "std::thread::sleep_until", "tokio::time::sleep"];

/// What is wrong with a file's shape.
pub(super) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !source.text.starts_with("//! ") {
        let text = "does not start with a `//!` header: what it is, its invariants, what it is not";
        findings.push(Finding::new(&source.path, 1, text));
    }
    match source.text.lines().count() {
        lines if lines > LINES_MAX => {
            let text = format!("has {lines} lines, more than {LINES_MAX}: divide it");
            findings.push(Finding::new(&source.path, 0, text));
        }
        lines if lines > LINES_ADVISED => {
            let text = format!("has {lines} lines; over {LINES_ADVISED} a file hides its parts");
            findings.push(Finding::advice(&source.path, 0, text));
        }
        _ => {}
    }
    findings
}

/// Documents that a file's comments send the reader to and that are not there.
pub(super) fn check_references(source: &Source, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (i, line) in source.text.lines().enumerate() {
        let comment = line.trim_start().starts_with("//");
        for (at, _) in line.match_indices("docs/").filter(|_| comment) {
            let is_path = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
            let end = line[at..].find(|c| !is_path(c)).map_or(line.len(), |len| at + len);
            let path = line[at..end].trim_end_matches(['.', '/']);
            if !exists(path) {
                let text = format!("sends the reader to {path}, which is not there");
                findings.push(Finding::new(&source.path, i + 1, text));
            }
        }
    }
    findings
}

/// What is wrong with a file's tests.
pub(super) fn check_tests(source: &Source, test_files: &BTreeSet<String>) -> Vec<Finding> {
    let ignored =
        source.scan.ignore_lines.iter().map(|line| {
            Finding::new(&source.path, *line, "ignores a test: mend it or take it away")
        });
    let all_tests = is_test_file(&source.path, test_files);
    let in_tests = source.scan.mentions.iter().filter(|m| m.test || all_tests);
    let sleeping = in_tests.filter(|m| SLEEPS.contains(&m.path.as_str())).map(|mention| {
        let text = "sleeps in a test: wait for the event itself, with a deadline";
        Finding::new(&source.path, mention.line, text)
    });
    ignored.chain(sleeping).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned(), scan: scan::scan(text).unwrap() }
    }

    #[test]
    fn headers_and_lengths() {
        let file = |lines: usize| format!("//! Header.\n{}", "\n".repeat(lines - 1));
        assert!(check(&source("a.rs", &file(400))).is_empty());
        assert!(check(&source("a.rs", &file(401)))[0].advice);
        assert!(!check(&source("a.rs", &file(601)))[0].advice);
        for text in ["", "fn f() {}", "// no\n//! yes", "\n//! late", "//!\n"] {
            assert_eq!(check(&source("a.rs", text)).len(), 1, "{text:?}");
        }
    }

    #[test]
    fn documents_named_in_comments_have_to_exist() {
        let text = "//! See `docs/a.md`, docs/b/c.md.\n    // docs/gone.md\nlet s = \"docs/x.md\";";
        let exists = |path: &str| ["docs/a.md", "docs/b/c.md"].contains(&path);
        let findings = check_references(&source("a.rs", text), exists);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].text.contains("docs/gone.md"));
    }

    #[test]
    fn ignored_and_sleeping_tests() {
        let none = BTreeSet::new();
        let broken = |path: &str, text: &str| !check_tests(&source(path, text), &none).is_empty();
        let sleep = "use std::thread; fn f() { thread::sleep(d); }";
        assert!(broken("crates/cli/tests/it/main.rs", sleep));
        assert!(!broken("crates/cli/src/main.rs", sleep));
        let in_tests = "#[cfg(test)] mod tests { use std::thread::sleep as nap; }";
        assert!(broken("crates/cli/src/main.rs", in_tests));
        assert!(broken("crates/cli/src/main.rs", "#[test] #[ignore] fn t() {}"));
        assert!(!broken("crates/cli/src/main.rs", "#[test] /* #[ignore] */ fn t() {}"));
    }
}
