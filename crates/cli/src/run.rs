//! `mainstay run`: from options to a run, its twin, its report and its exit code.
//!
//! Invariant: whatever happens, exactly one summary is shown and its `exit` is the process's code.
//! Deliberately absent: how a run is supervised.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant, SystemTime};

use mainstay_control::DiskMode;
use mainstay_host::supervisor::{
    Config, Domains, Every, Observer, Outcome, Plan, Refusal, Storing, supervise,
};
use mainstay_types::event::{Event, Summary, Verdict};
use mainstay_types::report::one_line;
use mainstay_types::wire::node::Redundancy;
use mainstay_types::{Point, exit};

use crate::show::{self, Human, Json, Silent};
use crate::{args, hint, limit, options, trace};

/// Runs and gives the exit code.
pub(crate) fn run(options: &args::Run) -> u8 {
    if options.list_points {
        return list_points();
    }
    let slurm = std::env::var_os(limit::SLURM).map(|end| end.to_string_lossy().into_owned());
    let limit = match limit::limit(options.time_limit, slurm.as_deref(), SystemTime::now()) {
        Ok(limit) => limit,
        Err(why) => return refused(options.json, exit::USAGE, &why, Some(options)),
    };
    let config = Config { limit, ..config(options) };
    let plan = match Plan::new(&config) {
        Ok(plan) => plan,
        Err(refusal) => return refused(options.json, refusal.code, &refusal.why, Some(options)),
    };
    if let Err(Refusal { code, why }) = trace::check(options) {
        return refused(options.json, code, &why, Some(options));
    }
    if options.dry_run {
        return match plan.check() {
            Ok(()) => dry_run(options, &plan),
            Err(refusal) => refused(options.json, refusal.code, &refusal.why, Some(options)),
        };
    }
    if options.json { with_json(options, &plan) } else { for_people(options, &plan) }
}

fn config(options: &args::Run) -> Config {
    Config {
        n: options.n,
        policy: options.policy.into(),
        max_restarts: options.max_restarts,
        directory: options.ckpt_dir.clone(),
        domains: domains(options),
        every: options.ckpt_every,
        disk: options.disk_every.unwrap_or(match options.ckpt_every {
            Every::Auto => DiskMode::Auto,
            Every::Steps(_) | Every::Period(_) => DiskMode::Each,
        }),
        storing: Storing { compress: options.compress, full_every: options.full_every },
        storage: options::storage(options),
        mtbf: options.mtbf,
        machine_mtbf: options.machine_mtbf,
        limit: None,
        resume: options.resume,
        heartbeat: options.heartbeat,
        lost_after: options.lost_after,
        hang_after: options.hang_after,
        rejoin_within: options.rejoin_within,
        injections: options.inject.clone().unwrap_or_default().0,
        seed: options.seed,
        audit: options.audit,
        message_checks: options.message_checks == args::Switch::On,
        checkpoints: true,
        trace_records: trace::records(options),
        command: options.program.clone(),
    }
}

/// The nodes that are asked for, each a process of this program.
fn domains(options: &args::Run) -> Option<Domains> {
    let nodes = options.virtual_nodes?;
    let usual = if nodes > 1 { Redundancy::Partner } else { Redundancy::None };
    let redundancy = options.redundancy.unwrap_or(usual);
    // Also when the file has been replaced meanwhile: nodes are of this launcher's release.
    let command = vec!["/proc/self/exe".into(), "node".into()];
    Some(Domains { nodes, redundancy, command })
}

fn list_points() -> u8 {
    for point in Point::ALL {
        show::out(format!("{:<18} {}\n", point.name(), point.meaning()).as_bytes());
    }
    exit::OK
}

/// Runs; a panic of ours is a fault with a code and a summary like any other.
pub(crate) fn guarded(options: &args::Run, run: impl Fn(&args::Run) -> u8) -> u8 {
    let started = Instant::now();
    let caught = std::panic::catch_unwind(AssertUnwindSafe(|| run(options)));
    caught.unwrap_or_else(|_| {
        let why = "an internal fault; please report it with the lines before";
        ended(options.json, started.elapsed(), exit::INTERNAL, why, Some(options))
    })
}

/// Tells why nothing was run; without options they could not be read.
pub(crate) fn refused(json: bool, code: u8, why: &str, options: Option<&args::Run>) -> u8 {
    ended(json, Duration::ZERO, code, why, options)
}

