//! The state of the programs that hold much of it.
//!
//! Deliberately absent: what is done with it.

use mainstay::{Fields, State};

/// Steps taken, and an array.
pub struct Held {
    /// How many steps.
    pub step: u64,
    /// The array.
    pub words: Vec<u64>,
}

impl State for Held {
    fn fields(&mut self, f: &mut Fields<'_>) {
        f.value("step", &mut self.step);
        f.array("words", &mut self.words);
    }
}
