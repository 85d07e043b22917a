//! `mainstay ckpt ls`: every version that any name tells of.

use mainstay_ckpt::catalogue::Entry;
use mainstay_host::archive::Archive;
use mainstay_types::exit;
use serde_json::json;

use super::table::{Table, bytes, counted};
use super::{Done, args, json as objects, line, object, say};

/// Names that are shown of those that are no file of a version.
const OTHERS_MAX: usize = 5;

pub(super) fn run(options: &args::Ls) -> Done {
    let catalogue = Archive::open(&options.dir)?.look()?;
    let resumed = catalogue.resumed().map(|entry| entry.version);
    if options.json {
        for entry in catalogue.entries() {
            object("version", objects::version(entry, resumed == Some(entry.version)));
        }
        let body = json!({
            "directory": options.dir.to_string_lossy(),
            "versions": catalogue.entries().count(),
            "recoverable": catalogue.entries().filter(|entry| entry.is_recoverable()).count(),
            "resumed": resumed.map(|version| version.0),
            "others": catalogue.others,
        });
        object("directory", body);
        return Ok(exit::OK);
    }
    if catalogue.entries().next().is_none() {
        line(&format!("{} holds no version", options.dir.display()));
    } else {
        let heads =
            ["", ">version", ">step", "job", ">launch", ">ranks", ">bytes", "state", "recoverable"];
        let mut table = Table::new(&heads);
        for entry in catalogue.entries().rev() {
            table.row(&row(entry, resumed == Some(entry.version)));
        }
        say(&table.text());
        match resumed {
            Some(version) => line(&format!("* version {version} is what --resume takes")),
            None => line("none can be resumed"),
        }
    }
    for entry in catalogue.entries() {
        let unnamed: Vec<&str> = entry.unnamed().collect();
        if !unnamed.is_empty() {
            let version = entry.version;
            line(&format!("the manifest of version {version} does not name {}", some(&unnamed)));
        }
    }
    if !catalogue.others.is_empty() {
        line(&format!("no files of a version: {}", some(&catalogue.others)));
    }
    Ok(exit::OK)
}

fn row(entry: &Entry, resumed: bool) -> Vec<String> {
    let manifest = entry.manifest();
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        if resumed { "*" } else { "" }.to_owned(),
        entry.version.to_string(),
        or_dash(manifest.map(|m| m.step.to_string())),
        or_dash(manifest.map(|m| m.identity.job.to_string()[..8].to_owned())),
        or_dash(manifest.map(|m| m.identity.launch.to_string())),
        or_dash(manifest.map(|m| m.n().to_string())),
        bytes(entry.bytes()),
        if entry.is_archived() { "archived" } else { entry.standing.name() }.to_owned(),
        recoverable(entry),
    ]
}

/// Whether a version can be recovered or, in a few words, why not.
pub(super) fn recoverable(entry: &Entry) -> String {
    let reasons = entry.reasons();
    match reasons.as_slice() {
        [] => "yes".to_owned(),
        [first, ..] if entry.may_be_repaired() => format!("after repair: {first}"),
        [one] => format!("no: {one}"),
        [first, rest @ ..] => {
            format!("no: {first} (and {})", counted(rest.len() as u64, "more reason"))
        }
    }
}

/// The first few names.
fn some<S: AsRef<str>>(names: &[S]) -> String {
    let first: Vec<&str> = names.iter().take(OTHERS_MAX).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(OTHERS_MAX) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
