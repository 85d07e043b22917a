//! The workspace as the checks see it: its root, its packages, its files, and how they are named.
//!
//! Deliberately absent: any rule.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::Value;

use crate::Failure;

/// A package of the workspace with what its manifest asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Everything it depends on.
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a manifest's dependencies, under whatever name the code uses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dependency {
    /// The package's own name, not its renaming.
    pub(crate) name: String,
    /// Whether only tests, examples and benches are built with it.
    pub(crate) dev: bool,
    /// The platform or configuration it is limited to.
    pub(crate) target: Option<String>,
}

/// The workspace's root directory.
#[must_use]
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The cargo that runs this program, or the one on the path.
#[must_use]
pub(crate) fn cargo() -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root());
    command
}

/// Where cargo puts what it builds.
#[must_use]
pub(crate) fn target_directory() -> PathBuf {
    root().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// The packages of the workspace, from their manifests.
///
/// # Errors
/// Manifests that cargo refuses.
pub(crate) fn packages() -> Result<Vec<Package>, Failure> {
    let mut command = cargo();
    command.args(["metadata", "--no-deps", "--format-version=1", "--quiet"]);
    let output = command.output().map_err(|e| format!("cargo metadata: {e}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("cargo metadata: {why}").into());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let dependency = |value: &Value| Dependency {
        name: text(&value["name"]),
        dev: value["kind"] == "dev",
        target: value["target"].as_str().map(str::to_owned),
    };
    let package = |value: &Value| Package {
        name: text(&value["name"]),
        dependencies: list(&value["dependencies"]).iter().map(dependency).collect(),
    };
    Ok(list(&metadata["packages"]).iter().map(package).collect())
}

/// Files under `directory` whose names end in `.extension`, sorted; build output and hidden
/// directories are left out.
///
/// # Errors
/// A directory that cannot be read.
pub(crate) fn files(directory: &Path, extension: &str) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut left = vec![directory.to_path_buf()];
    while let Some(directory) = left.pop() {
        let name_it = |e| format!("{}: {e}", directory.display());
        for entry in fs::read_dir(&directory).map_err(name_it)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && !path.is_symlink() {
                if name != "target" && !name.starts_with('.') {
                    left.push(path);
                }
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A file's text.
///
/// # Errors
/// A file that cannot be read or is not UTF-8.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()).into())
}

/// A path as reports name it: from the root, with `/`.
#[must_use]
pub(crate) fn relative(path: &Path) -> String {
    let path = path.strip_prefix(root()).unwrap_or(path);
    path.to_string_lossy().into_owned()
}
