//! Fields out of the shards of several ranks: a version of N ranks for one of M.
//!
//! A rank opens the shards itself, by the names in the version's manifest, and reads from each what
//! it needs of it. Invariants: one shard is open at a time; headers and tables were checked when the
//! version was opened, and each chunk is checked when it is read. Deliberately absent: which bytes
//! make a field; `ckpt::reshape` plans that.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use mainstay_ckpt::format::MANIFEST_BYTES_MAX;
use mainstay_ckpt::format::error::FormatError;
use mainstay_ckpt::format::image::{Expected, Image};
use mainstay_ckpt::format::memory::Unreadable;
use mainstay_ckpt::{Assembly, Cut, FieldSpec, Manifest, ReshapeError, Stored, Table};
use mainstay_types::Rank;
use mainstay_types::wire::Reshape;

use super::image::{Shard, open_at, open_stored};

/// The shards of a version that ranks of another number captured.
pub(crate) struct Gathered {
    /// Which rank this is.
    me: Rank,
    /// `None` once all is restored.
    directory: Option<OwnedFd>,
    names: Vec<String>,
    images: Vec<Image>,
    wanted: Vec<(FieldSpec, Assembly)>,
    /// The shard that is open.
    open: Option<(Rank, Stored<Shard>)>,
    /// Memory for chunks that are needed in part.
    aside: Vec<u8>,
    bad: Rank,
}

impl Gathered {
    /// Opens header and table of every shard.
    ///
    /// The error names the rank of the version whose part is bad.
    pub(crate) fn open(
        me: Rank,
        reshape: &Reshape,
        fds: Vec<OwnedFd>,
    ) -> Result<Self, (Rank, String)> {
        let first = |why: String| (Rank(0), why);
        let mut fds = fds.into_iter();
        let (Some(directory), Some(file)) = (fds.next(), fds.next()) else {
            return Err(first("no descriptor of the directory came".to_owned()));
        };
        let manifest = manifest(File::from(file), reshape).map_err(first)?;
        let names = manifest.shard_names().collect();
        let (images, wanted, aside) = (Vec::new(), Vec::new(), Vec::new());
        let (directory, open, bad) = (Some(directory), None, Rank(0));
        let mut gathered = Self { me, directory, names, images, wanted, open, aside, bad };
        for rank in Rank::all(manifest.n()) {
            let expected = Expected::of(&manifest, rank);
            let image =
                gathered.shard(rank).and_then(|shard| Image::open_expected(shard, &expected));
            let mut image = image.map_err(|error| (rank, error.to_string()))?;
            // Nobody goes on with these channels.
            image.table.cut = Cut::default();
            gathered.images.push(image);
        }
        Ok(gathered)
    }

    /// A shard, which is opened unless it is.
    fn shard(&mut self, rank: Rank) -> Result<&Stored<Shard>, FormatError> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != rank) {
            self.open = None;
            let shard = self.open_shard(rank).map_err(|why| Unreadable { at: 0, bytes: 0, why })?;
            self.open = Some((rank, shard));
        }
        match &self.open {
            Some((_, shard)) => Ok(shard),
            None => Err(Unreadable { at: 0, bytes: 0, why: "it is not open".to_owned() }.into()),
        }
    }

    fn open_shard(&self, rank: Rank) -> Result<Stored<Shard>, String> {
        let name = &self.names[rank.index()];
        let told = |error: &dyn std::fmt::Display| format!("{name}: {error}");
        let directory = self.directory.as_ref().ok_or("the directory is closed")?;
        let shard = open_at(directory, name).map_err(|error| told(&error))?;
        open_stored(shard, directory).map_err(|error| told(&error))
    }

    /// Plans a field as this rank wants it.
    pub(crate) fn want(&mut self, spec: &FieldSpec) -> Result<(), ReshapeError> {
        let tables: Vec<&Table> = self.images.iter().map(|image| &image.table).collect();
        let assembly = Assembly::plan(spec, self.me, &tables)?;
        self.wanted.push((spec.clone(), assembly));
        Ok(())
    }

    /// The number of a field that was planned, and of its elements.
    pub(crate) fn find(&self, spec: &FieldSpec) -> Option<(usize, u64)> {
        let is = |wanted: &FieldSpec| wanted.state == spec.state && wanted.name == spec.name;
        let mut wanted = self.wanted.iter().enumerate();
        let (number, (_, assembly)) = wanted.find(|(_, (wanted, _))| is(wanted))?;
        Some((number, assembly.count()))
    }

    /// A field that was planned, and how many elements it has.
    pub(crate) fn wanted(&self, field: usize) -> (&FieldSpec, u64) {
        let (spec, assembly) = &self.wanted[field];
        (spec, assembly.count())
    }

    /// Reads a field that was planned.
    pub(crate) fn read(
        &mut self,
        field: usize,
        into: &mut [u8],
        after_chunk: &mut dyn FnMut(),
    ) -> Result<(), FormatError> {
        let assembly = self.wanted[field].1.clone();
        let mut aside = std::mem::take(&mut self.aside);
        for part in assembly.parts() {
            let source = part.source();
            self.bad = source;
            self.shard(source)?;
            let entry = &self.images[source.index()].table.fields[part.field()];
            if let Some((_, shard)) = &self.open {
                part.copy((shard, entry), into, &mut aside, after_chunk)?;
            }
        }
        self.aside = aside;
        Ok(())
    }

    /// Whose shard was read last, and so is the bad one after an error.
    pub(crate) fn bad_part(&self) -> Rank {
        self.bad
    }

    pub(crate) fn first_table(&self) -> Option<&Table> {
        self.images.first().map(|image| &image.table)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.directory.is_some()
    }

    /// Lets go of directory, shards and memory.
    pub(crate) fn close(&mut self) {
        (self.directory, self.open) = (None, None);
        (self.images, self.wanted, self.aside) = (Vec::new(), Vec::new(), Vec::new());
    }
}

fn manifest(file: File, reshape: &Reshape) -> Result<Manifest, String> {
    let mut bytes = Vec::new();
    let limit = MANIFEST_BYTES_MAX as u64 + 1;
    file.take(limit).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let manifest = Manifest::decode(&bytes).map_err(|error| error.to_string())?;
    if (manifest.version, manifest.n()) != (reshape.version, reshape.ranks) {
        return Err(format!(
            "its manifest is of version {} and {} ranks",
            manifest.version,
            manifest.n()
        ));
    }
    Ok(manifest)
}
