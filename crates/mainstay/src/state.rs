//! Protected state: named once, for saving and restoring alike.
//!
//! Invariant: a program names the same fields in the same order each time; a version restores by
//! name, and a field whose type differs is an error that names it. Deliberately absent: fields that
//! are not named; a survivor keeps them as they were, a new incarnation has them from its
//! initialiser.

use mainstay_ckpt::{FieldSpec, Global};
use mainstay_host::rank::{ImageReader, RankError};

use crate::Plain;

/// State that survives failures.
///
/// # Examples
/// ```
/// use mainstay::{Fields, State};
///
/// struct Heat {
///     step: u64,
///     u: Vec<f64>,
/// }
///
/// impl State for Heat {
///     fn fields(&mut self, f: &mut Fields<'_>) {
///         f.value("step", &mut self.step);
///         f.array("u", &mut self.u);
///     }
/// }
/// ```
pub trait State: 'static {
    /// Names every field that must survive. Called to measure, to capture and to restore, so it
    /// must name the same fields each time and do nothing else.
    fn fields(&mut self, f: &mut Fields<'_>);
}

/// Receives the fields of a state.
pub struct Fields<'a> {
    pub(crate) state: &'a str,
    pub(crate) work: Work<'a>,
}

/// What is done with each field.
pub(crate) enum Work<'a> {
    Measure(&'a mut Vec<FieldSpec>),
    Capture(&'a mut dyn FnMut(&[u8])),
    Restore(&'a mut ImageReader, &'a mut Result<(), RankError>),
}

impl Fields<'_> {
    /// A single value.
    pub fn value<T: Plain>(&mut self, name: &str, value: &mut T) {
        match &mut self.work {
            Work::Measure(specs) => specs.push(spec::<T>(self.state, name, 1)),
            Work::Capture(copy) => copy(bytemuck::bytes_of(value)),
            Work::Restore(reader, outcome) => {
                let spec = spec::<T>(self.state, name, 1);
                if outcome.is_ok() {
                    **outcome = reader
                        .find(&spec)
                        .and_then(|(field, _)| reader.read(field, bytemuck::bytes_of_mut(value)));
                }
            }
        }
    }

    /// An array. It may have another length at each capture; it is restored with the length that
    /// it had. It may be reallocated between captures.
    ///
    /// # Shape
    /// Give [`Array::global`] where the array is a block of one that all ranks hold together.
    pub fn array<T: Plain>(&mut self, name: &str, array: &mut Vec<T>) -> Array<'_> {
        match &mut self.work {
            Work::Measure(specs) => {
                specs.push(spec::<T>(self.state, name, array.len() as u64));
                Array { spec: specs.last_mut() }
            }
            Work::Capture(copy) => {
                copy(bytemuck::cast_slice(array));
                Array { spec: None }
            }
            Work::Restore(reader, outcome) => {
                let spec = spec::<T>(self.state, name, 0);
                if outcome.is_ok() {
                    **outcome = reader.find(&spec).and_then(|(field, entry)| {
                        let count = usize::try_from(entry.spec.count).unwrap_or(usize::MAX);
                        let values = count / T::SCALARS.max(1);
                        array.resize(values, T::zeroed());
                        reader.read(field, bytemuck::cast_slice_mut(array))
                    });
                }
                Array { spec: None }
            }
        }
    }
}

impl std::fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fields").field("state", &self.state).finish_non_exhaustive()
    }
}

/// An array field that was just named.
#[derive(Debug)]
pub struct Array<'a> {
    spec: Option<&'a mut FieldSpec>,
}

impl Array<'_> {
    /// Says which block of a global array this rank holds: the whole array's shape and the
    /// block's first index in each dimension. Recorded in each version; a restart on another
    /// number of ranks is a look-up by it.
    pub fn global(self, shape: impl Into<Vec<u64>>, offset: impl Into<Vec<u64>>) {
        if let Some(spec) = self.spec {
            spec.global = Some(Global { shape: shape.into(), offset: offset.into() });
        }
    }
}

fn spec<T: Plain>(state: &str, name: &str, values: u64) -> FieldSpec {
    let scalar_bytes = size_of::<T>() / T::SCALARS.max(1);
    FieldSpec {
        state: state.to_owned(),
        name: name.to_owned(),
        kind: T::KIND,
        element_bytes: u32::try_from(scalar_bytes).unwrap_or(u32::MAX),
        count: values * T::SCALARS as u64,
        global: None,
    }
}