fn ended(json: bool, at: Duration, code: u8, why: &str, options: Option<&args::Run>) -> u8 {
    if json {
        let mut json = Json::default();
        json.event(at, &Event::Note { text: why.to_owned() });
        json.summary(at, &nothing_ran(code, options));
    } else {
        show::err(&format!("mainstay: {}\n", one_line(why)));
    }
    code
}

/// The summary of a run that did not take place.
fn nothing_ran(code: u8, options: Option<&args::Run>) -> Summary {
    let policy = options.map_or(args::PolicyName::Rollback, |options| options.policy);
    let policy = mainstay_control::Policy::from(policy).name();
    let n = options.map_or(0, |options| options.n);
    Summary { exit: code, policy, n, ..Summary::default() }
}

fn dry_run(options: &args::Run, plan: &Plan) -> u8 {
    let shown = if options.json {
        let object: serde_json::Map<_, _> = plan
            .facts()
            .into_iter()
            .map(|(key, value)| (key.replace(' ', "_"), value.into()))
            .collect();
        format!("{}\n", serde_json::json!({"event": "plan", "t_ms": 0, "v": 1, "plan": object}))
    } else {
        plan.facts()
            .iter()
            .map(|(key, value)| format!("{:<13} {value}\n", format!("{key}:")))
            .collect()
    };
    show::out(shown.as_bytes());
    if options.json {
        Json::default().summary(Duration::ZERO, &nothing_ran(exit::OK, Some(options)));
    }
    exit::OK
}

fn with_json(options: &args::Run, plan: &Plan) -> u8 {
    let started = Instant::now();
    let mut json = Json::default();
    let outcome = with_twin(options, plan, &mut json);
    if let Some(text) = outcome.hint {
        json.event(started.elapsed(), &Event::Note { text });
    }
    json.summary(started.elapsed(), &outcome.summary);
    outcome.summary.exit
}

fn for_people(options: &args::Run, plan: &Plan) -> u8 {
    let mut human = Human::new(options.n, options.label, options.quiet);
    let outcome = with_twin(options, plan, &mut human);
    human.close();
    if outcome.summary.exit == exit::STDOUT_CLOSED {
        return exit::STDOUT_CLOSED;
    }
    if options.quiet && !outcome.why.is_empty() {
        show::err(&format!("mainstay: {}\n", one_line(&outcome.why)));
    }
    if !outcome.ran {
        return outcome.summary.exit;
    }
    let timeline = (!options.quiet).then_some(&human.timeline);
    let report = show::report(&outcome.summary, timeline);
    if let Some(hint) = &outcome.hint {
        show::err(&format!("mainstay: {hint}\n"));
    }
    show::out(report.as_bytes());
    outcome.summary.exit
}

/// A run with what its twin says about it.
struct Judged {
    summary: Summary,
    /// Why it ended as it did; empty after success.
    why: String,
    hint: Option<String>,
    /// Whether there was a run as asked, to be reported on.
    ran: bool,
}

impl Judged {
    /// The twin was all that ran; the summary is that of the run as asked, which did not.
    fn unjudged(options: &args::Run, summary: Summary, why: String) -> Self {
        let policy = mainstay_control::Policy::from(options.policy).name();
        let summary = Summary { policy, result_digest: None, ..summary };
        Self { summary, why, hint: None, ran: false }
    }
}

fn with_twin(options: &args::Run, plan: &Plan, observer: &mut dyn Observer) -> Judged {
    let refused = |refusal: Refusal, observer: &mut dyn Observer| {
        let Refusal { code, why } = refusal;
        observer.event(Duration::ZERO, &Event::Note { text: why.clone() });
        Judged::unjudged(options, nothing_ran(code, Some(options)), why)
    };
    // First of all: a twin may take long, and its run must not be refused after it.
    let opened = match plan.open() {
        Ok(opened) => opened,
        Err(refusal) => return refused(refusal, observer),
    };
    let mut reference = None;
    let mut plan = Cow::Borrowed(plan);
    if options.twin || options.audit {
        let twin_plan = plan.twin();
        let twin = match twin_plan.open() {
            Ok(opened) => supervise(&twin_plan, opened, &mut Silent),
            Err(refusal) => return refused(refusal, observer),
        };
        if twin.summary.exit != exit::OK {
            let text = format!("the fault-free twin failed: {}", twin.why);
            observer.event(Duration::ZERO, &Event::Note { text });
            opened.close();
            return Judged::unjudged(options, twin.summary, twin.why);
        }
        match plan.after(&twin) {
            Ok(after) => plan = Cow::Owned(after),
            Err(refusal) => {
                opened.close();
                return refused(refusal, observer);
            }
        }
        reference = Some(twin);
    }
    let outcome = trace::traced(options, observer, |observer| supervise(&plan, opened, observer));
    let hint = hint::hint(options, &outcome);
    let mut summary = outcome.summary;
    if let Some(twin) = reference {
        summary.verdict = verdict(options, &summary, &twin, &outcome.audit);
        summary.twin_digest = twin.summary.result_digest;
        if summary.exit == exit::OK && summary.verdict != Some(Verdict::Identical) {
            summary.exit = exit::NOT_IDENTICAL;
        }
    }
    if summary.exit == exit::OK && !summary.not_injected.is_empty() {
        summary.exit = exit::NOT_INJECTED;
    }
    Judged { summary, why: outcome.why, hint, ran: true }
}

