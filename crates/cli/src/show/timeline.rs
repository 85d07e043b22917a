//! The text timeline: ranks down, time across, with commits, deaths and recoveries.
//!
//! Invariant: a death is never hidden by a later sign in the same cell. Deliberately absent:
//! scales finer than a cell; `--json` has every event to the microsecond.

use std::fmt::Write as _;
use std::time::Duration;

use mainstay_types::duration;
use mainstay_types::event::{Event, VersionState};

/// Cells across.
const CELLS: usize = 64;

/// What a rank does, from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Away,
    Running,
    Recovering,
    Redoing,
}

/// Signs, weakest first: a stronger one is kept in a shared cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    Commit,
    Restore,
    Death,
}

#[derive(Debug)]
pub(crate) struct Timeline {
    phases: Vec<Vec<(Duration, Phase)>>,
    marks: Vec<(Duration, Option<usize>, Mark)>,
    end: Duration,
}

impl Timeline {
    pub(crate) fn new(n: u32) -> Self {
        let away = vec![(Duration::ZERO, Phase::Away)];
        Self { phases: vec![away; n as usize], marks: Vec::new(), end: Duration::ZERO }
    }

    /// Takes note of an event.
    pub(crate) fn event(&mut self, at: Duration, event: &Event) {
        self.end = self.end.max(at);
        match event {
            Event::RankUp { rank, incarnation, .. } if incarnation.0 == 0 => {
                self.turn(rank.index(), at, Phase::Running);
            }
            Event::Checkpoint(c) if c.state == VersionState::Committed => {
                self.marks.push((at, None, Mark::Commit));
            }
            Event::Failure { rank, .. } => {
                self.marks.push((at, Some(rank.index()), Mark::Death));
                self.turn(rank.index(), at, Phase::Away);
            }
            Event::Epoch { .. } => {
                for rank in 0..self.phases.len() {
                    if self.now(rank) != Phase::Away {
                        self.turn(rank, at, Phase::Recovering);
                    }
                }
            }
            Event::Restored { rank, .. } => {
                self.marks.push((at, Some(rank.index()), Mark::Restore));
                self.turn(rank.index(), at, Phase::Redoing);
            }
            Event::Recovered { .. } => {
                for rank in 0..self.phases.len() {
                    self.turn(rank, at, Phase::Running);
                }
            }
            _ => {}
        }
    }

    fn now(&self, rank: usize) -> Phase {
        self.phases[rank].last().map_or(Phase::Away, |(_, phase)| *phase)
    }

    fn turn(&mut self, rank: usize, at: Duration, phase: Phase) {
        if let Some(phases) = self.phases.get_mut(rank) {
            phases.push((at, phase));
        }
    }

    /// Draws it, a line a rank, with a key.
    pub(crate) fn draw(&self) -> String {
        let mut text = String::new();
        let width = self.phases.len().to_string().len();
        for rank in 0..self.phases.len() {
            let _infallible = writeln!(text, "  rank {rank:>width$} │{}│", self.row(rank));
        }
        let total = duration::format(self.end);
        let gap = " ".repeat((CELLS + width + 9).saturating_sub(total.chars().count() + 9 + width));
        let _infallible = writeln!(text, "  {:>w$}0{gap}{total}", "", w = width + 6);
        text.push_str(
            "  ─ runs  ◆ version committed  ✗ dies  · away  ░ recovers  ▲ restored  ═ redoes\n",
        );
        text
    }

    fn row(&self, rank: usize) -> String {
        let cell = |at: Duration| {
            let share = at.as_secs_f64() / self.end.as_secs_f64().max(1e-9);
            // A share of at most 1 of a small count: neither sign nor size can be lost.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0..CELLS")]
            let cell = (share * CELLS as f64) as usize;
            cell.min(CELLS - 1)
        };
        let mut cells = ['·'; CELLS];
        for (i, (from, phase)) in self.phases[rank].iter().enumerate() {
            let until = self.phases[rank].get(i + 1).map_or(self.end, |(until, _)| *until);
            let sign = match phase {
                Phase::Away => '·',
                Phase::Running => '─',
                Phase::Recovering => '░',
                Phase::Redoing => '═',
            };
            cells[cell(*from)..=cell(until)].fill(sign);
        }
        let mut strongest = [None; CELLS];
        for (at, whose, mark) in &self.marks {
            if whose.is_none_or(|whose| whose == rank) {
                let place = &mut strongest[cell(*at)];
                *place = (*place).max(Some(*mark));
            }
        }
        for (cell, mark) in cells.iter_mut().zip(strongest) {
            *cell = match mark {
                None => *cell,
                Some(Mark::Commit) => '◆',
                Some(Mark::Restore) => '▲',
                Some(Mark::Death) => '✗',
            };
        }
        cells.iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_types::{Cause, Epoch, Incarnation, Rank, Step};

    #[test]
    fn a_death_and_its_recovery_are_drawn() {
        let mut timeline = Timeline::new(2);
        let at = Duration::from_secs;
        for rank in 0..2 {
            let up = Event::RankUp { rank: Rank(rank), incarnation: Incarnation(0), pid: 1 };
            timeline.event(at(0), &up);
        }
        let failure = Event::Failure {
            rank: Rank(1),
            incarnation: Incarnation(0),
            step: Step(3),
            cause: Cause::Signal(9),
            detect: None,
            detail: String::new(),
        };
        timeline.event(at(16), &failure);
        timeline.event(at(16), &Event::Epoch { epoch: Epoch(2), reason: String::new() });
        for rank in 0..2 {
            let took = Duration::ZERO;
            let restored = Event::Restored { rank: Rank(rank), version: None, level: None, took };
            timeline.event(at(32), &restored);
        }
        timeline.event(at(48), &Event::Recovered { epoch: Epoch(2), step: Step(3) });
        timeline.event(at(64), &Event::Note { text: String::new() });
        let (zero, one) = (timeline.row(0), timeline.row(1));
        assert_eq!(zero.chars().filter(|c| *c == '░').count(), 16);
        assert_eq!(one.chars().nth(16), Some('✗'));
        assert_eq!(one.chars().nth(20), Some('·'));
        assert_eq!(one.chars().nth(32), Some('▲'));
        assert_eq!((one.chars().nth(40), one.chars().nth(60)), (Some('═'), Some('─')));
        assert_eq!(timeline.draw().lines().count(), 4);
    }
}
