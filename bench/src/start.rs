//! Suite `start`: from before the launcher of an empty program is started until it has ended.
//!
//! The program does what every program must, and nothing else. Invariant: ours and the peers take
//! turns, and a ratio is taken within its round. Deliberately absent: where the time goes.

use std::process::Command;
use std::time::Duration;

use crate::peers::{Peer, Which};
use crate::report::{Report, Section};
use crate::{Context, Failure, process};

/// Ranks of what was promised, and of what is shown beside it.
const RANKS: usize = 4;
const OTHERS: [usize; 3] = [2, 16, 64];
/// What is aimed at: so long, and such a part of MPICH's time.
const START_MS: f64 = 50.0;
const PART_OF_MPICH: f64 = 0.33;
/// Of one launch.
const DEADLINE: Duration = Duration::from_secs(30);

/// Measures all cases.
///
/// # Errors
/// What the kernel says, and a run of ours that failed.
pub(crate) fn measure(context: &Context) -> Result<Report, Failure> {
    let rounds = if context.quick { 4 } else { 15 };
    let mut report = Report::default();
    let mut peers = Vec::new();
    for which in Which::ALL {
        match Peer::with(which, "empty") {
            Ok(peer) => {
                report.note(peer.how(RANKS));
                peers.push((which, peer, Vec::new()));
            }
            Err(reason) => report.note(format!("{}: not measured: {reason}", which.name())),
        }
    }
    let mut ours = Vec::new();
    // The first round makes files and memory of the machine warm.
    for round in 0..=rounds {
        let ms = own(context, RANKS)?;
        ours.extend((round > 0).then_some(ms));
        for (_, peer, times) in &mut peers {
            let ms = timed(&mut peer.command(RANKS, "empty"))?;
            times.extend((round > 0).then_some(ms));
        }
    }
    let mut section = Section::new(format!("empty program, {RANKS} ranks"));
    section.promised("mainstay ms", ours.iter().copied(), START_MS);
    for (which, peer, times) in &peers {
        let good = times.iter().filter_map(|time| time.as_ref().ok().copied());
        section.add(&format!("{} ms", peer.title()), good);
        let ratios = ours.iter().zip(times);
        let ratios = ratios.filter_map(|(our, peer)| Some(our / peer.as_ref().ok()?));
        let name = format!("mainstay / {}", which.name());
        match which {
            Which::Mpich => section.promised(&name, ratios, PART_OF_MPICH),
            Which::OpenMpi => section.add(&name, ratios),
        }
        if let Some(reason) = times.iter().find_map(|time| time.as_ref().err()) {
            report.note(format!("{}: a run was not measured: {reason}", which.name()));
        }
    }
    report.add(section);
    let mut section = Section::new("mainstay, empty program");
    for ranks in OTHERS {
        own(context, ranks)?;
        let times = (0..rounds).map(|_| own(context, ranks)).collect::<Result<Vec<_>, _>>()?;
        section.add(&format!("{ranks} ranks ms"), times);
    }
    report.add(section);
    Ok(report)
}

fn own(context: &Context, ranks: usize) -> Result<f64, Failure> {
    let mut command = Command::new(&context.built.mainstay);
    command.args(["run", "--quiet", "-n", &ranks.to_string()]).arg(&context.built.empty);
    Ok(timed(&mut command)??)
}

/// Milliseconds, or why not.
fn timed(command: &mut Command) -> Result<Result<f64, String>, Failure> {
    let ended = process::run(command, DEADLINE)?;
    Ok(ended.failure.map_or(Ok(ended.took.as_secs_f64() * 1000.0), Err))
}
