//! Injections: faults that a user asks for, as text and as data.
//!
//! Grammar: `ACTION:RANK[:CODE]@WHEN[:xN|:always]`, several joined by commas, where `ACTION` is
//! `kill`, `stop`, `exit`, `segv` or `panic`, `RANK` a number or `*`, and `WHEN` is `step=K`,
//! `time=T` or `point=NAME[#n]`. `kill:nodeK` kills a node with its ranks, by time or at a point of the
//! launcher. Invariant: [`Display`](fmt::Display) writes what
//! [`parse`] reads. Deliberately absent: whether an injection has fired; receipts tell that.

use std::fmt;
use std::time::Duration;

use crate::codec::{DecodeError, Reader, Writer};
use crate::{Node, Point, Rank, Step, duration, limits};

/// What is done to the rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// SIGKILL.
    Kill,
    /// SIGSTOP.
    Stop,
    /// `exit` with this code, from 0 to 255.
    Exit(u8),
    /// A segmentation violation.
    Segv,
    /// A panic on the rank's own thread.
    Panic,
    /// SIGKILL to the process of a node and to all its ranks.
    KillNode(Node),
}

/// When it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// As the rank enters the `checkpoint` call of this step, before anything is captured.
    Step(Step),
    /// This long after all ranks have entered `run`.
    Time(Duration),
    /// At the n-th passage of a point, from 1.
    Point(Point, u64),
}

/// How often it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// So many times in the whole job, across rollbacks.
    Count(u32),
    /// Whenever its moment comes, in every incarnation.
    Always,
}

/// One injection of one rank, or of every rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injection {
    /// What is done.
    pub action: Action,
    /// To whom; `None` is every rank.
    pub rank: Option<Rank>,
    /// When.
    pub when: When,
    /// How often for each rank.
    pub times: Times,
}

impl Injection {
    /// Whether it concerns `rank` by itself.
    #[must_use]
    pub fn strikes(&self, rank: Rank) -> bool {
        self.node().is_none() && self.rank.is_none_or(|only| only == rank)
    }

    /// The node that it strikes, if it strikes one.
    #[must_use]
    pub fn node(&self) -> Option<Node> {
        match self.action {
            Action::KillNode(node) => Some(node),
            _ => None,
        }
    }

    /// Writes it for a rank.
    pub fn encode(&self, w: &mut Writer) {
        let (action, code) = match self.action {
            Action::Kill => (0, 0),
            Action::Stop => (1, 0),
            Action::Exit(code) => (2, code),
            Action::Segv => (3, 0),
            Action::Panic => (4, 0),
            Action::KillNode(node) => (5, u8::try_from(node.0).unwrap_or(u8::MAX)),
        };
        let (when, a, b) = match self.when {
            When::Step(step) => (0, step.0, 0),
            When::Time(after) => (1, u64::try_from(after.as_nanos()).unwrap_or(u64::MAX), 0),
            When::Point(point, nth) => (2, point.index() as u64, nth),
        };
        w.u8(action).u8(code).option(self.rank, |w, rank| {
            w.u32(rank.0);
        });
        w.u8(when).u64(a).u64(b);
        w.option(
            match self.times {
                Times::Count(times) => Some(times),
                Times::Always => None,
            },
            |w, times| {
                w.u32(times);
            },
        );
    }

