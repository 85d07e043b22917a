//! Rule: `unsafe` stands only in the modules that `ARCHITECTURE.md` names.
//!
//! Invariants: the list is read from the document's block ` ```unsafe `, so text and rule cannot
//! drift apart; tests and macros count. Deliberately absent: the reasons, which clippy demands at
//! every block.

use super::{Finding, Source};

/// The modules that the document allows, as paths from the root.
pub(super) fn allowed(architecture: &str) -> Vec<String> {
    let mut lines = architecture.lines().skip_while(|line| line.trim() != "```unsafe").skip(1);
    let block = lines.by_ref().take_while(|line| line.trim() != "```");
    let words = block.filter_map(|line| line.split_whitespace().next());
    words.map(str::to_owned).collect()
}

/// What a file holds and may not.
pub(super) fn check(source: &Source, allowed: &[String]) -> Vec<Finding> {
    if allowed.iter().any(|module| is_in(&source.path, module)) {
        return Vec::new();
    }
    let text = "is `unsafe` outside the modules that ARCHITECTURE.md names";
    let lines = source.scan.unsafe_lines.iter();
    lines.map(|line| Finding::new(&source.path, *line, text)).collect()
}

/// Modules on the list that hold no `unsafe`.
pub(super) fn stale(allowed: &[String], sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    if allowed.is_empty() {
        let text = "has no block ```unsafe with the modules that may be unsafe";
        findings.push(Finding::new("ARCHITECTURE.md", 0, text));
    }
    for module in allowed {
        let mut inside = sources.iter().filter(|source| is_in(&source.path, module));
        if inside.all(|source| source.scan.unsafe_lines.is_empty()) {
            let text = format!("lists {module}, which holds no unsafe code: take it off the list");
            findings.push(Finding::new("ARCHITECTURE.md", 0, text));
        }
    }
    findings
}

fn is_in(path: &str, module: &str) -> bool {
    let rest = path.strip_prefix(module);
    rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned(), scan: scan::scan(text).unwrap() }
    }

    #[test]
    fn unsafe_is_caught_outside_the_list_and_a_stale_list_is_too() {
        let document = "text\n```unsafe\ncrates/host/src/shm   memory\ncrates/a/src/k\n```\nunsafe";
        let allowed = allowed(document);
        assert_eq!(allowed, ["crates/host/src/shm", "crates/a/src/k"]);
        let text = "fn f() { unsafe { g() } }";
        for (path, count) in [
            ("crates/host/src/shm/map.rs", 0),
            ("crates/host/src/shm.rs", 0),
            ("crates/host/src/shmem.rs", 1),
            ("crates/host/src/lib.rs", 1),
            ("crates/host/tests/it/main.rs", 1),
        ] {
            assert_eq!(check(&source(path, text), &allowed).len(), count, "{path}");
        }
        assert!(check(&source("crates/host/src/lib.rs", "// unsafe"), &allowed).is_empty());
        let sources = [source("crates/host/src/shm/map.rs", text)];
        let stale = stale(&allowed, &sources);
        assert_eq!(stale.len(), 1);
        assert!(stale[0].text.contains("crates/a/src/k"));
        assert_eq!(super::stale(&[], &sources).len(), 1);
    }
}
