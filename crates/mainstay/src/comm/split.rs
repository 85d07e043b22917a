//! Communicators made of others.
//!
//! Invariants: all ranks of a communicator agree on its number, which none of them has used before
//! in this history; entries of a program that make the same communicators number them alike.
//! Deliberately absent: giving numbers back.

use std::rc::Rc;

use mainstay_host::endpoint::Group;
use mainstay_types::limits::COMMUNICATORS_MAX;

use super::Comm;
use crate::{Error, Result};

/// What a rank says of itself when communicators are made.
#[derive(Clone, Copy, Debug)]
struct Card {
    key: i64,
    colour: u32,
    takes_part: u32,
    communicators: u32,
}

impl Card {
    fn words(self) -> [u64; 3] {
        let parts = u64::from(self.takes_part) << 32 | u64::from(self.colour);
        [self.key.cast_unsigned(), parts, self.communicators.into()]
    }

    fn from_words(words: &[u64]) -> Self {
        let low = |word: u64| (word & 0xFFFF_FFFF) as u32;
        Self {
            key: words[0].cast_signed(),
            colour: low(words[1]),
            takes_part: low(words[1] >> 32),
            communicators: low(words[2]),
        }
    }
}

impl Comm {
    /// Splits the communicator: ranks with one `colour` make up a new one, in the order of their
    /// keys, and of their ranks here where keys are equal. A rank without a colour is in none.
    /// Collective.
    ///
    /// Like every handle, a communicator is of one entry of the program. Make those that last before
    /// [`protect`](crate::Job::protect), so that each entry has them.
    ///
    /// # Errors
    /// An interruption.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> mainstay::Result<()> { mainstay::run(|job| {
    /// let world = job.world();
    /// let row = world.split(Some(job.rank() as u32 / 2), 0)?.expect("every rank has a row");
    /// assert!(row.size() <= 2);
    /// # job.finish([0_u8]) }) }
    /// ```
    pub fn split(&self, colour: Option<u32>, key: i64) -> Result<Option<Self>> {
        let (cards, number) = self.cards(colour, key)?;
        if colour.is_none() {
            return Ok(None);
        }
        let mine = |(_, card): &(usize, Card)| Some(card.colour) == colour && card.takes_part != 0;
        let mut places: Vec<_> = cards.into_iter().enumerate().filter(mine).collect();
        places.sort_by_key(|(place, card)| (card.key, *place));
        let ranks: Rc<[_]> = places.iter().map(|(place, _)| self.group.ranks()[*place]).collect();
        self.with(number, ranks).map(Some)
    }

    /// A communicator of the same ranks whose messages never match those of this one. Collective.
    ///
    /// # Errors
    /// An interruption.
    pub fn dup(&self) -> Result<Self> {
        let (_, number) = self.cards(Some(0), 0)?;
        self.with(number, self.group.ranks().into())
    }

    /// What all ranks say of themselves, and the number of the communicator that is to be made.
    fn cards(&self, colour: Option<u32>, key: i64) -> Result<(Vec<Card>, u32)> {
        let communicators = self.handle.communicating()?.rank.endpoint().communicators();
        let takes_part = u32::from(colour.is_some());
        let colour = colour.unwrap_or(0);
        let card = Card { key, colour, takes_part, communicators };
        let words: Vec<u64> = self.allgather(&card.words())?;
        let cards: Vec<Card> = words.chunks_exact(3).map(Card::from_words).collect();
        if words.len() != 3 * self.size() {
            return Err(Error::msg(
                "another rank called `allgather` where this one made a communicator: every rank has \
                 to call the same",
            ));
        }
        let most = cards.iter().map(|card| card.communicators).max().unwrap_or(0);
        if most >= COMMUNICATORS_MAX {
            return Err(Error::msg(format!(
                "the job has made {most} communicators, which is the most there can be; make them \
                 once, before the first step"
            )));
        }
        // Also by ranks that are in none, so that the number is nobody's in this communicator.
        self.handle.communicating()?.rank.endpoint().made_communicator(most + 1);
        Ok((cards, most + 1))
    }

    fn with(&self, number: u32, ranks: Rc<[mainstay_types::Rank]>) -> Result<Self> {
        let me = self.group.at(self.group.me());
        match Group::new(number, ranks, me) {
            Some(group) => Ok(Self { handle: self.handle.clone(), group }),
            None => Err(Error::msg("a communicator without the rank that makes it")),
        }
    }
}