/// Compares with the twin; `None` if the run failed, so that there is nothing to compare.
fn verdict(
    options: &args::Run,
    summary: &Summary,
    twin: &Outcome,
    audit: &[Vec<u64>],
) -> Option<Verdict> {
    let unproved = |why: &str| Some(Verdict::Unproved(why.to_owned()));
    if summary.result_digest.is_none() {
        return match summary.exit {
            exit::OK => unproved("the program hands in no result, so there is nothing to compare"),
            _ => None,
        };
    }
    if options.audit && !summary.failures.is_empty() {
        return unproved(
            "a rank failed during the audit, and its log with it: nothing is decided; run it again",
        );
    }
    if summary.result_digest != twin.summary.result_digest {
        let place = first_difference(&twin.audit, audit);
        return Some(Verdict::Differs(place.unwrap_or_else(|| answers_differ(summary))));
    }
    if options.audit {
        let place = first_difference(&twin.audit, audit);
        return Some(place.map_or(Verdict::Identical, Verdict::Differs));
    }
    if !summary.not_injected.is_empty() {
        return unproved("the answers agree, but an injection left no receipt: nothing is proved");
    }
    if summary.recoveries == 0 && summary.resumed_from.is_none() {
        let mend = match summary.failures.is_empty() {
            true => "add --inject",
            false => {
                "the rank failed before the first version; let it fail later, or give --ckpt-every"
            }
        };
        return unproved(&format!(
            "the answers agree, but nothing was restored: nothing is proved; {mend}"
        ));
    }
    Some(Verdict::Identical)
}

/// Answers that differ, and where to look first.
fn answers_differ(summary: &Summary) -> String {
    let restored = summary.recoveries > 0 || summary.resumed_from.is_some();
    let ask = match restored {
        true => "is a field missing in `State::fields`?",
        false => "does the program use the time, threads or an order of arrival?",
    };
    format!("the answers differ; {ask}")
}

/// The first step and rank whose message hashes differ between two audited runs.
fn first_difference(a: &[Vec<u64>], b: &[Vec<u64>]) -> Option<String> {
    let steps = a.iter().chain(b).map(Vec::len).max()?;
    for step in 0..steps {
        for (rank, (a, b)) in a.iter().zip(b).enumerate() {
            if a.get(step) != b.get(step) {
                let at_end = a.len() == b.len() && step + 1 == a.len();
                let place = match at_end {
                    true => "after the last step".to_owned(),
                    false => format!("in step {}", step + 1),
                };
                return Some(format!("the messages of rank {rank} first differ {place}"));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_ours_is_an_internal_fault() {
        let words = ["mainstay", "run", "--json", "./x"];
        let cli = <args::Cli as clap::Parser>::try_parse_from(words).unwrap();
        let args::Command::Run(options) = cli.command else { panic!("it runs something") };
        let code = guarded(&options, |_| panic!("on purpose"));
        assert_eq!(code, exit::INTERNAL);
        assert_eq!(guarded(&options, |_| exit::OK), exit::OK);
    }

    #[test]
    fn an_audit_names_the_first_step_then_rank() {
        let a = vec![vec![1, 2, 3], vec![1, 2, 3]];
        assert_eq!(first_difference(&a, &a), None);
        let b = vec![vec![1, 2, 9], vec![1, 9, 3]];
        let text = first_difference(&a, &b).unwrap();
        assert_eq!(text, "the messages of rank 1 first differ in step 2");
        let end = vec![vec![1, 2, 3], vec![1, 2, 9]];
        assert!(
            first_difference(&a, &end)
                .unwrap()
                .ends_with("rank 1 first differ after the last step")
        );
        let short = vec![vec![1, 2, 3], vec![1, 2]];
        assert!(first_difference(&a, &short).unwrap().contains("rank 1 first differ in step 3"));
    }
}