    /// Reads what [`Injection::encode`] wrote.
    ///
    /// # Errors
    /// Anything that it did not write.
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let unknown =
            |what, value, at| Err(DecodeError::Unknown { what, value: u64::from(value), at });
        let at = r.at();
        let (action, code) = (r.u8("injection action")?, r.u8("injection code")?);
        let action = match action {
            2 => Action::Exit(code),
            5 if u32::from(code) < limits::NODES_MAX => Action::KillNode(Node(code.into())),
            _ if code != 0 => return unknown("injection code", code, at),
            0 => Action::Kill,
            1 => Action::Stop,
            3 => Action::Segv,
            4 => Action::Panic,
            other => return unknown("injection action", other, at),
        };
        let rank = r.option("injection rank", |r| Ok(Rank(r.u32("injection rank")?)))?;
        if let (Action::KillNode(_), Some(rank)) = (action, rank) {
            return Err(DecodeError::Unknown { what: "injection rank", value: rank.0.into(), at });
        }
        let at = r.at();
        let when = r.u8("injection moment")?;
        let (a, b) = (r.u64("injection moment")?, r.u64("injection moment")?);
        let when = match when {
            0 | 1 if b != 0 => return unknown("injection moment", when, at),
            0 => When::Step(Step(a)),
            1 => When::Time(Duration::from_nanos(a)),
            2 => match usize::try_from(a).ok().and_then(|i| Point::ALL.get(i)) {
                Some(point) => When::Point(*point, b),
                None => {
                    return Err(DecodeError::Unknown { what: "point", value: a, at });
                }
            },
            other => return unknown("injection moment", other, at),
        };
        let times = r.option("injection times", |r| r.u32("injection times"))?;
        Ok(Self { action, rank, when, times: times.map_or(Times::Always, Times::Count) })
    }
}

impl fmt::Display for Injection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.action {
            Action::Kill => "kill",
            Action::Stop => "stop",
            Action::Exit(_) => "exit",
            Action::Segv => "segv",
            Action::Panic => "panic",
            Action::KillNode(_) => "kill",
        };
        if let Some(node) = self.node() {
            write!(f, "{name}:node{node}")?;
        } else {
            match self.rank {
                Some(rank) => write!(f, "{name}:{rank}")?,
                None => write!(f, "{name}:*")?,
            }
        }
        if let Action::Exit(code) = self.action {
            write!(f, ":{code}")?;
        }
        match self.when {
            When::Step(step) => write!(f, "@step={step}")?,
            When::Time(after) => match (after.as_nanos() / 1000, after.as_nanos() % 1000) {
                (us, 0) => write!(f, "@time={us}us")?,
                (us, ns) => write!(f, "@time={us}.{ns:03}us")?,
            },
            When::Point(point, 1) => write!(f, "@point={}", point.name())?,
            When::Point(point, nth) => write!(f, "@point={}#{nth}", point.name())?,
        }
        match self.times {
            Times::Count(1) => Ok(()),
            Times::Count(times) => write!(f, ":x{times}"),
            Times::Always => f.write_str(":always"),
        }
    }
}

/// Reads a comma-separated list of injections.
///
/// # Errors
/// A sentence that names the part that cannot be read and shows the grammar.
pub fn parse(text: &str) -> Result<Vec<Injection>, String> {
    let list: Vec<_> = text.split(',').map(one).collect::<Result<_, _>>()?;
    if list.len() > limits::INJECTIONS_MAX {
        return Err(format!("{} injections; at most {} fit", list.len(), limits::INJECTIONS_MAX));
    }
    Ok(list)
}

fn one(text: &str) -> Result<Injection, String> {
    let bad = |why: String| {
        format!("`{text}`: {why}; write for example kill:2@step=50 or exit:1:3@point=send#2")
    };
    let (target, moment) =
        text.split_once('@').ok_or_else(|| bad("no `@` says when".to_owned()))?;
    let (action, rank) = parse_target(target).map_err(bad)?;
    let (moment, times) = match moment.split_once(':') {
        None => (moment, Times::Count(1)),
        Some((moment, "always")) => (moment, Times::Always),
        Some((moment, times)) => {
            let count = times.strip_prefix('x').and_then(|n| n.parse().ok()).filter(|n| *n > 0);
            let count = count.ok_or_else(|| bad("the repetition is not xN or always".to_owned()));
            (moment, Times::Count(count?))
        }
    };
    let when = parse_moment(moment).map_err(bad)?;
    let of_ranks = match when {
        When::Step(_) => true,
        When::Point(point, _) => !point.is_supervisors(),
        When::Time(_) => false,
    };
    if of_ranks && matches!(action, Action::KillNode(_)) {
        let why = "a node is struck by time or at a point that the launcher passes, such as \
                   time=2s or point=published";
        return Err(bad(why.to_owned()));
    }
    Ok(Injection { action, rank, when, times })
}

