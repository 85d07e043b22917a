//! What an earlier launch has left in the directory: removed, or told.
//!
//! Deliberately absent: what is a leftover, and in which order it goes; `ckpt::commit` decides.

use mainstay_ckpt::{Leftovers, parse_name};

use crate::archive::UNTIL_WHOLE;
use crate::directory::Directory;

/// Removes what nobody can want; gives what to tell of it and of the rest.
pub(super) fn remove(directory: &Directory, names: &[String]) -> Vec<String> {
    let found = Leftovers::among(names.iter().map(String::as_str));
    let mut notes = Vec::new();
    // Also without leftovers: what is seen is relied on from now on, and a launcher that was killed
    // may not have made it durable.
    let cleaned = if found.any { directory.clean(&found) } else { Ok(()) };
    let what = "files of versions that were never published are";
    match cleaned {
        Ok(()) if found.is_empty() => {}
        Ok(()) => notes.push(format!("{} {what} removed", found.len())),
        Err(error) if found.is_empty() => notes.push(error.to_string()),
        Err(error) => notes.push(format!("{what} not removed: {error}")),
    }
    for name in names.iter().filter(|name| is_until_whole(name)) {
        if let Err(error) = std::fs::remove_file(directory.path().join(name)) {
            notes.push(format!("{name}, which a repair has left, is not removed: {error}"));
        }
    }
    if !found.bereft.is_empty() {
        let versions: Vec<_> = found.versions.iter().map(ToString::to_string).collect();
        notes.push(format!(
            "{} shards of version {} have no manifest and are left alone: put it back to use them, \
             or remove them from {}",
            found.bereft.len(),
            versions.join(", "),
            directory.path().display()
        ));
    }
    notes
}

/// Whether it is what a repair was writing when it ended.
fn is_until_whole(name: &str) -> bool {
    name.strip_suffix(UNTIL_WHOLE).and_then(parse_name).is_some()
}
