//! `mainstay ckpt scrub`: every byte of a directory against what covers it, once or again and again.
//!
//! Invariants: what is damaged is told once, however often it is read; reading is spread over the time
//! that it may take. Deliberately absent: mending, for which a good copy is needed: a job that runs has
//! one.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mainstay_ckpt::catalogue::{Entry, Standing};
use mainstay_ckpt::scrub::rate_for;
use mainstay_host::archive::{Archive, ArchiveError, Damage, Told};
use mainstay_types::Version;
use serde_json::json;

use super::progress::Progress;
use super::table::{bytes, counted};
use super::{Done, args, code, line, object, verify};

/// What has been told already: the version, and where in it.
type Known = BTreeSet<(Version, String, Option<u64>)>;

/// What a pass came to.
#[derive(Debug, Default)]
struct Pass {
    versions: u64,
    bytes: u64,
    damaged: u64,
}

pub(super) fn run(options: &args::Scrub) -> Done {
    let archive = Archive::open(&options.dir)?;
    let passes = match options.every {
        None => 1,
        Some(_) => options.passes.unwrap_or(u64::MAX),
    };
    let mut known = Known::new();
    let mut last = Pass::default();
    for number in 1..=passes {
        let begun = Instant::now();
        last = pass(&archive, options, &mut known)?;
        told(options, number, &last);
        if let Some(every) = options.every.filter(|_| number < passes) {
            std::thread::sleep(every.saturating_sub(begun.elapsed()));
        }
    }
    Ok(code(last.damaged == 0))
}

fn told(options: &args::Scrub, number: u64, pass: &Pass) {
    let Pass { versions, bytes: read, damaged } = *pass;
    if options.json {
        let body = json!({
            "pass": number,
            "versions": versions,
            "bytes": read,
            "damaged": damaged,
            "exit": code(damaged == 0),
        });
        return object("pass", body);
    }
    let (read, versions) = (bytes(read), counted(versions, "version"));
    line(&format!("pass {number}: {versions} of {read} read, {damaged} unusable"));
}

/// Reads all that is published.
fn pass(archive: &Archive, options: &args::Scrub, known: &mut Known) -> Result<Pass, ArchiveError> {
    let catalogue = archive.look()?;
    let mut pass = Pass::default();
    let total = catalogue.entries().map(Entry::bytes).fold(0, u64::saturating_add);
    let mut pace = Pace { begun: Instant::now(), rate: options.every.map(|e| rate_for(total, e)) };
    for entry in catalogue.entries() {
        // Files that a job writes or removes at this moment are no damage.
        if entry.standing == Standing::Aside || entry.changing {
            continue;
        }
        match version(archive, entry, options.json, known, (&mut pass, &mut pace)) {
            Ok(()) => {}
            // A job has pruned it.
            Err(ArchiveError::Gone { .. }) => continue,
            Err(error) => return Err(error),
        }
        pass.versions += 1;
    }
    Ok(pass)
}

fn version(
    archive: &Archive,
    entry: &Entry,
    json: bool,
    known: &mut Known,
    (pass, pace): (&mut Pass, &mut Pace),
) -> Result<(), ArchiveError> {
    if entry.manifest().is_none() {
        pass.damaged += 1;
        let name = entry.reasons().first().map(ToString::to_string).unwrap_or_default();
        if known.insert((entry.version, name, None)) {
            verify::told(entry, None, json);
        }
        return Ok(());
    }
    let total = entry.manifest().map_or(0, mainstay_ckpt::Manifest::bytes);
    let mut progress = Progress::new(&format!("version {}", entry.version), total);
    let mut read = 0;
    let verified = archive.verify(entry, &mut |seen| match seen {
        Told::Bytes(count) => {
            progress.more(count);
            read += count;
            pace.wait(pass.bytes + read);
        }
        Told::Damage(damage) => {
            progress.clear();
            tell(entry, &damage, json, known);
        }
    })?;
    drop(progress);
    pass.bytes += read;
    pass.damaged += u64::from(verified.damages > 0);
    Ok(())
}

fn tell(entry: &Entry, damage: &Damage, json: bool, known: &mut Known) {
    let at = damage.place.as_ref().map(|(_, at, _)| at.start);
    if !known.insert((entry.version, damage.name.clone(), at)) {
        return;
    }
    match json {
        true => object("damage", verify::body(entry, damage)),
        false => line(&verify::sentence(entry, damage)),
    }
}

/// Spreads what is read.
struct Pace {
    begun: Instant,
    /// Bytes a second; as fast as it goes if there is no time that it may take.
    rate: Option<u64>,
}

impl Pace {
    fn wait(&mut self, read: u64) {
        if let Some(rate) = self.rate {
            let due = Duration::from_secs_f64(read as f64 / rate.max(1) as f64);
            std::thread::sleep(due.saturating_sub(self.begun.elapsed()));
        }
    }
}