/// What comes before `@`: action, rank and, for `exit`, the code.
fn parse_target(target: &str) -> Result<(Action, Option<Rank>), String> {
    if let Some(node) = target.strip_prefix("kill:node") {
        let node = node.parse().ok().filter(|node| *node < limits::NODES_MAX);
        let node = Node(node.ok_or("the node is not a number below 64")?);
        return Ok((Action::KillNode(node), None));
    }
    let mut words = target.split(':');
    let name = words.next().unwrap_or_default();
    let rank = match words.next() {
        None | Some("") => return Err("no rank".to_owned()),
        Some("*") => None,
        Some(rank) => {
            Some(Rank(rank.parse().map_err(|_| "the rank is neither a number nor *".to_owned())?))
        }
    };
    let action = match (name, words.next()) {
        ("kill", None) => Action::Kill,
        ("stop", None) => Action::Stop,
        ("segv", None) => Action::Segv,
        ("panic", None) => Action::Panic,
        ("exit", Some(code)) => {
            Action::Exit(code.parse().map_err(|_| "the exit code is not from 0 to 255".to_owned())?)
        }
        ("exit", None) => return Err("exit needs a code".to_owned()),
        _ => return Err("the action is not kill, stop, exit:CODE, segv or panic".to_owned()),
    };
    match words.next() {
        None => Ok((action, rank)),
        Some(_) => Err("too many parts before `@`".to_owned()),
    }
}

/// What comes between `@` and the repetition.
fn parse_moment(moment: &str) -> Result<When, String> {
    match moment.split_once('=') {
        Some(("step", step)) => {
            let step = step.parse().ok().filter(|step| *step > 0);
            Ok(When::Step(Step(step.ok_or("the step is not a number from 1")?)))
        }
        Some(("time", after)) => {
            let after = duration::parse(after)?;
            // Ranks are told nanoseconds in 64 bits.
            match u64::try_from(after.as_nanos()) {
                Ok(_) => Ok(When::Time(after)),
                Err(_) => Err("the time is more than 584 years".to_owned()),
            }
        }
        Some(("point", point)) => {
            let (name, nth) = point.split_once('#').unwrap_or((point, "1"));
            let nth = nth.parse().ok().filter(|nth| *nth > 0);
            Ok(When::Point(name.parse()?, nth.ok_or("the passage is not from 1")?))
        }
        _ => Err("the moment is not step=K, time=T or point=NAME".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_back() {
        let text = "kill:2@step=50,stop:*@time=1500us,stop:1@time=0.025us,exit:1:3@point=send#2:x4,\
                    segv:0@point=captured:always,panic:3@step=1,kill:node1@time=5us,\
                    kill:node63@point=published#2:x2";
        let list = parse(text).unwrap();
        let printed: Vec<_> = list.iter().map(ToString::to_string).collect();
        assert_eq!(printed.join(","), text);
        for injection in list {
            let mut w = Writer::new();
            injection.encode(&mut w);
            let bytes = w.into_bytes();
            assert_eq!(Injection::decode(&mut Reader::new(&bytes)), Ok(injection));
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for bad in [
            "",
            "kill",
            "kill:1",
            "kill@step=1",
            "kill:x@step=1",
            "kill:1@step=0",
            "exit:1@step=1",
            "exit:1:256@step=1",
            "boil:1@step=1",
            "kill:1:2@step=1",
            "kill:1@point=nowhere",
            "kill:1@point=send#0",
            "kill:1@time=soon",
            "kill:1@time=585y",
            "kill:1@step=1:x0",
            "kill:1@step=1:often",
            "kill:-1@step=1",
            "kill:node@time=1s",
            "kill:node64@time=1s",
            "kill:node1@step=1",
            "kill:node1@point=send",
            "stop:node1@time=1s",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
