//! Rule: a crate uses only crates on lower lines; crates on one line do not know each other.
//!
//! Invariant: a package without a line is a finding, so a new room cannot slip in. Dependencies of
//! tests count as well, because a test that reaches upwards is a cycle in the making.

use super::Finding;
use crate::workspace::Package;

/// Each crate's line in `ARCHITECTURE.md`.
const LINES: &[(&str, u32)] = &[
    ("mainstay-types", 0),
    ("mainstay-abft", 1),
    ("mainstay-ckpt", 1),
    ("mainstay-comm", 1),
    ("mainstay-consensus", 1),
    ("mainstay-observe", 1),
    ("mainstay-control", 2),
    ("mainstay-host", 3),
    ("mainstay-plan", 3),
    ("mainstay", 4),
    ("mainstay-commons", 5),
    ("mainstay-lab", 5),
    ("mainstay-cli", 6),
];

/// Packages outside the order, with all that they may use of it.
const OUTSIDE: &[(&str, &[&str])] =
    &[("mainstay-apps", &["mainstay"]), ("xtask", &["mainstay-types"])];

/// What breaks the rule among the workspace's packages.
pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let may_use = |user: &str, used: &str| match (line_of(user), line_of(used)) {
            (Some(user), Some(used)) => used < user,
            _ => OUTSIDE.iter().any(|(name, uses)| *name == user && uses.contains(&used)),
        };
        if line_of(&package.name).is_none() && !is_outside(&package.name) {
            let text = "has no line in the order of crates: give it one, with an ADR";
            findings.push(Finding::new(&package.name, 0, text));
            continue;
        }
        for used in &package.dependencies {
            let ours = line_of(&used.name).is_some() || is_outside(&used.name);
            if ours && !may_use(&package.name, &used.name) {
                let text = format!("uses {}, which is not on a lower line", used.name);
                findings.push(Finding::new(&package.name, 0, text));
            }
        }
    }
    findings
}

fn line_of(name: &str) -> Option<u32> {
    LINES.iter().find(|(crate_name, _)| *crate_name == name).map(|(_, line)| *line)
}

fn is_outside(name: &str) -> bool {
    OUTSIDE.iter().any(|(package, _)| *package == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    fn broken(name: &str, uses: &str, dev: bool) -> bool {
        let used = Dependency { name: uses.to_owned(), dev, target: None };
        let package = Package { name: name.to_owned(), dependencies: vec![used] };
        !check(&[package]).is_empty()
    }

    #[test]
    fn only_downward_uses_pass() {
        for (name, uses) in [
            ("mainstay-comm", "mainstay-types"),
            ("mainstay-control", "mainstay-comm"),
            ("mainstay-cli", "mainstay-host"),
            ("mainstay-host", "libc"),
            ("mainstay-apps", "mainstay"),
            ("mainstay-abft", "mainstay-types"),
        ] {
            assert!(!broken(name, uses, false), "{name} -> {uses}");
        }
        for (name, uses) in [
            ("mainstay-types", "mainstay-comm"),
            ("mainstay-comm", "mainstay-ckpt"),
            ("mainstay-host", "mainstay-plan"),
            ("mainstay-host", "mainstay"),
            ("mainstay", "mainstay-cli"),
            ("mainstay-apps", "mainstay-host"),
            ("mainstay-cli", "mainstay-apps"),
            ("mainstay-cli", "xtask"),
            ("mainstay-novelty", "mainstay-types"),
        ] {
            assert!(broken(name, uses, false), "{name} -> {uses}");
            assert!(broken(name, uses, true), "{name} -> {uses} in tests");
        }
    }
}
