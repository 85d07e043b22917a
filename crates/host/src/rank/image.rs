//! The image that a rank restores from: its arena, or a shard file.
//!
//! Invariant: header and table were checked when the image was opened, and each chunk is checked as
//! it is copied. Nothing is held open once all of it is restored. Deliberately absent: which image;
//! the supervisor chose it.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use mainstay_ckpt::format::image::{Expected, Image, read_late};
use mainstay_ckpt::format::memory::{ReadAt, Unreadable};
use mainstay_ckpt::format::message::Late;
use mainstay_ckpt::kernel::Residency;
use mainstay_ckpt::{Cut, FieldEntry, FieldSpec};
use mainstay_types::event::Level;
use mainstay_types::wire::Restore;
use mainstay_types::{Point, Rank, Version};

use super::arenas::Arenas;
use super::error::RankError;
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

/// Where an image lies.
enum Source {
    Memory(Rc<Arena>),
    Disk(Shard),
}

impl Source {
    fn memory(&self) -> &dyn ReadAt {
        match self {
            Self::Memory(arena) => arena.as_ref(),
            Self::Disk(shard) => shard,
        }
    }
}

/// Reads the fields of the version that is being restored.
pub struct ImageReader {
    /// `None` once all is restored.
    source: Option<Source>,
    image: Image,
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
            Level::Memory => Source::Memory(arenas.open(first).map_err(|error| error.to_string())?),
            Level::Disk => Source::Disk(Shard::new(first).map_err(|error| error.to_string())?),
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
        } else {
            let fd = fds.next().ok_or("no descriptor of the late messages came")?;
            let shard = Shard::new(fd).map_err(|error| error.to_string())?;
            read_late(&shard, restore.late_at, restore.late_bytes, restore.late_crc)
                .map_err(|error| error.to_string())?
        };
        let version = restore.version;
        Ok((Self { source: Some(source), image, version, injector, fresh }, late))
    }

    /// The image's header and table.
    pub(crate) fn image(&self) -> &Image {
        &self.image
    }

    /// The field as the version has it.
    ///
    /// # Errors
    /// [`RankError::Mismatch`] when the version has no such field, or one of another type.
    pub fn find(&self, spec: &FieldSpec) -> Result<(usize, FieldEntry), RankError> {
        let name = spec.full_name();
        let Some((number, entry)) = self.image.table.field(&spec.state, &spec.name) else {
            return Err(self.mismatch(format!("it has no field `{name}`")));
        };
        if (entry.spec.kind, entry.spec.element_bytes) != (spec.kind, spec.element_bytes) {
            let (theirs, ours) = (entry.spec.kind.name(), spec.kind.name());
            return Err(self.mismatch(format!("`{name}` is {theirs} there and {ours} here")));
        }
        Ok((number, entry.clone()))
    }

    /// Copies a field's data out, checking each chunk.
    ///
    /// # Errors
    /// [`RankError::Mismatch`] when `into` has another length; [`RankError::Capture`] when the
    /// image is damaged.
    pub fn read(&self, field: usize, into: &mut [u8]) -> Result<(), RankError> {
        let spec = &self.image.table.fields[field].spec;
        if spec.bytes() != Some(into.len() as u64) {
            let (name, count, here) = (spec.full_name(), spec.count, into.len());
            return Err(self.mismatch(format!("`{name}` has {count} elements; {here} bytes fit")));
        }
        if self.fresh {
            prefer_large_pages(into);
        }
        let Some(source) = &self.source else {
            return Err(self.mismatch(format!("`{}` was restored before", spec.full_name())));
        };
        let mut passed = || self.injector.pass(Point::RestoreMid);
        self.image.restore(source.memory(), field, into, &mut passed).map_err(RankError::Capture)
    }

    /// Lets go of the arena or the file, and of the messages that the channels have taken over.
    pub(crate) fn close(&mut self) {
        self.source = None;
        self.image.table.cut = Cut::default();
    }

    /// An error that names this version.
    #[must_use]
    pub fn mismatch(&self, why: String) -> RankError {
        RankError::Mismatch { version: self.version.0, why }
    }

    /// The names of the states in the image, each once.
    pub(crate) fn states(&self) -> Vec<String> {
        let mut names: Vec<_> =
            self.image.table.fields.iter().map(|field| field.spec.state.clone()).collect();
        names.dedup();
        names
    }
}

impl std::fmt::Debug for ImageReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageReader").field("version", &self.version).finish_non_exhaustive()
    }
}
