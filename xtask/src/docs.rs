//! `cargo xtask docs`: what the pages say of the program is what the program does.
//!
//! Checks that links lead somewhere, that every option of `mainstay` that a page names is in the help
//! of its command, and runs every block marked ` ```sh run `, comparing what it prints with the page
//! where the page shows it. Deliberately absent: Rust blocks, which `cargo test` compiles as
//! doctests.

mod block;
mod execute;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use self::block::Run;
use self::execute::Ended;
use crate::tidy::{Finding, Page};
use crate::{Failure, tidy, workspace};

/// Options of a command: whether each takes a value.
type Options = BTreeMap<String, bool>;
/// The commands of `mainstay`, by their words.
type Commands = Vec<(Vec<&'static str>, Options)>;

/// The words of every command.
const COMMANDS: &[&[&str]] = &[
    &["run"],
    &["trace"],
    &["ckpt", "ls"],
    &["ckpt", "show"],
    &["ckpt", "verify"],
    &["ckpt", "diff"],
    &["ckpt", "extract"],
    &["ckpt", "prune"],
    &["ckpt", "repair"],
    &["ckpt", "scrub"],
    &["ckpt", "import", "veloc"],
];

/// Checks all pages. Returns how many things are wrong, having printed each.
///
/// # Errors
/// Programs that cannot be built or started, files that cannot be read.
pub(crate) fn run() -> Result<usize, Failure> {
    let programs = build()?;
    let mut commands = Commands::new();
    for words in COMMANDS {
        let help = Command::new(programs.join("mainstay")).args(*words).arg("--help").output()?;
        let options = options(&String::from_utf8_lossy(&help.stdout));
        if options.len() < 2 {
            return Err(format!("`mainstay {} --help` lists no options", words.join(" ")).into());
        }
        commands.push((words.to_vec(), options));
    }
    let pages = tidy::pages()?;
    let mut findings = tidy::links(&pages);
    findings.extend(pages.iter().flat_map(|page| unknown_options(page, &commands)));
    let (mut blocks, started) = (0, Instant::now());
    for page in &pages {
        let (run, wrong) = run_blocks(page, &programs)?;
        blocks += run;
        findings.extend(wrong);
    }
    for finding in &findings {
        println!("{finding}");
    }
    let (pages, seconds, broken) = (pages.len(), started.elapsed().as_secs(), findings.len());
    println!("docs: {pages} pages, {blocks} blocks run in {seconds} s, {broken} broken");
    Ok(findings.len())
}

/// Builds the command and the programs of `apps`. Returns the directory they lie in.
///
/// # Errors
/// A build that fails.
pub(crate) fn build() -> Result<PathBuf, Failure> {
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--release", "--quiet", "-p", "mainstay-cli", "-p", "mainstay-apps"]);
    if !cargo.status()?.success() {
        return Err("the programs do not build".into());
    }
    Ok(workspace::target_directory().join("release"))
}

/// The options that a help text lists.
fn options(help: &str) -> Options {
    let mut options = Options::new();
    for line in help
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with('-') && !line.starts_with("- "))
    {
        // A line reads `-n, --ranks <N>  What it is`.
        let usage = line.split("  ").next().unwrap_or_default();
        let takes_value = usage.contains('<') && !usage.contains("[=");
        let words = usage.split([',', ' ', '=', '[']).filter(|word| word.starts_with('-'));
        options.extend(words.map(|word| (word.trim_end_matches("...").to_owned(), takes_value)));
    }
    options
}

/// Options that a page names and the program does not know.
fn unknown_options(page: &Page, commands: &Commands) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut report = |line: usize, option: &str, command: &str| {
        let text = format!("names {option}, which the help of {command} does not");
        findings.push(Finding::new(&page.path, line, text));
    };
    let known = |option: &str| commands.iter().any(|(_, options)| options.contains_key(option));
    for (fence, info, lines) in page.blocks() {
        if info.split([' ', ',']).next() != Some("sh") {
            continue;
        }
        for (number, command) in logical_lines(&lines) {
            for (option, of) in unknown_in_command(&command, commands) {
                report(fence + 1 + number, &option, &of);
            }
        }
    }
    for (number, line) in page.prose() {
        for code in line.split('`').skip(1).step_by(2) {
            let first = code.split([' ', '=']).next().unwrap_or_default();
            if first.starts_with("--") && !known(first) {
                report(number, first, "no command");
            }
            for (option, of) in unknown_in_command(code, commands) {
                report(number, &option, &of);
            }
        }
    }
    findings
}

/// Lines of a script, those that end in a backslash joined.
fn logical_lines(lines: &[String]) -> Vec<(usize, String)> {
    let mut joined: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in lines.iter().enumerate() {
        let text = line.trim_end_matches('\\');
        match joined.last_mut().filter(|_| goes_on) {
            Some((_, whole)) => whole.push_str(text),
            None => joined.push((number, text.to_owned())),
        }
        goes_on = line.ends_with('\\');
    }
    joined
}

