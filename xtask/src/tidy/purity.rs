//! Rule: an engine room has no clock, thread, lock, file, socket, environment or hash order.
//!
//! Invariants: judged on the paths that the code names and on the manifests, never on text; code
//! that only tests compile is exempt. Deliberately absent: what a dependency does inside, which is
//! why the list of forbidden dependencies exists.

use std::collections::BTreeSet;

use super::{Finding, Source};
use crate::workspace::Package;

/// The crates that are pure.
const ROOMS: &[&str] = &["types", "comm", "ckpt", "observe", "control"];

/// Modules and types of the standard library that engines do without, and what they use instead.
const FORBIDDEN: &[(&str, &str)] = &[
    ("std::fs", "files are the business of `host`"),
    ("std::net", "sockets are the business of `host`"),
    ("std::thread", "an engine has one owner and no threads"),
    ("std::process", "processes are the business of `host`"),
    ("std::env", "what the environment says is an input"),
    ("std::os", "the operating system is the business of `host`"),
    ("std::io::stdin", "input is an argument"),
    ("std::io::stdout", "output is an effect"),
    ("std::io::stderr", "output is an effect"),
    ("std::time::Instant", "time is an input: take `now`"),
    ("std::time::SystemTime", "time is an input: take `now`"),
    ("std::time::UNIX_EPOCH", "time is an input: take `now`"),
    ("std::sync::Mutex", "an engine has one owner"),
    ("std::sync::MutexGuard", "an engine has one owner"),
    ("std::sync::RwLock", "an engine has one owner"),
    ("std::sync::Condvar", "an engine never waits"),
    ("std::sync::Barrier", "an engine never waits"),
    ("std::sync::mpsc", "effects are returned, not sent"),
    ("std::collections::HashMap", "its order is random: use BTreeMap or a vector"),
    ("std::collections::HashSet", "its order is random: use BTreeSet"),
    ("std::collections::hash_map", "its order is random: use BTreeMap or a vector"),
    ("std::collections::hash_set", "its order is random: use BTreeSet"),
    ("std::hash::RandomState", "entropy is an input"),
];

/// Dependencies that bring the same in by another door.
const FORBIDDEN_DEPENDENCIES: &[&str] = &[
    "async-std",
    "crossbeam-channel",
    "fastrand",
    "getrandom",
    "hashbrown",
    "libc",
    "memmap2",
    "mio",
    "nix",
    "parking_lot",
    "rand",
    "rustix",
    "signal-hook",
    "smol",
    "socket2",
    "tempfile",
    "tokio",
];

/// What the manifests of the pure rooms ask for and may not have.
pub(super) fn check_manifests(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let room = package.name.strip_prefix("mainstay-").unwrap_or_default();
        if !ROOMS.contains(&room) {
            continue;
        }
        for used in package.dependencies.iter().filter(|used| !used.dev) {
            // loom stands in for the atomics while a model is explored, and only then.
            let model = used.name == "loom" && used.target.as_deref() == Some("cfg(loom)");
            let forbidden = FORBIDDEN_DEPENDENCIES.contains(&used.name.as_str())
                || (used.name == "loom" && !model);
            if forbidden {
                let text = format!("is an engine room and may not depend on {}", used.name);
                findings.push(Finding::new(&package.name, 0, text));
            }
        }
    }
    findings
}

/// Files that only tests compile, because their parent says so.
pub(super) fn test_files(sources: &[Source]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for source in sources {
        let stem = source.path.trim_end_matches(".rs");
        let parent = |suffix: &str| stem.strip_suffix(suffix).map(str::to_owned);
        let children = parent("/lib").or_else(|| parent("/main")).or_else(|| parent("/mod"));
        let children = children.unwrap_or_else(|| stem.to_owned());
        for name in &source.scan.test_modules {
            found.insert(format!("{children}/{name}"));
        }
    }
    found
}

/// Whether only tests compile this whole file.
pub(super) fn is_test_file(path: &str, test_files: &BTreeSet<String>) -> bool {
    let beneath = |file: &String| {
        let rest = path.strip_prefix(file.as_str());
        rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    };
    path.contains("/tests/") || path.contains("/benches/") || test_files.iter().any(beneath)
}

