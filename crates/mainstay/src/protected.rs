//! Protected state as the program holds it, and the step that captures it.
//!
//! Invariants: when a [`Protected`] is dropped its value goes back to the process, so that the next
//! entry restores into the same memory; a capture copies every protected state of the job or none.
//! Deliberately absent: when to capture; the target word tells.

use std::any::Any;
use std::fmt;
use std::ops::{Deref, DerefMut};

use mainstay_ckpt::FieldSpec;
use mainstay_host::rank::Stepped;

use crate::job::Handle;
use crate::state::Work;
use crate::{Error, Fields, Result, State};

/// What an initialiser may return: the state, or a result of it.
pub trait Initial {
    /// The state.
    type State: State;
    /// The state, or why there is none.
    ///
    /// # Errors
    /// The initialiser's own.
    fn initial(self) -> Result<Self::State>;
}

impl<T: State> Initial for T {
    type State = T;

    fn initial(self) -> Result<T> {
        Ok(self)
    }
}

impl<T: State, E: Into<Error>> Initial for Result<T, E> {
    type State = T;

    fn initial(self) -> Result<T> {
        self.map_err(Into::into)
    }
}

/// Protected state; use it as a `&mut T`.
pub struct Protected<T: State> {
    value: Option<T>,
    name: String,
    handle: Handle,
}

/// A protected state of any type, for [`Job::checkpoint_all`](crate::Job::checkpoint_all).
pub trait Captured {
    #[doc(hidden)]
    fn name(&self) -> &str;
    #[doc(hidden)]
    fn measure(&mut self, specs: &mut Vec<FieldSpec>);
    #[doc(hidden)]
    fn capture(&mut self, copy: &mut dyn FnMut(&[u8]));
}

impl<T: State> Captured for Protected<T> {
    fn name(&self) -> &str {
        &self.name
    }

    fn measure(&mut self, specs: &mut Vec<FieldSpec>) {
        if let Some(value) = &mut self.value {
            value.fields(&mut Fields { state: &self.name, work: Work::Measure(specs) });
        }
    }

    fn capture(&mut self, copy: &mut dyn FnMut(&[u8])) {
        if let Some(value) = &mut self.value {
            value.fields(&mut Fields { state: &self.name, work: Work::Capture(copy) });
        }
    }
}

impl<T: State> Deref for Protected<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("the value leaves only in drop")
    }
}

impl<T: State> DerefMut for Protected<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("the value leaves only in drop")
    }
}

impl<T: State + fmt::Debug> fmt::Debug for Protected<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: State> Drop for Protected<T> {
    fn drop(&mut self) {
        if let (Some(value), Some(mut core)) = (self.value.take(), self.handle.any_time()) {
            core.stash.insert(std::mem::take(&mut self.name), Box::new(value));
        }
    }
}

pub(crate) fn protect<I: Initial>(
    handle: &Handle,
    name: &str,
    initial: impl FnOnce() -> I,
) -> Result<Protected<I::State>> {
    let (kept, restoring, gathering) = {
        let mut core = handle.core()?;
        if core.protected.iter().any(|known| known == name) {
            return Err(Error::msg(format!("state `{name}` is protected twice in one entry")));
        }
        core.protected.push(name.to_owned());
        let restoring = core.rank.restored_version().is_some();
        let kept: Option<Box<dyn Any>> = core.stash.remove(name);
        core.initialising = true;
        let kept = kept.and_then(|kept| kept.downcast::<I::State>().ok());
        (kept, restoring, core.rank.is_gathering())
    };
    // A survivor's own memory is used only to restore into; at the job's start all begin afresh. What
    // part of a version of another number of ranks is wanted, the initialiser says.
    let value = match kept {
        Some(kept) if restoring && !gathering => Ok(*kept),
        _ => initial().initial(),
    };
    let mut core = handle.core()?;
    core.initialising = false;
    let mut state =
        Protected { value: Some(value?), name: name.to_owned(), handle: handle.clone() };
    if restoring {
        let mut outcome = Ok(());
        let started = std::time::Instant::now();
        let mut wanted = Vec::new();
        if gathering {
            state.measure(&mut wanted);
        }
        let reader = core.rank.reader()?;
        match reader.wants(&wanted) {
            Ok(()) => {
                let work = Work::Restore(reader, &mut outcome);
                (*state).fields(&mut Fields { state: name, work });
            }
            Err(contradiction) => outcome = Err(contradiction),
        }
        core.rank.restored(name, outcome, started.elapsed())?;
    } else {
        state.capture(&mut |field| core.rank.holds(field));
    }
    let mut specs = Vec::new();
    state.measure(&mut specs);
    core.rank.prepare(&specs)?;
    drop(core);
    Ok(state)
}

/// Completes a step; captures `states` when the job decided so.
pub(crate) fn checkpoint(handle: &Handle, states: &mut [&mut dyn Captured]) -> Result<()> {
    let mut core = handle.communicating()?;
    if states.len() != core.protected.len() {
        return Err(missing(&core.protected, states));
    }
    let stepped = core.rank.step_done()?;
    if let Stepped::Capture(due) = stepped {
        if let Some(known) = core
            .protected
            .iter()
            .find(|known| !states.iter().any(|state| state.name() == known.as_str()))
        {
            return Err(Error::msg(format!("state `{known}` is protected but not checkpointed")));
        }
        let mut specs = Vec::new();
        for state in states.iter_mut() {
            state.measure(&mut specs);
        }
        core.rank.capture(due, &specs, &mut |copy| {
            for state in states.iter_mut() {
                state.capture(copy);
            }
        })?;
    }
    Ok(core.rank.end_step()?)
}

fn missing(protected: &[String], states: &[&mut dyn Captured]) -> Error {
    let given: Vec<_> = states.iter().map(|state| state.name()).collect();
    Error::msg(format!(
        "the job protects [{}] and checkpoints [{}]; give all of them to `checkpoint_all`, or \
         none to `tick` when nothing is protected",
        protected.join(", "),
        given.join(", ")
    ))
}