/// Unknown options of the commands of `mainstay` in a line, and the command of each. Behind the
/// program that `run` starts, options are the program's.
fn unknown_in_command(line: &str, commands: &Commands) -> Vec<(String, String)> {
    let mut unknown = Vec::new();
    let words: Vec<&str> = line.split_whitespace().collect();
    for at in 1..words.len() {
        if words[at - 1].rsplit('/').next() != Some("mainstay") {
            continue;
        }
        let found = commands.iter().find(|(name, _)| words[at..].starts_with(name));
        let Some((name, options)) = found else { continue };
        let mut rest = words[at + name.len()..].iter();
        let ends = |word: &&&str| ["|", "||", "&&", ";", ">", "#"].contains(*word);
        while let Some(word) = rest.next().filter(|word| !ends(word)) {
            if !word.starts_with('-') {
                if name == &["run"] {
                    break;
                }
                continue;
            }
            let word = word.trim_end_matches(';');
            let (option, value) = word.split_once('=').map_or((word, None), |(n, v)| (n, Some(v)));
            match options.get(option) {
                Some(true) if value.is_none() => {
                    rest.next();
                }
                Some(_) => {}
                None => unknown.push((option.to_owned(), format!("`mainstay {}`", name.join(" ")))),
            }
        }
    }
    unknown
}

/// Runs the page's blocks that ask for it. Returns how many there are and what is wrong.
fn run_blocks(page: &Page, programs: &Path) -> Result<(usize, Vec<Finding>), Failure> {
    let directory = workspace::target_directory().join("docs-run");
    let (runs, mut findings) = block::runs(page);
    for run in &runs {
        let ended = execute::execute(&run.script, programs, &directory)?;
        if let Some(wrong) = judge(run, &ended) {
            let text = format!("{wrong}; it printed:\n{}", indented(&ended.printed));
            findings.push(Finding::new(&page.path, run.line, text));
        }
    }
    Ok((runs.len(), findings))
}

/// What is wrong with the end of a block.
fn judge(run: &Run, ended: &Ended) -> Option<String> {
    if ended.late {
        return Some("the block did not end by its deadline and was killed".to_owned());
    }
    if ended.code != Some(run.exit) {
        let code = ended.code.map_or_else(|| "a signal".to_owned(), |code| format!("code {code}"));
        return Some(format!("the block ends with {code} and not with {}", run.exit));
    }
    let missing = block::missing(run.output.as_ref()?, &ended.printed)?;
    Some(format!("the page shows `{missing}`, and the block did not print it in that place"))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "Usage: mainstay run [OPTIONS]\n\n  -n, --ranks <N>\n          How many\n      \
                        --resume[=<JOB>]  Go on\n      --twin  Compare\n          - one: A value\n  -h, --help  Print help\n";

    #[test]
    fn the_help_is_read() {
        let options = options(HELP);
        let names: Vec<_> = options.keys().map(String::as_str).collect();
        assert_eq!(names, ["--help", "--ranks", "--resume", "--twin", "-h", "-n"]);
        let valued: Vec<_> = options.iter().filter(|(_, value)| **value).map(|(o, _)| o).collect();
        assert_eq!(valued, ["--ranks", "-n"]);
    }

    #[test]
    fn unknown_options_are_caught_and_those_of_programs_are_not() {
        let ls = options("      --json  Objects\n  -o, --out <FILE>  Where\n");
        let commands = vec![(vec!["run"], options(HELP)), (vec!["ckpt", "ls"], ls)];
        let unknown = |text: &str| unknown_options(&Page::new("x.md", text), &commands).len();
        for (text, count) in [
            ("```sh\nmainstay run -n 4 --twin ./cg --repeat 8\n```", 0),
            ("```sh\nmainstay run -n 4 --twine ./cg\n```", 1),
            ("```sh\n./target/release/mainstay run --ranks=4 \\\n  --fast ./cg\n```", 1),
            ("```text\nmainstay run --fast\n```", 0),
            ("the option `--twin`, and `cg --tol`", 0),
            ("the option `--twin=yes` and `--fast`", 1),
            ("write `mainstay run --fast x`", 1),
            ("write `cargo test --workspace`", 0),
            ("```sh\nmainstay ckpt ls run1 --json -o x | jq --raw .step\n```", 0),
            ("```sh\nmainstay ckpt ls --twin run1 --jason\n```", 2),
            ("the option `--json`, and `mainstay ckpt ls --n`", 1),
        ] {
            assert_eq!(unknown(text), count, "{text}");
        }
    }

    #[test]
    fn a_block_is_judged_by_its_code_and_its_output() {
        let ended = |code, printed: &str, late| Ended { code, printed: printed.to_owned(), late };
        let run = |exit| Run {
            line: 1,
            script: String::new(),
            exit,
            output: Some(vec!["bit-identical: yes".to_owned()]),
        };
        let yes = "bit-identical: yes\n";
        assert_eq!(judge(&run(75), &ended(Some(75), yes, false)), None);
        for (wrong, part) in [
            (ended(Some(0), yes, false), "code 0 and not with 75"),
            (ended(None, yes, false), "a signal"),
            (ended(None, yes, true), "deadline"),
            (ended(Some(75), "bit-identical: no", false), "shows `bit-identical: yes`"),
        ] {
            assert!(judge(&run(75), &wrong).is_some_and(|text| text.contains(part)), "{part}");
        }
    }
}
