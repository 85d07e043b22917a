//! Taking files away, so that whatever is cut short is known for what it is.
//!
//! Invariants: no shard is removed before it is durable that no manifest names it, and no mark
//! before it is durable that its shards are gone; a name that is gone already is as good as removed.
//! Where the first of these cannot be had, nothing more is done.

use super::{Fault, Files, Leftovers, Op, Outcome};

/// Where a removal stands: at the operation to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Withdraw,
    /// What is seen is made durable: what it tells is relied on from now on.
    SyncSeen,
    File(usize),
    SyncFiles,
    Mark(usize),
    Over,
}

/// The removal of files: a version that is pruned, one that failed, or leftovers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// A manifest to be withdrawn first, with its name aside.
    withdraw: Option<(String, String)>,
    files: Vec<String>,
    marks: Vec<String>,
    at: At,
    clean: bool,
}

impl Removal {
    /// Of a published version.
    #[must_use]
    pub fn prune(files: &Files) -> Self {
        Self::undo(files, files.parts.len(), true)
    }

    /// Of a version that failed, of which so many shards may have been made, and perhaps the final
    /// name.
    pub(super) fn undo(files: &Files, made: usize, published: bool) -> Self {
        let marks = vec![files.aside.clone()];
        let withdraw = (files.manifest.clone(), files.aside.clone());
        let start = if published { At::Withdraw } else { At::File(0) };
        Self::starting(start, Some(withdraw), files.parts[..made].to_vec(), marks)
    }

    /// Of what earlier launches left. It begins by making durable what is seen, so it is worth its
    /// while for a directory of versions without leftovers, too.
    #[must_use]
    pub fn of_leftovers(leftovers: &Leftovers) -> Self {
        let (files, marks) = (leftovers.files.clone(), leftovers.marks.clone());
        Self::starting(At::SyncSeen, None, files, marks)
    }

    fn starting(
        at: At,
        withdraw: Option<(String, String)>,
        files: Vec<String>,
        marks: Vec<String>,
    ) -> Self {
        let mut removal = Self { withdraw, files, marks, at, clean: true };
        removal.skip();
        removal
    }

    /// What to do next; `None` at the end. It stays next until [`done`](Self::done).
    #[must_use]
    pub fn next(&self) -> Option<Op> {
        match self.at {
            At::Withdraw => {
                let (manifest, aside) = self.withdraw.clone()?;
                Some(Op::Withdraw { manifest, aside })
            }
            At::SyncSeen | At::SyncFiles => Some(Op::SyncNames),
            At::File(i) => self.files.get(i).cloned().map(Op::Remove),
            At::Mark(i) => self.marks.get(i).cloned().map(Op::Remove),
            At::Over => None,
        }
    }

    /// Takes what came of the operation that was next.
    pub fn done(&mut self, outcome: Outcome) {
        let fine = match self.at {
            At::Over => return,
            At::SyncSeen | At::SyncFiles => outcome == Outcome::Done,
            // What is gone already is as good as removed.
            _ => matches!(outcome, Outcome::Done | Outcome::NotFound),
        };
        self.clean &= fine;
        self.at = match self.at {
            _ if outcome == Outcome::Failed(Fault::ReadOnly) => At::Over,
            At::Withdraw if fine => At::SyncSeen,
            At::SyncSeen if fine => At::File(0),
            // The final name may be there for good: what it names stays.
            At::Withdraw | At::SyncSeen => At::Over,
            At::File(i) => At::File(i + 1),
            // The marks stay while any file may.
            At::SyncFiles if self.clean => At::Mark(0),
            At::SyncFiles | At::Over => At::Over,
            At::Mark(i) => At::Mark(i + 1),
        };
        self.skip();
    }

    /// Goes on to the next state in which there is something to do.
    fn skip(&mut self) {
        if self.at == At::File(self.files.len()) {
            self.at = if self.files.is_empty() { At::Mark(0) } else { At::SyncFiles };
        }
        if self.at == At::Mark(self.marks.len()) {
            self.at = At::Over;
        }
    }

    /// Whether everything is gone, as far as has come.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.clean
    }
}
