//! `--trace` and `mainstay trace`: a run as a file, and the file as a page.
//!
//! Invariants: a trace is written when the run has ended, however it did, aside and renamed; one
//! that cannot be written is said and changes nothing else; a page never takes the place of the
//! trace that it is made of. Deliberately absent: what stands in either; see `mainstay_observe`.

use std::io::{self, BufWriter, Write};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mainstay_host::publish;
use mainstay_host::supervisor::{Flow, Observer, Outcome, Refusal, Status};
use mainstay_observe::{Page, Run};
use mainstay_types::event::Event;
use mainstay_types::exit;
use mainstay_types::limits::TRACE_RECORDS_MIN;
use mainstay_types::report::one_line;

use crate::{args, quote, show};

/// Records that are kept over all ranks unless asked otherwise.
const RECORDS: u64 = 1 << 20;
/// Events of the launcher that are kept, and lines of output among them.
const EVENTS_MAX: usize = 1 << 18;
const LINES_MAX: usize = 10_000;
/// Bytes of a line of output that are kept: 200 characters.
const LINE_BYTES: usize = 800;

/// Records to keep of each rank; 0 when nothing is traced.
pub(crate) fn records(options: &args::Run) -> u64 {
    let share = (RECORDS / u64::from(options.n)).max(TRACE_RECORDS_MIN * 16);
    let by_default = 1 << share.ilog2();
    options.trace.as_ref().map_or(0, |_| options.trace_records.unwrap_or(by_default))
}

/// Whether the trace could be written, before anything is started.
pub(crate) fn check(options: &args::Run) -> Result<(), Refusal> {
    let Some(path) = &options.trace else { return Ok(()) };
    publish::check(path).map_err(|error| Refusal {
        code: exit::DIRECTORY,
        why: format!(
            "the trace {} cannot be written: {error}; make its directory, or give another",
            path.display()
        ),
    })
}

/// Runs, and writes the trace if one was asked for.
pub(crate) fn traced(
    options: &args::Run,
    observer: &mut dyn Observer,
    run: impl FnOnce(&mut dyn Observer) -> Outcome,
) -> Outcome {
    let Some(path) = &options.trace else { return run(observer) };
    let mut noted = Noted { observer, events: Vec::new(), lines: 0, left_out: 0 };
    let outcome = run(&mut noted);
    let end = noted.events.last().map_or(Duration::ZERO, |(at, _)| *at);
    let text = match write(path, &noted, &outcome) {
        Ok(()) => {
            let words = ["mainstay".into(), "trace".into(), path.clone().into_os_string()];
            let command = quote::line(&words);
            format!("the trace is in {}; draw it with: {command}", path.display())
        }
        Err(error) => format!(
            "the trace {} cannot be written: {error}; the run itself is not concerned",
            path.display()
        ),
    };
    noted.observer.event(end, &Event::Note { text });
    outcome
}

fn write(path: &Path, noted: &Noted<'_>, outcome: &Outcome) -> io::Result<()> {
    let Some(trace) = &outcome.trace else {
        return Err(io::Error::other("the job was not set up"));
    };
    let run = Run {
        started: trace.started,
        events: &noted.events,
        left_out: noted.left_out,
        tapes: &trace.tapes,
        summary: &outcome.summary,
    };
    let mut file = BufWriter::with_capacity(1 << 20, publish::draft(path)?);
    mainstay_observe::chrome(&run, &mut |text| file.write_all(text.as_bytes()))?;
    let draft = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    draft.end()?.publish()
}

/// An observer that keeps what it passes on.
struct Noted<'a> {
    observer: &'a mut dyn Observer,
    events: Vec<(Duration, Event)>,
    lines: usize,
    left_out: u64,
}

impl Observer for Noted<'_> {
    fn event(&mut self, at: Duration, event: &Event) {
        let line = matches!(event, Event::Output { .. });
        self.lines += usize::from(line);
        if self.events.len() < EVENTS_MAX && !(line && self.lines > LINES_MAX) {
            self.events.push((at, shortened(event)));
        } else {
            self.left_out += 1;
        }
        self.observer.event(at, event);
    }

    fn status(&mut self, at: Duration, status: &Status) {
        self.observer.status(at, status);
    }

    fn wants_status(&self) -> bool {
        self.observer.wants_status()
    }

    fn flow(&self) -> Flow {
        self.observer.flow()
    }

    fn flow_changed(&self) -> Option<BorrowedFd<'_>> {
        self.observer.flow_changed()
    }
}

/// What is kept of an event: of a line of output, which may be long, as much as a trace shows.
fn shortened(event: &Event) -> Event {
    match event {
        Event::Output { rank, stream, line, partial } => {
            let line = line[..line.len().min(LINE_BYTES)].to_vec();
            Event::Output { rank: *rank, stream: *stream, line, partial: *partial }
        }
        other => other.clone(),
    }
}

/// `mainstay trace`.
pub(crate) fn draw(options: &args::Trace) -> u8 {
    match page(options) {
        Ok(out) => {
            show::out(format!("{}\n", out.display()).as_bytes());
            exit::OK
        }
        Err(Refusal { code, why }) => {
            show::err(&format!("mainstay: {}\n", one_line(&why)));
            code
        }
    }
}

fn page(options: &args::Trace) -> Result<PathBuf, Refusal> {
    let refuse = |code, why| Err(Refusal { code, why });
    let file = &options.file;
    let out = options.out.clone().unwrap_or_else(|| file.with_extension("html"));
    let same = out == *file
        || matches!((out.canonicalize(), file.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if same {
        let why = format!(
            "the page would take the place of the trace {}: give another --out",
            file.display()
        );
        return refuse(exit::USAGE, why);
    }
    let json = match std::fs::read(file) {
        Ok(json) => json,
        Err(error) => {
            let why = format!("cannot read the trace {}: {error}", file.display());
            return refuse(exit::DATA, why);
        }
    };
    let page = match Page::read(&json) {
        Ok(page) => page,
        Err(error) => {
            let why = format!(
                "{} is no trace of `mainstay run --trace`: {error}; give the file that it wrote",
                file.display()
            );
            return refuse(exit::DATA, why);
        }
    };
    drop(json);
    let put = || -> io::Result<()> {
        let mut draft = publish::draft(&out)?;
        page.html(&mut |text| draft.write_all(text.as_bytes()))?;
        draft.end()?.publish()
    };
    match put() {
        Ok(()) => Ok(out),
        Err(error) => {
            let why = format!("the page {} cannot be written: {error}", out.display());
            refuse(exit::DIRECTORY, why)
        }
    }
}