/// What a file of a pure room names and may not.
pub(super) fn check(source: &Source, test_files: &BTreeSet<String>) -> Vec<Finding> {
    let pure = ROOMS.iter().any(|room| source.path.starts_with(&format!("crates/{room}/src/")));
    if !pure || is_test_file(&source.path, test_files) {
        return Vec::new();
    }
    let mentions = source.scan.mentions.iter().filter(|mention| !mention.test);
    let found = mentions.filter_map(|mention| {
        let (path, why) = forbidden(&mention.path)?;
        let text = format!("names {path} in an engine room: {why}");
        Some(Finding::new(&source.path, mention.line, text))
    });
    found.collect()
}

fn forbidden(path: &str) -> Option<(&'static str, &'static str)> {
    let glob = path.strip_suffix("::*");
    let hit = FORBIDDEN.iter().find(|(name, _)| {
        let below = |whole: &str, part: &str| {
            whole.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        // A glob import of a module brings in whatever lies directly beneath it.
        let by_glob = glob.is_some_and(|module| {
            name.strip_prefix(module).is_some_and(|rest| rest.rfind("::") == Some(0))
        });
        below(path, name) || by_glob
    });
    hit.copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan;
    use crate::workspace::Dependency;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned(), scan: scan::scan(text).unwrap() }
    }

    fn broken(text: &str) -> bool {
        !check(&source("crates/control/src/x.rs", text), &BTreeSet::new()).is_empty()
    }

    #[test]
    fn every_forbidden_path_is_caught_however_it_is_named() {
        for (path, _) in FORBIDDEN {
            let (module, name) = path.rsplit_once("::").unwrap();
            for text in [
                format!("use {path};"),
                format!("use {path} as other;"),
                format!("use {module}::{{self, {name}}};"),
                format!("use {module}::*;"),
                format!("use std as s; fn f() {{ s::{}::x(); }}", &path[5..]),
                format!("fn f() {{ ::{path}::x(); }}"),
                format!("macro_rules! m {{ () => {{ {path}::x() }} }}"),
            ] {
                assert!(broken(&text), "{text}");
            }
            assert!(!broken(&format!("// {path}\nfn f() -> &'static str {{ \"{path}\" }}")));
            assert!(!broken(&format!("#[cfg(test)] mod tests {{ use {path}; }}")));
        }
    }

    #[test]
    fn what_an_engine_needs_passes() {
        for text in [
            "use std::time::Duration; use std::collections::{BTreeMap, VecDeque};",
            "use std::sync::atomic::{AtomicU64, Ordering}; use std::sync::Arc;",
            "use crate::process::fs; fn f() { fs::read(); thread::x(); }",
            "use std::io::{Read, Write};",
        ] {
            assert!(!broken(text), "{text}");
        }
        let host = source("crates/host/src/x.rs", "use std::fs;");
        assert!(check(&host, &BTreeSet::new()).is_empty());
    }

    #[test]
    fn files_of_tests_alone_are_exempt() {
        let parent = source("crates/comm/src/ring.rs", "#[cfg(test)] mod model;");
        let model = source("crates/comm/src/ring/model.rs", "use std::thread;");
        let exempt = test_files(&[parent]);
        assert!(check(&model, &exempt).is_empty());
        assert!(!check(&model, &BTreeSet::new()).is_empty());
        let other = source("crates/comm/src/ring/models.rs", "use std::thread;");
        assert!(!check(&other, &exempt).is_empty());
    }

    #[test]
    fn forbidden_dependencies_are_caught_but_for_tests_and_models() {
        let broken = |package: &str, name: &str, dev: bool, target: Option<&str>| {
            let target = target.map(str::to_owned);
            let dependencies = vec![Dependency { name: name.to_owned(), dev, target }];
            !check_manifests(&[Package { name: package.to_owned(), dependencies }]).is_empty()
        };
        for name in ["getrandom", "rustix", "libc", "tokio", "mio"] {
            assert!(broken("mainstay-ckpt", name, false, None), "{name}");
            assert!(broken("mainstay-types", name, false, Some("cfg(unix)")), "{name}");
            assert!(!broken("mainstay-ckpt", name, true, None), "{name}");
            assert!(!broken("mainstay-host", name, false, None), "{name}");
        }
        assert!(broken("mainstay-comm", "loom", false, None));
        assert!(!broken("mainstay-comm", "loom", false, Some("cfg(loom)")));
    }
}
