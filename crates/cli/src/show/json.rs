//! `--json`: one object a line on standard output, as `docs/formats/run-json.md` defines them.
//!
//! Invariant: every object has `event`, `t_ms` and `v`. Deliberately absent: anything that is not
//! in the event.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use mainstay_host::supervisor::{Flow, Observer, Status};
use mainstay_types::Point;
use mainstay_types::event::{
    Advice, Checkpoint, Event, FailureRecord, Interval, Stored, Stream, Summary, Verdict,
};
use serde_json::{Map, Value, json};

use super::LeftOut;

/// The observer behind `--json`.
#[derive(Debug, Default)]
pub(crate) struct Json {
    left_out: LeftOut,
}

impl Observer for Json {
    fn event(&mut self, at: Duration, event: &Event) {
        // Output is never left out: ranks that are not read are held back instead.
        if !matches!(event, Event::Output { .. }) {
            let Some(before) = self.left_out.may_show() else { return };
            note(at, before);
        }
        let (name, fields) = body(event);
        line(name, at, fields);
    }

    fn status(&mut self, _at: Duration, _status: &Status) {}

    fn flow(&self) -> Flow {
        super::flow()
    }

    fn flow_changed(&self) -> Option<BorrowedFd<'_>> {
        super::flow_changed()
    }
}

impl Json {
    /// Writes the `summary` object.
    pub(crate) fn summary(&mut self, at: Duration, summary: &Summary) {
        note(at, self.left_out.told());
        line("summary", at, summary_body(summary));
    }
}

fn note(at: Duration, text: Option<String>) {
    if let Some(text) = text {
        let (name, fields) = body(&Event::Note { text });
        line(name, at, fields);
    }
}

fn line(name: &str, at: Duration, fields: Value) {
    let mut object = Map::new();
    object.insert("event".into(), name.into());
    object.insert("t_ms".into(), ms(at));
    object.insert("v".into(), 1.into());
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
    super::out(format!("{}\n", Value::Object(object)).as_bytes());
}

/// Milliseconds to the microsecond.
fn ms(duration: Duration) -> Value {
    json!((duration.as_secs_f64() * 1e6).round() / 1e3)
}

fn some_ms(duration: Option<Duration>) -> Value {
    duration.map_or(Value::Null, ms)
}

fn body(event: &Event) -> (&'static str, Value) {
    match event {
        Event::Start { job, n, policy, seed, command, directory } => (
            "start",
            json!({"job": job, "n": n, "policy": policy, "seed": seed, "command": command,
                   "ckpt_dir": directory}),
        ),
        Event::RankUp { rank, incarnation, pid } => {
            ("rank_up", json!({"rank": rank.0, "incarnation": incarnation.0, "pid": pid}))
        }
        Event::NodeUp { node, pid, ranks } => {
            let ranks: Vec<_> = ranks.iter().map(|rank| rank.0).collect();
            ("node_up", json!({"node": node.0, "pid": pid, "ranks": ranks}))
        }
        Event::NodeLost { node, why } => ("node_lost", json!({"node": node.0, "why": why})),
        Event::Guarded { version, level, bytes, took } => (
            "guarded",
            json!({"version": version.0, "level": level.name(), "bytes": bytes,
                   "took_ms": ms(*took)}),
        ),
        Event::Rebuilt { node, version, level, bytes, took } => (
            "rebuilt",
            json!({"node": node.0, "version": version.0, "level": level.name(), "bytes": bytes,
                   "took_ms": ms(*took)}),
        ),
        Event::Output { rank, stream, line, partial } => {
            let stream = match stream {
                Stream::Stdout => "stdout",
                Stream::Stderr => "stderr",
            };
            let text = String::from_utf8_lossy(line);
            ("output", json!({"rank": rank.0, "stream": stream, "line": text, "partial": partial}))
        }
        Event::Target { version, step } => {
            ("target", json!({"version": version.0, "step": step.0}))
        }
        Event::Checkpoint(checkpoint) => ("checkpoint", version(checkpoint)),
        Event::Failure { rank, incarnation, step, cause, detect, detail } => (
            "failure",
            json!({"rank": rank.0, "incarnation": incarnation.0, "step": step.0,
                   "cause": cause.to_string(), "detect_ms": some_ms(*detect), "detail": detail}),
        ),
        Event::Epoch { epoch, reason } => ("epoch", json!({"epoch": epoch.0, "reason": reason})),
        Event::Restored { rank, version, level, took } => (
            "restored",
            json!({"rank": rank.0, "version": version.map(|v| v.0),
                   "level": level.map(|l| l.name()), "took_ms": ms(*took)}),
        ),
        Event::Recovered { epoch, step } => {
            ("recovered", json!({"epoch": epoch.0, "step": step.0}))
        }
        Event::Interval(told) => ("interval", interval(told)),
        Event::Note { text } => ("note", json!({"text": text})),
    }
}

fn interval(interval: &Interval) -> Value {
    json!({
        "level": interval.level.name(),
        "interval_ms": some_ms(interval.every),
        "reason": interval.reason,
        "text": interval.text,
    })
}

