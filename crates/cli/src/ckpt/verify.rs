//! `mainstay ckpt verify`: every byte of versions against what covers it.

use mainstay_ckpt::catalogue::{Catalogue, Entry, Standing};
use mainstay_host::archive::{Archive, ArchiveError, Damage, Told, Verified};
use serde_json::json;

use super::progress::Progress;
use super::table::{bytes, counted};
use super::{Done, args, code, json as objects, line, object};

/// Damages of a version that people are shown; programs are shown all.
const SHOWN_MAX: u64 = 50;

pub(super) fn run(options: &args::Verify) -> Done {
    let archive = Archive::open(&options.dir)?;
    let catalogue = archive.look()?;
    let wanted: Vec<&Entry> = match options.version {
        Some(_) => vec![archive.find(&catalogue, options.version)?],
        None => catalogue.entries().collect(),
    };
    let (mut whole, mut bad, mut passed) = (0_u64, 0_u64, 0_u64);
    for entry in wanted {
        // Files that a job writes at this moment are no damage, unless they were asked for.
        if entry.standing == Standing::Aside && options.version.is_none() {
            passed += 1;
            told(entry, None, options.json);
            continue;
        }
        match verify(&archive, entry, options.json) {
            Ok(true) => whole += 1,
            Ok(false) => bad += 1,
            Err(error @ ArchiveError::Gone { .. }) if options.version.is_none() => {
                passed += 1;
                if !options.json {
                    line(&error.to_string());
                }
            }
            Err(error) => return Err(error),
        }
    }
    let code = code(bad == 0 && whole > 0);
    if options.json {
        let body = json!({"whole": whole, "damaged": bad, "passed_over": passed, "exit": code});
        object("summary", body);
    } else {
        summary(&catalogue, options, (whole, bad));
    }
    Ok(code)
}

fn summary(catalogue: &Catalogue, options: &args::Verify, (whole, bad): (u64, u64)) {
    match catalogue.entries().next() {
        None => line(&format!("{} holds no version", options.dir.display())),
        Some(_) => {
            line(&format!("{} whole, {bad} unusable", counted(whole, "version")));
        }
    }
}

/// Reads one version; whether it is whole.
fn verify(archive: &Archive, entry: &Entry, json: bool) -> Result<bool, ArchiveError> {
    let version = entry.version;
    if entry.manifest().is_none() {
        told(entry, None, json);
        return Ok(false);
    }
    let total = entry.manifest().map_or(0, mainstay_ckpt::Manifest::bytes);
    let mut progress = Progress::new(&format!("version {version}"), total);
    let mut shown = 0;
    let verified = archive.verify(entry, &mut |seen| match seen {
        Told::Bytes(count) => progress.more(count),
        Told::Damage(damage) => {
            progress.clear();
            shown += 1;
            if json {
                object("damage", body(entry, &damage));
            } else if shown <= SHOWN_MAX {
                line(&sentence(entry, &damage));
            }
        }
    })?;
    drop(progress);
    if !json && shown > SHOWN_MAX {
        let more = counted(shown - SHOWN_MAX, "more damage");
        line(&format!("version {version}: and {more}; --json shows all"));
    }
    told(entry, Some(&verified), json);
    Ok(verified.damages == 0)
}

/// What a version came to, and what was found if it was read.
pub(super) fn told(entry: &Entry, found: Option<&Verified>, json: bool) {
    let (version, damages) = (entry.version, found.map(|found| found.damages));
    let spares_alone = found.is_some_and(|found| found.bad.is_empty());
    if json {
        let reasons = if damages.is_none() { entry.reasons() } else { Vec::new() };
        let body = json!({
            "version": version.0,
            "standing": entry.standing.name(),
            "whole": damages == Some(0),
            "damages": damages,
            "bytes": entry.bytes(),
            "reasons": reasons.iter().map(objects::reason).collect::<Vec<_>>(),
        });
        return object("verified", body);
    }
    let size = bytes(entry.bytes());
    line(&match damages {
        Some(0) => {
            let shards = counted(entry.copies.len() as u64, "shard");
            format!("version {version}: whole ({shards}, {size})")
        }
        Some(count) if spares_alone => format!(
            "version {version}: all shards are whole, but not what nodes hold for each other ({}): \
             mainstay ckpt repair makes it again",
            counted(count, "damage")
        ),
        Some(count) => format!("version {version}: unusable ({})", counted(count, "damage")),
        None => match entry.reasons().first() {
            Some(reason) if entry.standing == Standing::Aside => {
                format!("version {version}: not read: {reason}")
            }
            Some(reason) => format!("version {version}: unusable: {reason}"),
            None => format!("version {version}: not read"),
        },
    });
}

pub(super) fn sentence(entry: &Entry, damage: &Damage) -> String {
    let Damage { rank, name, place, fault } = damage;
    let rank = rank.map_or_else(String::new, |rank| format!(", rank {rank}"));
    let version = entry.version;
    match place {
        Some((part, at, _)) => format!(
            "version {version}{rank}: {name}: bytes {}..{} ({}): {fault}",
            at.start,
            at.end,
            part.name()
        ),
        None => format!("version {version}{rank}: {name}: {fault}"),
    }
}

pub(super) fn body(entry: &Entry, damage: &Damage) -> serde_json::Value {
    use mainstay_ckpt::format::verify::Part;
    let Damage { rank, name, place, fault } = damage;
    let chunk = match place {
        Some((Part::Chunk { chunk, .. }, ..)) => Some(chunk),
        _ => None,
    };
    json!({
        "version": entry.version.0,
        "rank": rank.map(|rank| rank.0),
        "file": name,
        "part": place.as_ref().map(|(part, ..)| part.name()),
        "from": place.as_ref().map(|(_, at, _)| at.start),
        "to": place.as_ref().map(|(_, at, _)| at.end),
        "field": place.as_ref().and_then(|(.., field)| field.clone()),
        "chunk": chunk,
        "code": fault.code(),
        "text": fault.to_string(),
    })
}
