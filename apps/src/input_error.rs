//! What is wrong with an input file: which file, which line, what, and how to mend it.
//!
//! Invariants: the message of every fault names the mend; a line, and for words a column,
//! is given wherever one is known, counted from 1. Deliberately absent: printing and exit codes, which `main` decides.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::mtx::MatrixFault;
use crate::raster::RasterFault;
use crate::vector::VectorFault;

/// An input file that cannot be used. Nothing can be retried: somebody must mend the file.
#[derive(Debug)]
pub struct InputError {
    path: PathBuf,
    line: Option<u64>,
    column: Option<u64>,
    fault: Fault,
}

impl InputError {
    /// An error about the whole file.
    pub fn of_file(path: &Path, fault: impl Into<Fault>) -> Self {
        Self { path: path.to_path_buf(), line: None, column: None, fault: fault.into() }
    }

    /// An error at `line`, counted from 1.
    pub fn at_line(path: &Path, line: u64, fault: impl Into<Fault>) -> Self {
        Self { path: path.to_path_buf(), line: Some(line), column: None, fault: fault.into() }
    }

    /// The same error, narrowed down to a `column` of its line, counted in bytes from 1.
    #[must_use]
    pub fn at_column(self, column: u64) -> Self {
        Self { column: Some(column), ..self }
    }

    /// Refuses to write `out` over what it is computed from.
    ///
    /// # Errors
    /// If it is one of the `inputs`.
    pub fn refuse_output(out: &Path, inputs: &[&Path]) -> Result<(), Self> {
        let place = |path: &Path| std::fs::canonicalize(path).ok();
        let taken = |out: PathBuf| inputs.iter().any(|input| place(input).as_ref() == Some(&out));
        if place(out).is_some_and(taken) {
            return Err(Self::of_file(out, Fault::IsOutput));
        }
        Ok(())
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The line, counted from 1, if the fault has one.
    #[must_use]
    pub fn line(&self) -> Option<u64> {
        self.line
    }

    /// The column in bytes, counted from 1, if the fault has one.
    #[must_use]
    pub fn column(&self) -> Option<u64> {
        self.column
    }

    /// What is wrong.
    #[must_use]
    pub fn fault(&self) -> &Fault {
        &self.fault
    }
}

impl fmt::Display for InputError {
    /// `path:line: what is wrong; the mend`, the form that editors jump to.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if let Some(column) = self.column {
            write!(f, "{column}:")?;
        }
        write!(f, " {}", self.fault)
    }
}

/// Without a source: the message already holds what the system said.
impl std::error::Error for InputError {}

/// The kinds of fault, by what was being read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The bytes of the file, before any meaning.
    #[error(transparent)]
    Source(#[from] SourceFault),
    /// A Matrix Market matrix.
    #[error(transparent)]
    Matrix(#[from] MatrixFault),
    /// A raster.
    #[error(transparent)]
    Raster(#[from] RasterFault),
    /// A vector.
    #[error(transparent)]
    Vector(#[from] VectorFault),
    /// It is to be written over while it is read.
    #[error("it is an input; give the answer another file")]
    IsOutput,
}

/// What can be wrong with a file's bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceFault {
    /// The file cannot be opened.
    #[error("cannot be opened ({0}); check the path and its permissions")]
    Open(io::Error),
    /// Reading failed half-way.
    #[error("cannot be read ({0}); check that it is a file on a healthy disk")]
    Read(io::Error),
    /// The compressed data ends too early or is damaged.
    #[error(
        "the gzip data is cut short or damaged ({0}); copy the file again and test it with `gzip -t`"
    )]
    Gzip(io::Error),
    /// Bytes that are not UTF-8.
    #[error("the line is not text; give a text file, or its gzip")]
    NotText,
    /// A line beyond the limit.
    #[error("the line is longer than {max} bytes; break it, or check that this is the right file")]
    LongLine {
        /// The limit.
        max: usize,
    },
}
