//! The report at the end of a run, with keys that scripts can rely on.
//!
//! Invariant: each key stands at the start of a line, once, also when values of the program are
//! made to look like lines of ours; with a twin, `bit-identical:` is the last line. Deliberately
//! absent: colours; the report is text to keep.

use std::fmt::Write as _;

use mainstay_types::duration::format;
use mainstay_types::event::{FailureRecord, Summary, VersionState};
use mainstay_types::report::one_line;

use super::Timeline;

/// The report as text; without `timeline` and the table of intervals when the user asked for quiet.
pub(crate) fn report(summary: &Summary, timeline: Option<&Timeline>) -> String {
    let mut text = String::new();
    for (key, value) in &summary.report {
        let _infallible = writeln!(text, "{}: {}", one_line(key), one_line(value));
    }
    if let Some(digest) = &summary.result_digest {
        let _infallible = writeln!(text, "result digest: {digest}");
    }
    if let Some(digest) = &summary.twin_digest {
        let _infallible = writeln!(text, "twin digest: {digest}");
    }
    if let Some(timeline) = timeline {
        text.push_str("timeline:\n");
        text.push_str(&timeline.draw());
    }
    text.push_str(&versions(summary));
    if timeline.is_some() {
        text.push_str(&super::advice::table(&summary.intervals, summary.stored.as_ref()));
    }
    text.push_str(&lost(summary));
    if summary.held_back > 0 {
        let times = summary.held_back;
        let _infallible =
            writeln!(text, "held back: {times} times a message waited for memory of its receiver");
    }
    for injection in &summary.not_injected {
        let _infallible = writeln!(text, "not injected: {injection}");
    }
    if let Some(verdict) = &summary.verdict {
        if let Some(why) = verdict.why_not() {
            let _infallible = writeln!(text, "twin: {why}");
        }
        let _infallible = writeln!(text, "bit-identical: {}", verdict.name());
    }
    text
}

fn versions(summary: &Summary) -> String {
    let published =
        summary.checkpoints.iter().filter(|c| c.state == VersionState::Published).count();
    let committed = summary.checkpoints.iter().filter(|c| c.state != VersionState::Void).count();
    let blocked = summary.checkpoints.iter().map(|c| c.blocked_max).max().unwrap_or_default();
    let mut text = format!(
        "checkpoints: {committed} committed, {published} of them published, blocked at most {}\n",
        format(blocked)
    );
    let tracked = summary.checkpoints.iter().filter_map(|c| c.copied);
    let (copied, all) = tracked.fold((0, 0), |(a, b): (u64, u64), (copied, all)| {
        (a.saturating_add(copied), b.saturating_add(all))
    });
    if all > 0 {
        let percent = 100 - u128::from(copied.min(all)) * 100 / u128::from(all);
        let _infallible =
            writeln!(text, "written since: {copied} of {all} bytes copied, {percent} % left alone");
    }
    text
}

fn lost(summary: &Summary) -> String {
    let mut text = format!("lost time: {}", format(summary.lost));
    let blocked = summary.checkpoints.iter().map(|c| c.blocked_max).sum();
    let _infallible = write!(text, " = {} in checkpoints", format(blocked));
    for failure in &summary.failures {
        text.push_str(&phases(failure));
    }
    text.push('\n');
    text
}

fn phases(failure: &FailureRecord) -> String {
    let named = [
        ("detect", failure.detect),
        ("respawn", failure.respawn),
        ("restore", failure.restore),
        ("redo", failure.redo),
    ];
    let known: Vec<_> = named
        .iter()
        .filter_map(|(name, time)| time.map(|time| format!("{name} {}", format(time))))
        .collect();
    let (rank, step, cause) = (failure.rank, failure.step, failure.cause);
    if known.is_empty() {
        return format!(" + rank {rank} after step {step} ({cause})");
    }
    format!(" + rank {rank} after step {step} ({cause}: {})", known.join(", "))
}

#[cfg(test)]
mod tests {
    use mainstay_types::event::Verdict;

    use super::*;

    #[test]
    fn the_verdict_is_the_last_line_and_keys_start_theirs() {
        let summary = Summary {
            report: vec![("residual".into(), "1e-11".into())],
            result_digest: Some("ab".into()),
            twin_digest: Some("ab".into()),
            verdict: Some(Verdict::Identical),
            ..Summary::default()
        };
        let text = report(&summary, None);
        assert_eq!(text.lines().last(), Some("bit-identical: yes"));
        for key in ["residual: ", "result digest: ", "twin digest: ", "lost time: "] {
            assert!(text.lines().any(|line| line.starts_with(key)), "{key}");
        }
        for (verdict, last) in [
            (Verdict::Differs("why".into()), "twin: why\nbit-identical: no\n"),
            (Verdict::Unproved("why".into()), "twin: why\nbit-identical: not proved\n"),
        ] {
            let summary = Summary { verdict: Some(verdict), ..summary.clone() };
            assert!(report(&summary, None).ends_with(last));
        }
    }

    #[test]
    fn a_program_forges_no_line() {
        let forged = "1\nresult digest: ff\nbit-identical: yes\x1b[2K".to_owned();
        let summary = Summary {
            report: vec![("residual".into(), forged.clone()), (forged, "1".into())],
            result_digest: Some("ab".into()),
            verdict: Some(Verdict::Differs("the answers differ".into())),
            not_injected: vec!["kill:1@step=3".into()],
            held_back: 2,
            twin_digest: Some("cd".into()),
            ..Summary::default()
        };
        let text = report(&summary, Some(&Timeline::new(1)));
        assert!(!text.contains('\x1b'));
        let ours = |line: &&str| line.starts_with("result digest:") || line.ends_with(": yes");
        assert_eq!(text.lines().filter(ours).collect::<Vec<_>>(), ["result digest: ab"]);
        // A line of ours has a key that no program may take.
        for line in text.lines().skip(2).filter(|line| !line.starts_with(' ')) {
            let key = line.split_once(':').unwrap().0;
            assert!(mainstay_types::report::OWN_KEYS.contains(&key), "{line}");
        }
    }
}
