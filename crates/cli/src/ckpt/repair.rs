//! `mainstay ckpt repair`: what nodes have lost comes back from what others hold of it.

use mainstay_host::archive::{Archive, Lost, Repaired};
use serde_json::json;

use super::progress::Progress;
use super::table::counted;
use super::{Done, args, code, json as objects, line, object};

pub(super) fn run(options: &args::Repair) -> Done {
    let mut progress = Progress::new("read", 0);
    let repaired = Archive::repair(&options.dir, options.version, options.dry_run, &mut |bytes| {
        progress.more(bytes);
    })?;
    drop(progress);
    for version in &repaired {
        match options.json {
            true => object("repaired", body(version)),
            false => people(version, options.dry_run),
        }
    }
    let code = code(repaired.iter().all(Repaired::is_whole));
    if options.json {
        let whole = repaired.iter().filter(|version| version.is_whole()).count();
        let recoverable = repaired.iter().filter(|version| version.is_recoverable()).count();
        let body = json!({
            "versions": repaired.len(),
            "whole": whole,
            "recoverable": recoverable,
            "dry_run": options.dry_run,
            "exit": code,
        });
        object("summary", body);
    } else if repaired.is_empty() {
        line("no version has nodes: there is nothing to repair it from");
    }
    Ok(code)
}

fn people(repaired: &Repaired, dry_run: bool) {
    let (version, would) = (repaired.version, if dry_run { "would be " } else { "" });
    for Lost { name, fault, refused, .. } in &repaired.lost {
        line(&match refused {
            None => format!("version {version}: {name} {would}rebuilt ({fault})"),
            Some(why) => format!("version {version}: {name} is lost ({fault}): {why}"),
        });
    }
    let lost = repaired.lost.iter().filter(|lost| lost.refused.is_some()).count() as u64;
    line(&match (repaired.lost.len(), lost, repaired.is_recoverable()) {
        (0, ..) => format!("version {version}: whole"),
        (_, 0, _) => format!("version {version}: {would}whole again"),
        (.., true) => format!("version {version}: recoverable, without {}", counted(lost, "file")),
        (.., false) => {
            format!("version {version}: not recoverable, without {}", counted(lost, "file"))
        }
    });
}

fn body(repaired: &Repaired) -> serde_json::Value {
    let lost = repaired.lost.iter().map(|lost| {
        json!({
            "what": lost.held.name(),
            "node": lost.held.node().map(|node| node.0),
            "rank": lost.held.rank().map(|rank| rank.0),
            "file": lost.name,
            "code": lost.fault.code(),
            "text": lost.fault.to_string(),
            "refused": lost.refused,
        })
    });
    json!({
        "version": repaired.version.0,
        "redundancy": objects::redundancy(repaired.redundancy),
        "whole": repaired.is_whole(),
        "recoverable": repaired.is_recoverable(),
        "lost": lost.collect::<Vec<_>>(),
    })
}
