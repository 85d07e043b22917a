//! A file system that may lose power, as a list of effects that are durable, pending or in doubt.
//!
//! What is assumed: data, size and directory entries are effects of their own. A sync of a file makes
//! its data and size durable, a sync of the directory its entries, and nothing else does. Whatever is
//! pending when the power fails is there or not, each block of 4 KiB by itself, and a block may be
//! torn at 512 bytes. A rename is one effect. After a failed sync the effects that it was for are in
//! doubt for ever: no later sync makes them durable.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use mainstay_ckpt::Outcome;

use crate::random::Random;

const BLOCK: usize = 4096;
const SECTOR: usize = 512;
/// Most pending effects of which all subsets are tried.
const EXHAUSTIVE: usize = 12;
/// How many contents are remembered.
const REMEMBERED: usize = 4096;

type Inode = usize;
/// The names in a directory, and what the files hold.
pub(crate) type Image = BTreeMap<String, Rc<Vec<u8>>>;

#[derive(Clone, Debug)]
enum What {
    Block { inode: Inode, at: usize, bytes: Rc<Vec<u8>> },
    Size { inode: Inode, bytes: usize },
    Enter { name: String, inode: Inode },
    Leave { name: String },
    Move { from: String, to: String, inode: Inode },
}

impl What {
    fn inode_of_data(&self) -> Option<Inode> {
        match self {
            Self::Block { inode, .. } | Self::Size { inode, .. } => Some(*inode),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Durable,
    Pending,
    InDoubt,
}

/// How much of a pending effect is there after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kept {
    Nothing,
    /// These sectors of a block; other effects are there whole.
    Sectors(u8),
}

/// All of an effect.
const WHOLE: Kept = Kept::Sectors(0xFF);

/// What a visitor makes of an image.
pub(crate) type Visit<'a> = dyn FnMut(Image) -> Result<(), String> + 'a;

/// Which effects made a file what it is, and with what its holes are filled.
type Recipe = (Inode, u8, Vec<(usize, Kept)>);

/// The directory as a running system sees it, and what of it is on the disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    live: BTreeMap<String, Inode>,
    /// What was there at the start.
    base: BTreeMap<String, Inode>,
    contents: Vec<Rc<Vec<u8>>>,
    log: Vec<(What, State)>,
    cache: RefCell<BTreeMap<Recipe, Rc<Vec<u8>>>>,
}

impl Disk {
    /// As it is after a crash.
    pub(crate) fn of(image: &Image) -> Self {
        let mut disk = Self::default();
        for (name, content) in image {
            disk.base.insert(name.clone(), disk.contents.len());
            disk.contents.push(Rc::clone(content));
        }
        disk.live = disk.base.clone();
        disk
    }

    /// What a process sees.
    pub(crate) fn seen(&self) -> Image {
        self.image(0, |_| WHOLE)
    }

    /// Shows the states in which a crash now may leave the disk: all subsets of what is pending, and
    /// each once more with torn blocks and other bytes in holes, if that is no more than 12 effects;
    /// so many samples otherwise, or if there is a limit.
    pub(crate) fn crash(
        &self,
        (samples, limited): (usize, bool),
        random: &mut Random,
        visit: &mut Visit<'_>,
    ) -> Result<(), String> {
        let pending = self.pending();
        if limited || pending.len() > EXHAUSTIVE {
            return (0..samples).try_for_each(|_| visit(self.crash_somehow(random)));
        }
        for subset in 0_u32..1 << pending.len() {
            let chosen: BTreeMap<usize, bool> = (0..)
                .zip(&pending)
                .filter(|(bit, _)| subset >> bit & 1 == 1)
                .map(|(_, effect)| *effect)
                .collect();
            let whole = |i| if chosen.contains_key(&i) { WHOLE } else { Kept::Nothing };
            visit(self.image(0, whole))?;
            if chosen.values().any(|is_block| *is_block) {
                let torn = Kept::Sectors(random.next() as u8);
                let kept = |i| match chosen.get(&i) {
                    None => Kept::Nothing,
                    Some(true) => torn,
                    Some(false) => WHOLE,
                };
                visit(self.image(0xA5, kept))?;
            }
        }
        Ok(())
    }

    /// One of them, whichever.
    pub(crate) fn crash_somehow(&self, random: &mut Random) -> Image {
        let pending = self.pending().into_iter();
        let kept: BTreeMap<usize, Kept> = pending
            .map(|(i, is_block)| match (random.below(4), is_block) {
                (0, true) => (i, Kept::Sectors(random.next() as u8)),
                (0 | 1, _) => (i, Kept::Nothing),
                _ => (i, WHOLE),
            })
            .collect();
        let hole = if random.once_in(2) { 0 } else { 0xA5 };
        self.image(hole, |i| kept.get(&i).copied().unwrap_or(WHOLE))
    }

    /// The effects of which a crash may keep anything, by their place; whether they are blocks.
    fn pending(&self) -> Vec<(usize, bool)> {
        let unsure = self.log.iter().enumerate().filter(|(_, (_, state))| *state != State::Durable);
        unsure.map(|(i, (what, _))| (i, matches!(what, What::Block { .. }))).collect()
    }

