//! Input that is loaded once a job.
//!
//! Invariant: all ranks and entries see the value that rank 0 loaded. Deliberately absent:
//! change; an input is immutable.

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use mainstay_host::rank::InputAnswer;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::job::Handle;
use crate::{Error, Result};

/// A loaded input; use it as a `&T`.
pub struct Input<T>(Rc<T>);

impl<T> Clone for Input<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Deref for Input<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Input<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

pub(crate) fn input<T, E>(
    handle: &Handle,
    name: &str,
    load: impl FnOnce() -> Result<T, E>,
) -> Result<Input<T>>
where
    T: Serialize + DeserializeOwned + 'static,
    E: Into<Error>,
{
    let kept = handle.core()?.inputs.get(name).cloned();
    if let Some(kept) = kept {
        let value = kept.downcast::<T>().map_err(|_| {
            Error::msg(format!("input `{name}` was loaded as another type at an earlier entry"))
        })?;
        return Ok(Input(value));
    }
    let answer = handle.communicating()?.rank.input(name)?;
    let value = match answer {
        InputAnswer::Ready(blob) => postcard::from_bytes(&blob).map_err(|error| {
            Error::msg(format!("input `{name}` as loaded by another rank is unreadable: {error}"))
        })?,
        InputAnswer::Load => {
            handle.core()?.initialising = true;
            let loaded = load();
            handle.core()?.initialising = false;
            let value = loaded.map_err(|error| error.into().of_input(name))?;
            let bytes = postcard::to_stdvec(&value).map_err(|error| {
                Error::msg(format!("input `{name}` cannot be kept for other ranks: {error}"))
            })?;
            handle.communicating()?.rank.input_loaded(name, &bytes)?;
            value
        }
    };
    let value = Rc::new(value);
    let kept: Rc<dyn std::any::Any> = Rc::<T>::clone(&value);
    handle.core()?.inputs.insert(name.to_owned(), kept);
    Ok(Input(value))
}
