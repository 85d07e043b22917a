//! `cargo xtask tidy`: the rules of the house that no compiler keeps.
//!
//! Invariants: every rule is a function from text or values to findings, tested on text that
//! breaks it; a finding names the place, the rule and the mend. Deliberately absent: what rustfmt,
//! rustc and clippy already say.

mod direction;
mod prose;
mod purity;
mod shape;
mod unsafety;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use crate::scan::{self, Scan};
use crate::{Failure, workspace};

pub(crate) use prose::{Page, links};

/// Something that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// The file or package.
    pub(crate) place: String,
    /// Its line, from 1; 0 for the whole.
    pub(crate) line: usize,
    /// What is wrong and what mends it.
    pub(crate) text: String,
    /// Whether it is only worth a look.
    pub(crate) advice: bool,
}

impl Finding {
    /// A broken rule.
    pub(crate) fn new(place: &str, line: usize, text: impl Into<String>) -> Self {
        Self { place: place.to_owned(), line, text: text.into(), advice: false }
    }

    /// Something worth a look.
    pub(crate) fn advice(place: &str, line: usize, text: impl Into<String>) -> Self {
        Self { advice: true, ..Self::new(place, line, text) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.advice { "advice: " } else { "" })?;
        match self.line {
            0 => write!(f, "{}: {}", self.place, self.text),
            line => write!(f, "{}:{line}: {}", self.place, self.text),
        }
    }
}

/// A Rust file of the workspace.
pub(crate) struct Source {
    /// Its path from the root.
    path: String,
    /// Its text.
    text: String,
    /// What it mentions.
    scan: Scan,
}

/// Checks the workspace. Returns how many rules are broken, having printed each.
///
/// # Errors
/// Files that cannot be read and manifests that cargo refuses.
pub(crate) fn run() -> Result<usize, Failure> {
    let mut findings = direction::check(&workspace::packages()?);
    findings.extend(purity::check_manifests(&workspace::packages()?));
    let sources = sources(&mut findings)?;
    let test_files = purity::test_files(&sources);
    let architecture = workspace::read(&workspace::root().join("ARCHITECTURE.md"))?;
    let allowed = unsafety::allowed(&architecture);
    findings.extend(unsafety::stale(&allowed, &sources));
    for source in &sources {
        findings.extend(purity::check(source, &test_files));
        findings.extend(unsafety::check(source, &allowed));
        findings.extend(shape::check(source));
        let exists = |path: &str| workspace::root().join(path).exists();
        findings.extend(shape::check_references(source, exists));
        findings.extend(shape::check_tests(source, &test_files));
    }
    findings.extend(pages_findings()?);
    report(findings)
}

fn report(findings: Vec<Finding>) -> Result<usize, Failure> {
    let findings: BTreeSet<Finding> = findings.into_iter().collect();
    let broken = findings.iter().filter(|f| !f.advice).count();
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {broken} broken, {} to look at", findings.len() - broken);
    Ok(broken)
}

fn sources(findings: &mut Vec<Finding>) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    for room in ["crates", "apps", "xtask", "fuzz"] {
        for path in workspace::files(&workspace::root().join(room), "rs")? {
            let (text, path) = (workspace::read(&path)?, workspace::relative(&path));
            match scan::scan(&text) {
                Ok(scan) => sources.push(Source { path, text, scan }),
                Err(error) => {
                    let line = error.span().start().line;
                    findings.push(Finding::new(&path, line, format!("is not Rust: {error}")));
                }
            }
        }
    }
    Ok(sources)
}

fn pages_findings() -> Result<Vec<Finding>, Failure> {
    let pages = pages()?;
    let mut findings = links(&pages);
    findings.extend(pages.iter().flat_map(prose::check));
    Ok(findings)
}

/// Every page of documentation: those at the root and those under `docs`.
///
/// # Errors
/// Files that cannot be read.
pub(crate) fn pages() -> Result<Vec<Page>, Failure> {
    let root = workspace::root();
    let at_root = std::fs::read_dir(&root)?.filter_map(Result::ok).map(|entry| entry.path());
    let mut paths: Vec<PathBuf> =
        at_root.filter(|path| path.extension().is_some_and(|e| e == "md")).collect();
    paths.extend(workspace::files(&root.join("docs"), "md")?);
    paths.sort();
    let page = |path: &PathBuf| Ok(Page::new(&workspace::relative(path), &workspace::read(path)?));
    paths.iter().map(page).collect()
}
