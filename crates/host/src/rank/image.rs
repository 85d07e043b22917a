//! The image that a rank restores from: its arena, or a shard file; or the images of other ranks.
//!
//! Invariant: header and table were checked when the image was opened, and each chunk is checked as
//! it is copied. Nothing is held open once all of it is restored. Deliberately absent: which image;
//! the supervisor chose it. How parts of several make a field; see [`Gathered`].

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use mainstay_ckpt::format::image::{Expected, Image, read_late};
use mainstay_ckpt::format::memory::{ReadAt, Unreadable};
use mainstay_ckpt::format::message::Late;
use mainstay_ckpt::kernel::Residency;
use mainstay_ckpt::{Cut, FieldSpec, FormatError, Stored, located};
use mainstay_types::event::Level;
use mainstay_types::wire::Restore;
use mainstay_types::{Point, Rank, Version};
use rustix::fs::{Access, AtFlags, Mode, OFlags, accessat, openat};

use super::arenas::Arenas;
use super::error::RankError;
use super::gather::Gathered;
use super::inject::Injector;
use crate::shm::{Arena, prefer_large_pages};

/// A file that images are read from.
pub(crate) struct Shard {
    file: File,
    bytes: u64,
}

impl Shard {
    pub(crate) fn new(fd: OwnedFd) -> Result<Self, RankError> {
        let file = File::from(fd);
        let bytes = file.metadata().map_err(RankError::io("look at a shard"))?.len();
        Ok(Self { file, bytes })
    }
}

impl ReadAt for Shard {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, at: u64, into: &mut [u8], _hint: Residency) -> Result<u32, Unreadable> {
        let bytes = into.len() as u64;
        self.file.read_exact_at(into, at).map_err(|error| Unreadable {
            at,
            bytes,
            why: error.to_string(),
        })?;
        Ok(mainstay_types::crc32c(into))
    }
}

/// Opens a shard, and the other files in its directory that it refers to.
pub(crate) fn open_stored(shard: Shard, directory: &OwnedFd) -> Result<Stored<Shard>, FormatError> {
    Stored::open(shard, |name| open_at(directory, name))
}

/// Opens a file that images are read from, and nothing that could block.
pub(crate) fn open_at(directory: &OwnedFd, name: &str) -> Result<Shard, String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let there = |place: &str| accessat(directory, place, Access::EXISTS, AtFlags::empty()).is_ok();
    let place = located(name, there);
    let fd = openat(directory, place, flags, Mode::empty()).map_err(|error| error.to_string())?;
    Shard::new(fd).map_err(|error| error.to_string())
}

/// Where an image lies.
enum Source {
    Memory(Rc<Arena>),
    Disk(Stored<Shard>),
}

impl Source {
    fn memory(&self) -> &dyn ReadAt {
        match self {
            Self::Memory(arena) => arena.as_ref(),
            Self::Disk(shard) => shard,
        }
    }
}

/// What a rank restores from.
enum From {
    /// What a rank of its number captured; no source once all is restored.
    Own(Option<Source>, Box<Image>),
    /// What ranks of another number captured; boxed, as it is rare.
    Others(Box<Gathered>),
}

/// Reads the fields of the version that is being restored.
pub struct ImageReader {
    from: From,
    version: Version,
    injector: Rc<Injector>,
    /// Whether this process has held no state yet, so that its fields lie in no pages.
    fresh: bool,
}

impl ImageReader {
    /// Opens what the supervisor gave: the image, and the late messages behind or beside it.
    pub(crate) fn open(
        (rank, n): (Rank, u32),
        restore: &Restore,
        fds: Vec<OwnedFd>,
        arenas: &mut Arenas,
        injector: Rc<Injector>,
    ) -> Result<(Self, Late), String> {
        let fresh = arenas.is_empty();
        let mut fds = fds.into_iter();
        let first = fds.next().ok_or("no descriptor of the image came")?;
        let source = match restore.level {
            Level::Memory | Level::Partner | Level::Parity => {
                Source::Memory(arenas.open(first).map_err(|error| error.to_string())?)
            }
            Level::Disk => {
                let shard = Shard::new(first).map_err(|error| error.to_string())?;
                let directory = fds.next().ok_or("no descriptor of the directory came")?;
                Source::Disk(open_stored(shard, &directory).map_err(|error| error.to_string())?)
            }
        };
        let expected = Expected {
            rank,
            n,
            version: restore.version,
            image_bytes: restore.image_bytes,
            table_crc: restore.table_crc,
        };
        let image = Image::open_expected(source.memory(), &expected).map_err(|e| e.to_string())?;
        let late = if restore.late_bytes == 0 {
            Late::default()
        } else if let Source::Disk(shard) = &source {
            read_late(shard, restore.late_at, restore.late_bytes, restore.late_crc)
                .map_err(|error| error.to_string())?
        } else {
            let fd = fds.next().ok_or("no descriptor of the late messages came")?;
            let shard = Shard::new(fd).map_err(|error| error.to_string())?;
            read_late(&shard, restore.late_at, restore.late_bytes, restore.late_crc)
                .map_err(|error| error.to_string())?
        };
        let (version, from) = (restore.version, From::Own(Some(source), Box::new(image)));
        Ok((Self { from, version, injector, fresh }, late))
    }

