//! `mainstay ckpt prune`: removes versions that newer ones make superfluous.

use mainstay_host::archive::{Archive, Pruned, Removal, Told};
use mainstay_types::{Version, exit};
use serde_json::json;

use super::progress::Progress;
use super::table::{bytes, counted};
use super::{Done, args, line, object};

pub(super) fn run(options: &args::Prune) -> Done {
    let mut progress = Progress::new("read what stays", 0);
    let what = (options.keep, options.archives);
    let pruned = Archive::prune(&options.dir, what, options.dry_run, &mut |told| {
        if let Told::Bytes(count) = told {
            progress.more(count);
        }
    })?;
    drop(progress);
    let failed = pruned.removals.iter().any(|removal| removal.failed.is_some());
    let code = if failed { exit::DIRECTORY } else { exit::OK };
    if options.json {
        objects(options, &pruned, code);
    } else {
        people(options, &pruned);
    }
    Ok(code)
}

fn people(options: &args::Prune, pruned: &Pruned) {
    let would = if options.dry_run { "would go" } else { "removed" };
    for removal in &pruned.removals {
        let (files, size) = (counted(removal.files.len() as u64, "file"), bytes(removal.bytes));
        let what = match removal.version {
            Some(version) => format!("version {version}"),
            None => "files of versions that were never published".to_owned(),
        };
        line(&match &removal.failed {
            None => format!("{what}: {would} ({files}, {size})"),
            Some(error) => format!("{what}: not removed whole: {error}"),
        });
    }
    if !pruned.plan.held.is_empty() {
        let held = list(&pruned.plan.held);
        line(&format!("kept as others refer to their files: version {held}"));
    }
    if !pruned.plan.left.is_empty() {
        let left = list(&pruned.plan.left);
        line(&format!("left alone, as nobody can tell whether they are wanted: version {left}"));
    }
    if !pruned.plan.archived.is_empty() {
        let archived = list(&pruned.plan.archived);
        line(&format!("kept for good, --archives lets them go: version {archived}"));
    }
    let kept = match pruned.plan.kept.as_slice() {
        [] => "no version can be recovered, so none is removed".to_owned(),
        kept => format!("kept: version {}", list(kept)),
    };
    let freed = if options.dry_run { "would be freed" } else { "freed" };
    line(&format!("{kept}; {} {freed}", bytes(total(pruned))));
}

fn total(pruned: &Pruned) -> u64 {
    let done = pruned.removals.iter().filter(|removal| removal.failed.is_none());
    done.map(|removal| removal.bytes).sum()
}

fn list(versions: &[Version]) -> String {
    versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn objects(options: &args::Prune, pruned: &Pruned, code: u8) {
    for Removal { version, files, bytes, failed } in &pruned.removals {
        let body = json!({
            "version": version.map(|version| version.0),
            "files": files,
            "bytes": bytes,
            "error": failed.as_ref().map(ToString::to_string),
        });
        object("removal", body);
    }
    let numbers = |versions: &[Version]| versions.iter().map(|v| v.0).collect::<Vec<_>>();
    let body = json!({
        "dry_run": options.dry_run,
        "kept": numbers(&pruned.plan.kept),
        "held": numbers(&pruned.plan.held),
        "archived": numbers(&pruned.plan.archived),
        "left": numbers(&pruned.plan.left),
        "freed": total(pruned),
        "exit": code,
    });
    object("summary", body);
}
