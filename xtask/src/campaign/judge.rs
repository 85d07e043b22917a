//! What a case's run has to show, and what it showed.
//!
//! Invariant: nothing passes by default; a run without a summary is wrong. Deliberately absent:
//! processes.

use std::time::Duration;

use mainstay_types::exit;
use serde_json::Value;

use super::case::{Case, Expected};
use super::reference::Reference;

/// What came of a case.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Why it fails; `None` if it ended as it has to.
    pub(crate) wrong: Option<String>,
    /// Whether the injection at its point left a receipt.
    pub(crate) hit: bool,
    /// How many failures its summary lists.
    pub(crate) failures: usize,
    /// How many kills from outside found their process alive.
    pub(crate) outside: usize,
    /// How many nodes were lost, and how many rebuilt.
    pub(crate) nodes: (usize, usize),
    /// How long it took.
    pub(crate) took: Duration,
}

/// What was seen of a run.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Its summary; null without one.
    pub(crate) summary: Value,
    /// How many kills from outside found their process alive.
    pub(crate) outside: usize,
    /// How many nodes were lost, and how many rebuilt.
    pub(crate) nodes: (usize, usize),
    /// Whether it outlived its deadline.
    pub(crate) hung: bool,
    /// Processes of the job that outlived the launcher.
    pub(crate) left_behind: Vec<u64>,
}

impl Report {
    /// Judges what was seen of a case.
    pub(crate) fn judge(
        &mut self,
        case: &Case,
        reference: &Reference,
        seen: &Seen,
        code: Option<i32>,
    ) {
        let summary = &seen.summary;
        let list = |key: &str| summary[key].as_array().cloned().unwrap_or_default();
        self.failures = list("failures").len();
        self.outside = seen.outside;
        self.nodes = seen.nodes;
        let missed = list("not_injected");
        if let Some((_, aimed)) = &case.aim {
            let without_receipt = missed.iter().any(|injection| injection == aimed.as_str());
            self.hit = summary["event"] == "summary" && !without_receipt;
        }
        let digest = summary["result_digest"].as_str();
        let code = code.and_then(|code| u8::try_from(code).ok());
        let may_miss = code == Some(exit::NOT_INJECTED) && !missed.is_empty();
        self.wrong = if seen.hung {
            Some("hangs: the deadline is over".to_owned())
        } else if !seen.left_behind.is_empty() {
            Some(format!("leaves processes behind: {:?}", seen.left_behind))
        } else if summary["event"] != "summary" {
            Some(format!("ends with {code:?} and without a summary"))
        } else {
            match case.expected {
                Expected::SameBits if !(code == Some(exit::OK) || may_miss) => {
                    Some(format!("ends with {code:?}"))
                }
                Expected::SameBits if digest != Some(reference.digest.as_str()) => {
                    Some(format!("gives {digest:?}, not {}", reference.digest))
                }
                Expected::GivenUp if code != Some(exit::of_signal(9)) || digest.is_some() => {
                    Some(format!("ends with {code:?} where 137 and no answer are right"))
                }
                Expected::GivenUp
                    if list("failures").iter().all(|failure| failure["cause"] != "signal:9") =>
                {
                    Some("does not name the cause signal:9".to_owned())
                }
                _ => None,
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judged(case: &Case, summary: Value, code: i32) -> Report {
        let reference = Reference { digest: "aa".into(), steps: 40, took_us: 1000 };
        let seen = Seen { summary, ..Seen::default() };
        let mut report = Report::default();
        report.judge(case, &reference, &seen, Some(code));
        report
    }

    fn case(expected: Expected) -> Case {
        (0..)
            .map(|seed| {
                let reference = Reference { digest: "aa".into(), steps: 40, took_us: 1000 };
                Case::new(seed, &reference)
            })
            .find(|case| case.expected == expected)
            .unwrap()
    }

    #[test]
    fn only_the_right_bits_pass() {
        let case = case(Expected::SameBits);
        let aimed = case.aim.clone().unwrap().1;
        let summary = |digest: &str, missed: &[&str]| {
            json!({"event": "summary", "result_digest": digest, "not_injected": missed,
                   "failures": []})
        };
        let good = judged(&case, summary("aa", &[]), 0);
        assert!(good.wrong.is_none() && good.hit);
        let missed = judged(&case, summary("aa", &[&aimed]), 75);
        assert!(missed.wrong.is_none() && !missed.hit);
        assert!(judged(&case, summary("ab", &[]), 0).wrong.is_some());
        assert!(judged(&case, summary("aa", &[]), 75).wrong.is_some());
        assert!(judged(&case, summary("aa", &[]), 137).wrong.is_some());
        assert!(judged(&case, Value::Null, 0).wrong.is_some());
    }

    #[test]
    fn only_the_right_diagnosis_passes() {
        let case = case(Expected::GivenUp);
        let summary = |cause: &str| {
            json!({"event": "summary", "result_digest": null, "not_injected": [],
                   "failures": [{"cause": cause}]})
        };
        assert!(judged(&case, summary("signal:9"), 137).wrong.is_none());
        assert!(judged(&case, summary("panic"), 137).wrong.is_some());
        assert!(judged(&case, summary("signal:9"), 0).wrong.is_some());
    }
}
