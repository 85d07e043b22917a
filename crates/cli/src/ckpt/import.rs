//! `mainstay ckpt import`: versions of another library as versions of ours.

use std::ops::ControlFlow;

use mainstay_host::archive::{ArchiveError, Import};
use mainstay_host::supervisor::Watch;
use serde_json::json;

use super::progress::Progress;
use super::table::bytes;
use super::{Done, args, code, line, object};

pub(super) fn run(options: &args::Veloc) -> Done {
    let import = Import {
        from: &options.dir,
        meta: options.meta.as_deref(),
        to: &options.out,
        name: options.name.as_deref(),
        ranks: options.ranks,
        mappings: &options.fields,
    };
    let mut watch = Watch::new().map_err(|source| {
        let path = options.out.clone();
        ArchiveError::Output { path, source }
    })?;
    let mut progress = Progress::new("imported", 0);
    let imported = import.run(&mut |count| {
        progress.more(count);
        watch.asked().map_or(ControlFlow::Continue(()), ControlFlow::Break)
    })?;
    drop(progress);
    for (version, done) in &imported.versions {
        if options.json {
            let body = json!({
                "version": version.0,
                "bytes": done.as_ref().ok(),
                "error": done.as_ref().err(),
            });
            object("imported", body);
        } else {
            line(&match done {
                Ok(count) => format!("version {version}: imported, {}", bytes(*count)),
                Err(why) => format!("version {version}: not imported: {why}"),
            });
        }
    }
    let whole = imported.versions.iter().filter(|(_, done)| done.is_ok()).count();
    let (all, code) = (imported.versions.len(), code(whole == imported.versions.len()));
    if options.json {
        let body = json!({
            "name": imported.name, "n": imported.ranks, "imported": whole, "refused": all - whole,
            "exit": code,
        });
        object("summary", body);
    } else {
        let (name, ranks) = (&imported.name, imported.ranks);
        line(&format!("{name}, {ranks} ranks: {whole} of {all} versions imported"));
    }
    Ok(code)
}
