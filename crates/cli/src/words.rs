//! The words of a command line before they are parsed.
//!
//! Invariant: no word after the program's name is looked at as one of ours by [`wants_json`].
//! Deliberately absent: what the words mean; see `args`.

use std::ffi::OsString;

use clap::CommandFactory as _;

use crate::args::Cli;

/// Whether `--json` stands among the options of Mainstay, in arguments that may be wrong.
pub(crate) fn wants_json(args: &[OsString]) -> bool {
    if args.get(1).is_none_or(|word| word != "run") {
        return false;
    }
    let command = Cli::command();
    let run = command.find_subcommand("run");
    let takes_next = |word: &str| {
        let mut known = run.into_iter().flat_map(clap::Command::get_arguments);
        known.any(|arg| {
            let named = arg.get_long().is_some_and(|long| word == format!("--{long}"))
                || arg.get_short().is_some_and(|short| word == format!("-{short}"));
            named && arg.get_action().takes_values() && !arg.is_require_equals_set()
        })
    };
    let mut words = args.iter().skip(2);
    while let Some(word) = words.next().and_then(|word| word.to_str()) {
        if word == "--json" {
            return true;
        }
        if word == "--" || !word.starts_with('-') {
            return false;
        }
        if takes_next(word) {
            words.next();
        }
    }
    false
}

/// Joins `--resume` with a job that follows it, so that a program may follow it as well.
pub(crate) fn joined(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::new();
    for arg in args {
        let job = arg.to_str().is_some_and(|text| text.parse::<mainstay_types::JobId>().is_ok());
        match joined.last_mut() {
            Some(last) if last == "--resume" && job => {
                last.push("=");
                last.push(&arg);
            }
            _ => joined.push(arg),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_seen_before_the_program_alone() {
        let wants =
            |line: &str| wants_json(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        for line in
            ["-n 0 --json ./x", "--json --nonsense", "-n --policy --json", "--resume --json x"]
        {
            assert!(wants(&format!("mainstay run {line}")), "{line}");
        }
        for line in ["-n 0 ./x --json", "-- --json", "--policy abort x --json", "--inject --json x"]
        {
            assert!(!wants(&format!("mainstay run {line}")), "{line}");
        }
        assert!(!wants("mainstay --json"));
        assert!(!wants("mainstay ckpt ls run --json"));
    }
}