    /// A reader of a version that is put together.
    pub(crate) fn gathering(
        gathered: Gathered,
        version: Version,
        injector: Rc<Injector>,
        fresh: bool,
    ) -> Self {
        Self { from: From::Others(Box::new(gathered)), version, injector, fresh }
    }

    /// Where the channels were cut, if the version was captured by as many ranks.
    pub(crate) fn cut(&self) -> Option<&Cut> {
        match &self.from {
            From::Own(_, image) => Some(&image.table.cut),
            From::Others(_) => None,
        }
    }

    /// Whether ranks of another number captured the version.
    #[must_use]
    pub fn is_gathering(&self) -> bool {
        matches!(self.from, From::Others(_))
    }

    /// Whose part of the version is bad, after an error of a rank of this number.
    pub(crate) fn bad_part(&self, own: Rank) -> Rank {
        match &self.from {
            From::Own(..) => own,
            From::Others(gathered) => gathered.bad_part(),
        }
    }

    /// Takes note of the fields of a state as this rank wants them. To be called before any of them
    /// is found.
    ///
    /// # Errors
    /// [`RankError::Mismatch`] when a version of another number of ranks cannot be put together so.
    pub fn wants(&mut self, specs: &[FieldSpec]) -> Result<(), RankError> {
        let From::Others(gathered) = &mut self.from else {
            return Ok(());
        };
        let wanted = specs.iter().try_for_each(|spec| gathered.want(spec));
        wanted.map_err(|error| self.mismatch(error.to_string()))
    }

    /// The number of a field, and of its elements in the version.
    ///
    /// # Errors
    /// [`RankError::Mismatch`] when the version has no such field, or one of another type.
    pub fn find(&self, spec: &FieldSpec) -> Result<(usize, u64), RankError> {
        let name = spec.full_name();
        let missing = || self.mismatch(format!("it has no field `{name}`"));
        let image = match &self.from {
            From::Own(_, image) => image,
            From::Others(gathered) => return gathered.find(spec).ok_or_else(missing),
        };
        let Some((number, entry)) = image.table.field(&spec.state, &spec.name) else {
            return Err(missing());
        };
        if (entry.spec.kind, entry.spec.element_bytes) != (spec.kind, spec.element_bytes) {
            let (theirs, ours) = (entry.spec.kind.name(), spec.kind.name());
            return Err(self.mismatch(format!("`{name}` is {theirs} there and {ours} here")));
        }
        Ok((number, entry.spec.count))
    }

    /// Copies a field's data out, checking each chunk.
    ///
    /// # Errors
    /// [`RankError::Mismatch`] when `into` has another length; [`RankError::Capture`] when the
    /// image is damaged.
    pub fn read(&mut self, field: usize, into: &mut [u8]) -> Result<(), RankError> {
        let (version, injector) = (self.version.0, &self.injector);
        let mismatch = |why| Err(RankError::Mismatch { version, why });
        let mut passed = || injector.pass(Point::RestoreMid);
        if self.fresh {
            prefer_large_pages(into);
        }
        let (spec, count) = match &self.from {
            From::Own(_, image) => {
                let spec = &image.table.fields[field].spec;
                (spec, spec.count)
            }
            From::Others(gathered) => gathered.wanted(field),
        };
        if count.checked_mul(spec.element_bytes.into()) != Some(into.len() as u64) {
            let (name, here) = (spec.full_name(), into.len());
            return mismatch(format!("`{name}` has {count} elements; {here} bytes fit"));
        }
        let again = format!("`{}` was restored before", spec.full_name());
        let read = match &mut self.from {
            From::Own(Some(source), image) => {
                image.restore(source.memory(), field, into, &mut passed)
            }
            From::Others(gathered) if gathered.is_open() => gathered.read(field, into, &mut passed),
            From::Own(None, _) | From::Others(_) => return mismatch(again),
        };
        read.map_err(RankError::Capture)
    }

    /// Lets go of the arena or the file, and of the messages that the channels have taken over.
    pub(crate) fn close(&mut self) {
        match &mut self.from {
            From::Own(source, image) => {
                *source = None;
                image.table.cut = Cut::default();
            }
            From::Others(gathered) => gathered.close(),
        }
    }

    /// An error that names this version.
    #[must_use]
    pub fn mismatch(&self, why: String) -> RankError {
        RankError::Mismatch { version: self.version.0, why }
    }

    /// The names of the states in the image, each once.
    pub(crate) fn states(&self) -> Vec<String> {
        let table = match &self.from {
            From::Own(_, image) => Some(&image.table),
            From::Others(gathered) => gathered.first_table(),
        };
        let fields = table.map_or(&[][..], |table| &table.fields[..]);
        let mut names: Vec<_> = fields.iter().map(|field| field.spec.state.clone()).collect();
        names.dedup();
        names
    }
}

impl std::fmt::Debug for ImageReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageReader").field("version", &self.version).finish_non_exhaustive()
    }
}
