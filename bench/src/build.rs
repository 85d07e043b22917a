//! Building what is measured: the launcher, and the programs of this package.
//!
//! Invariant: what is run is what the sources say now. Deliberately absent: guesses at where cargo
//! puts things; its messages tell.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::Failure;

/// What suites run.
pub(crate) struct Built {
    /// The command `mainstay`.
    pub(crate) mainstay: PathBuf,
    /// The program `bare` of this package.
    pub(crate) bare: PathBuf,
    /// The program `calls`.
    pub(crate) calls: PathBuf,
    /// The program `codes`.
    pub(crate) codes: PathBuf,
    /// The program `dealt`.
    pub(crate) dealt: PathBuf,
    /// The program `empty`.
    pub(crate) empty: PathBuf,
    /// The program `held`.
    pub(crate) held: PathBuf,
    /// The program `partly`.
    pub(crate) partly: PathBuf,
    /// The program `quiet`.
    pub(crate) quiet: PathBuf,
    /// The program `steps`.
    pub(crate) steps: PathBuf,
    /// The program `touched`.
    pub(crate) touched: PathBuf,
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

impl Built {
    /// Builds all of it.
    ///
    /// # Errors
    /// What cargo says.
    pub(crate) fn all() -> Result<Self, Failure> {
        let bench = root().join("bench/Cargo.toml");
        Ok(Self {
            mainstay: build(&root().join("Cargo.toml"), &["-p", "mainstay-cli"], "mainstay")?,
            bare: build(&bench, &["--bin", "bare"], "bare")?,
            calls: build(&bench, &["--bin", "calls"], "calls")?,
            codes: build(&bench, &["--bin", "codes"], "codes")?,
            dealt: build(&bench, &["--bin", "dealt"], "dealt")?,
            empty: build(&bench, &["--bin", "empty"], "empty")?,
            held: build(&bench, &["--bin", "held"], "held")?,
            partly: build(&bench, &["--bin", "partly"], "partly")?,
            quiet: build(&bench, &["--bin", "quiet"], "quiet")?,
            steps: build(&bench, &["--bin", "steps"], "steps")?,
            touched: build(&bench, &["--bin", "touched"], "touched")?,
        })
    }
}

impl Built {
    /// A program of `apps`, if there is one of this name.
    ///
    /// # Errors
    /// What cargo says.
    pub(crate) fn app(name: &str) -> Result<Option<PathBuf>, Failure> {
        let source = root().join("apps/src/bin").join(name).with_extension("rs");
        let what = ["-p", "mainstay-apps", "--bin", name];
        let manifest = root().join("Cargo.toml");
        source.exists().then(|| build(&manifest, &what, name)).transpose()
    }
}

fn build(manifest: &Path, what: &[&str], name: &str) -> Result<PathBuf, Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--message-format=json", "--manifest-path"])
        .arg(manifest)
        .args(what)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("`{name}` cannot be built").into());
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut found = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        (message["target"]["name"] == name)
            .then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    found.next_back().ok_or_else(|| format!("cargo names no executable `{name}`").into())
}