    /// Whether a sync has ever failed.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.log.iter().any(|(_, state)| *state == State::InDoubt)
    }

    /// What lies there after a crash that kept so much of each pending effect. What was never
    /// written of a file is `hole`.
    fn image(&self, hole: u8, kept: impl Fn(usize) -> Kept) -> Image {
        let mut names = self.base.clone();
        let mut recipes: BTreeMap<Inode, Vec<(usize, Kept)>> = BTreeMap::new();
        for (i, (what, state)) in self.log.iter().enumerate() {
            let kept = if *state == State::Durable { WHOLE } else { kept(i) };
            if kept == Kept::Nothing {
                continue;
            }
            match what {
                What::Enter { name, inode } => drop(names.insert(name.clone(), *inode)),
                What::Leave { name } => drop(names.remove(name)),
                What::Move { from, to, inode } => {
                    names.remove(from);
                    names.insert(to.clone(), *inode);
                }
                What::Block { inode, .. } => recipes.entry(*inode).or_default().push((i, kept)),
                What::Size { inode, .. } => recipes.entry(*inode).or_default().push((i, WHOLE)),
            }
        }
        let content = |(name, inode): (String, Inode)| {
            let recipe = (inode, hole, recipes.get(&inode).cloned().unwrap_or_default());
            (name, self.content(recipe))
        };
        names.into_iter().map(content).collect()
    }

    fn content(&self, recipe: Recipe) -> Rc<Vec<u8>> {
        if recipe.2.is_empty() {
            return Rc::clone(&self.contents[recipe.0]);
        }
        if let Some(known) = self.cache.borrow().get(&recipe) {
            return Rc::clone(known);
        }
        let (inode, hole, effects) = &recipe;
        let mut bytes = self.contents[*inode].to_vec();
        for (i, _) in effects {
            if let What::Size { bytes: size, .. } = self.log[*i].0 {
                bytes.resize(size, *hole);
            }
        }
        for (i, kept) in effects {
            if let (What::Block { at, bytes: block, .. }, Kept::Sectors(mask)) =
                (&self.log[*i].0, *kept)
            {
                for (sector, part) in block.chunks(SECTOR).enumerate() {
                    let at = at + sector * SECTOR;
                    let end = bytes.len().min(at + part.len());
                    if mask >> sector & 1 == 1 && at < end {
                        bytes[at..end].copy_from_slice(&part[..end - at]);
                    }
                }
            }
        }
        let content = Rc::new(bytes);
        let mut cache = self.cache.borrow_mut();
        if cache.len() > REMEMBERED {
            cache.clear();
        }
        cache.insert(recipe, Rc::clone(&content));
        content
    }

    fn does(&mut self, what: What) {
        self.log.push((what, State::Pending));
    }

    pub(crate) fn create(&mut self, name: &str) -> Outcome {
        if self.live.contains_key(name) {
            return Outcome::AlreadyExists;
        }
        let inode = self.contents.len();
        self.contents.push(Rc::default());
        self.enter(name, inode);
        Outcome::Done
    }

    fn enter(&mut self, name: &str, inode: Inode) {
        self.live.insert(name.to_owned(), inode);
        self.does(What::Enter { name: name.to_owned(), inode });
    }

    pub(crate) fn write(&mut self, name: &str, bytes: &[u8]) -> Outcome {
        let Some(inode) = self.live.get(name).copied() else {
            return Outcome::NotFound;
        };
        for (i, block) in bytes.chunks(BLOCK).enumerate() {
            self.does(What::Block { inode, at: i * BLOCK, bytes: Rc::new(block.to_vec()) });
        }
        self.does(What::Size { inode, bytes: bytes.len() });
        Outcome::Done
    }

    /// Writes a block of a file that is there; its size grows if it must.
    pub(crate) fn patch(&mut self, name: &str, at: usize, bytes: &[u8]) {
        let inode = self.live[name];
        self.does(What::Block { inode, at, bytes: Rc::new(bytes.to_vec()) });
        if self.seen()[name].len() < at + bytes.len() {
            self.does(What::Size { inode, bytes: at + bytes.len() });
        }
    }

    /// Sets the size of a file.
    pub(crate) fn resize(&mut self, name: &str, bytes: usize) {
        let inode = self.live[name];
        self.does(What::Size { inode, bytes });
    }

    /// Syncs a file, or the directory. A sync that fails leaves in doubt what it was for.
    pub(crate) fn sync(&mut self, name: Option<&str>, fails: bool) -> Outcome {
        let inode = name.map(|name| self.live.get(name).copied());
        if inode == Some(None) {
            return Outcome::NotFound;
        }
        let to = if fails { State::InDoubt } else { State::Durable };
        for (what, state) in &mut self.log {
            if *state == State::Pending && what.inode_of_data() == inode.flatten() {
                *state = to;
            }
        }
        Outcome::Done
    }

    pub(crate) fn link(&mut self, from: &str, to: &str) -> Outcome {
        match self.live.get(from).copied() {
            None => Outcome::NotFound,
            Some(_) if self.live.contains_key(to) => Outcome::AlreadyExists,
            Some(inode) => {
                self.enter(to, inode);
                Outcome::Copied
            }
        }
    }

    /// Renames; `replace` says whether another file of the new name goes.
    pub(crate) fn rename(&mut self, from: &str, to: &str, replace: bool) -> Outcome {
        let Some(inode) = self.live.get(from).copied() else {
            return Outcome::NotFound;
        };
        match self.live.get(to) {
            Some(_) if !replace => return Outcome::AlreadyExists,
            // Two names of one file stay.
            Some(other) if *other == inode => return Outcome::Done,
            _ => {}
        }
        self.live.remove(from);
        self.live.insert(to.to_owned(), inode);
        self.does(What::Move { from: from.to_owned(), to: to.to_owned(), inode });
        Outcome::Done
    }

    pub(crate) fn remove(&mut self, name: &str) -> Outcome {
        if self.live.remove(name).is_none() {
            return Outcome::NotFound;
        }
        self.does(What::Leave { name: name.to_owned() });
        Outcome::Done
    }
}
