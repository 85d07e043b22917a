//! Protected state: named once, for saving and restoring alike.
//!
//! Invariant: a program names the same fields in the same order each time; a version restores by
//! name, and a field whose type differs is an error that names it. Deliberately absent: fields that
//! are not named; a survivor keeps them as they were, a new incarnation has them from its
//! initialiser.

use mainstay_ckpt::pack::lossy::Bound;
use mainstay_ckpt::{Axis, FieldSpec, Place, Share};
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
    /// A single value. Give [`Value::replicated`] where it is the same on all ranks.
    pub fn value<T: Plain>(&mut self, name: &str, value: &mut T) -> Value<'_> {
        match &mut self.work {
            Work::Measure(specs) => {
                specs.push(spec::<T>(self.state, name, 1));
                return Value { spec: specs.last_mut() };
            }
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
        Value { spec: None }
    }

    /// An array. It may have another length at each capture; it is restored with the length that
    /// it had. It may be reallocated between captures.
    ///
    /// # Shape
    /// Give [`Array::global`], [`Array::block`] or [`Array::shares`] where the array is a part of one
    /// that all ranks hold together, and [`Array::replicated`] where it is the same on all ranks.
    /// An array without is restored on as many ranks as captured it, and on no other number.
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
                    **outcome = reader.find(&spec).and_then(|(field, count)| {
                        let count = usize::try_from(count).unwrap_or(usize::MAX);
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

/// A value that was just named.
#[derive(Debug)]
pub struct Value<'a> {
    spec: Option<&'a mut FieldSpec>,
}

impl Value<'_> {
    /// Says that the value is the same on all ranks, bit for bit, so that a version can be restored
    /// on another number of ranks. That is checked then, and what differs is refused by name.
    pub fn replicated(self) {
        place(self.spec, || Place::Replicated);
    }
}

/// An array field that was just named.
#[derive(Debug)]
pub struct Array<'a> {
    spec: Option<&'a mut FieldSpec>,
}

impl Array<'_> {
    /// Says that elements may come back from *disk* a little different: each within `bound` of what it
    /// was, absolutely. They then take less room there. For f32 and f64. Before anything else that
    /// is said of the array: `f.array("u", &mut self.u).lossy(1e-6).global(shape, offset)`.
    ///
    /// What is restored from memory is exact. A run that goes on from disk does not end with the bits
    /// that it would have ended with; it says so when it goes on. Elements that are not finite come
    /// back as they were.
    #[allow(
        clippy::must_use_candidate,
        clippy::return_self_not_must_use,
        reason = "it is also said alone"
    )]
    pub fn lossy(self, bound: f64) -> Self {
        match self.spec {
            None => self,
            Some(spec) => {
                spec.bound = Some(Bound::unchecked(bound));
                Self { spec: Some(spec) }
            }
        }
    }

    /// Says which block of a global array this rank holds, one that is whole in all dimensions but
    /// the first: the whole array's shape and the block's first index in each dimension. How many
    /// rows it has follows from its length. A version can then be restored on another number of
    /// ranks.
    ///
    /// # Shape
    /// Values of several numbers have a dimension of their own, the last one.
    pub fn global(self, shape: impl Into<Vec<u64>>, offset: impl Into<Vec<u64>>) {
        place(self.spec, || Place::Rows { shape: shape.into(), offset: offset.into() });
    }

    /// As [`global`](Array::global), for a block of any form: `extent` is how far it reaches in each
    /// dimension. Its elements lie row by row.
    pub fn block(
        self,
        shape: impl Into<Vec<u64>>,
        offset: impl Into<Vec<u64>>,
        extent: impl Into<Vec<u64>>,
    ) {
        place(self.spec, || {
            let (shape, offset, extent) = (shape.into(), offset.into(), extent.into());
            let apart = shape.len() != offset.len() || shape.len() != extent.len();
            // No axis is what no field may have: it is refused by name when it is measured.
            let shape = if apart { Vec::new() } else { shape };
            let counts = offset.iter().zip(&extent);
            let axes = shape.iter().zip(counts);
            Place::Shares(
                axes.map(|(all, (first, count))| Axis::block(*all, *first, *count)).collect(),
            )
        });
    }

    /// Says which indices of each dimension of a global array are this rank's: it holds the elements
    /// all of whose indices are, row by row. For block-cyclic arrays.
    pub fn shares(self, shares: impl Into<Vec<Dimension>>) {
        place(self.spec, || {
            let shares = shares.into();
            Place::Shares(shares.into_iter().map(|dimension| dimension.axis).collect())
        });
    }

    /// Says that the array is the same on all ranks; see [`Value::replicated`].
    pub fn replicated(self) {
        place(self.spec, || Place::Replicated);
    }
}

/// The indices of one dimension of a global array that are a rank's; for [`Array::shares`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dimension {
    axis: Axis,
}

impl Dimension {
    /// Of a dimension of `extent` indices, the `count` from `first` on.
    #[must_use]
    pub fn block(extent: u64, first: u64, count: u64) -> Self {
        Self { axis: Axis::block(extent, first, count) }
    }

    /// Of a dimension of `extent` indices, dealt out in blocks of `block` to `parts` in turn, those
    /// of the part with number `part`, from 0.
    #[must_use]
    pub fn cyclic(extent: u64, block: u64, parts: u64, part: u64) -> Self {
        Self { axis: Axis { extent, share: Share::Cyclic { block, parts, part } } }
    }
}

fn place(spec: Option<&mut FieldSpec>, place: impl FnOnce() -> Place) {
    if let Some(spec) = spec {
        spec.place = Some(place());
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
        place: None,
        bound: None,
    }
}