fn advice(advice: &Advice) -> Value {
    let part = |spread: Option<(Duration, Duration)>, of: fn((Duration, Duration)) -> Duration| {
        some_ms(spread.map(of))
    };
    let (median, longest) = (|(median, _)| median, |(_, longest)| longest);
    let mut object = interval(&advice.interval);
    if let Value::Object(object) = &mut object {
        let more = json!({
            "versions": advice.versions,
            "cost_ms": part(advice.cost, median),
            "cost_ms_max": part(advice.cost, longest),
            "durable_ms": part(advice.durable, median),
            "durable_ms_max": part(advice.durable, longest),
            "mtbf_ms": ms(advice.mtbf),
            "mtbf_basis": advice.mtbf_basis,
            "expected": advice.expected,
            "best_ms": some_ms(advice.best),
            "best_expected": advice.best_expected,
            "bytes": advice.bytes,
            "bytes_per_s": advice.bandwidth,
            "harsher": {
                "mtbf_ms": ms(advice.harsher.mtbf),
                "expected": advice.harsher.expected,
                "best_ms": some_ms(advice.harsher.best),
                "best_expected": advice.harsher.best_expected,
            },
        });
        object.extend(more.as_object().cloned().unwrap_or_default());
    }
    object
}

fn version(checkpoint: &Checkpoint) -> Value {
    json!({
        "version": checkpoint.version.0,
        "step": checkpoint.step.0,
        "level": checkpoint.level.name(),
        "bytes": checkpoint.bytes,
        "blocked_ms_max": ms(checkpoint.blocked_max),
        "copied_bytes": checkpoint.copied.map(|(copied, _)| copied),
        "fields_bytes": checkpoint.copied.map(|(_, all)| all),
        "durable_ms": some_ms(checkpoint.durable),
        "drain_cpu_ms": some_ms(checkpoint.drain_cpu),
        "archived": checkpoint.archived,
        "why": checkpoint.why,
        "state": checkpoint.state.name(),
    })
}

fn failure(record: &FailureRecord) -> Value {
    json!({
        "rank": record.rank.0,
        "incarnation": record.incarnation.0,
        "step": record.step.0,
        "cause": record.cause.to_string(),
        "detect_ms": some_ms(record.detect),
        "respawn_ms": some_ms(record.respawn),
        "restore_ms": some_ms(record.restore),
        "redo_ms": some_ms(record.redo),
    })
}

fn summary_body(summary: &Summary) -> Value {
    let points: Map<String, Value> = Point::ALL
        .iter()
        .zip(&summary.points)
        .map(|(point, passages)| (point.name().to_owned(), (*passages).into()))
        .collect();
    let report: Map<String, Value> =
        summary.report.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
    json!({
        "exit": summary.exit,
        "policy": summary.policy,
        "n": summary.n,
        "steps": summary.steps,
        "result_digest": summary.result_digest,
        "twin_digest": summary.twin_digest,
        "bit_identical": summary.verdict.as_ref().map(|verdict| *verdict == Verdict::Identical),
        "verdict": summary.verdict.as_ref().map(Verdict::name),
        "why_not": summary.verdict.as_ref().and_then(Verdict::why_not),
        "restarts": summary.restarts,
        "respawns": summary.respawns,
        "not_injected": summary.not_injected,
        "resumed_from": summary.resumed_from.map(|version| version.0),
        "lost_ms": ms(summary.lost),
        "held_back": summary.held_back,
        "failures": summary.failures.iter().map(failure).collect::<Vec<_>>(),
        "checkpoints": summary.checkpoints.iter().map(version).collect::<Vec<_>>(),
        "intervals": summary.intervals.iter().map(advice).collect::<Vec<_>>(),
        "stored": summary.stored.as_ref().map(stored),
        "report": report,
        "points": points,
    })
}

fn stored(stored: &Stored) -> Value {
    let scrubbed = stored.scrubbed;
    json!({
        "arenas": stored.arenas,
        "arenas_bytes": stored.arenas_bytes,
        "waits": stored.waits,
        "waited_ms": ms(stored.waited),
        "kept": stored.kept,
        "kept_bytes": stored.kept_bytes,
        "archived": stored.archived,
        "archived_bytes": stored.archived_bytes,
        "scrubbed": {
            "copies": scrubbed.copies,
            "bytes": scrubbed.bytes,
            "cpu_ms": ms(scrubbed.cpu),
            "damaged": scrubbed.damaged,
            "mended": scrubbed.mended,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_types::Rank;

    #[test]
    fn a_summary_has_every_promised_key() {
        let body = summary_body(&Summary::default());
        for key in [
            "exit",
            "policy",
            "n",
            "steps",
            "result_digest",
            "bit_identical",
            "verdict",
            "why_not",
            "restarts",
            "respawns",
            "not_injected",
            "resumed_from",
            "lost_ms",
            "held_back",
            "failures",
            "checkpoints",
            "intervals",
            "stored",
        ] {
            assert!(body.get(key).is_some(), "{key}");
        }
    }

    #[test]
    fn output_that_is_not_text_is_still_json() {
        let event = Event::Output {
            rank: Rank(1),
            stream: Stream::Stdout,
            line: vec![b'a', 0xff, b'"'],
            partial: true,
        };
        assert_eq!(body(&event).1["line"], "a\u{fffd}\"");
        assert_eq!(body(&event).1["partial"], true);
    }
}
