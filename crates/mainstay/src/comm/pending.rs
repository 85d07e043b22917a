//! Collectives under way.
//!
//! Invariant: all that a collective sends was sent, or queued behind what did not fit, by the call
//! that started it; waiting and testing send nothing of their own. So no rank has to be in a certain
//! call for the others to complete theirs, and what is sent depends on the program's order alone.
//! Deliberately absent: what the requests are; see `nonblocking`.

use std::fmt;

use mainstay_host::endpoint::{RequestId, Room};

use crate::Result;
use crate::job::Handle;

/// The memory of the requests of a collective, in their order.
pub(super) type Rooms = Vec<Box<dyn Room>>;

/// A collective that was started. Complete each before the next
/// [`checkpoint`](crate::Job::checkpoint), which otherwise fails as it does for a
/// [`Request`](crate::Request).
///
/// Several may be under way on one communicator, among messages and blocking collectives, and they
/// may be waited for in any order, which may differ between ranks. All that this rank contributes is
/// sent when the collective is started; what did not fit goes out in whatever call comes next, so
/// nothing moves while the program is in none.
#[must_use = "a collective completes when it is waited for"]
pub struct Pending<R> {
    handle: Handle,
    requests: Vec<RequestId>,
    /// So many of them, from the first, were found complete.
    complete: usize,
    value: Box<dyn FnOnce(Rooms) -> Result<R>>,
}

impl<R> Pending<R> {
    pub(super) fn new(
        handle: Handle,
        requests: Vec<RequestId>,
        value: impl FnOnce(Rooms) -> Result<R> + 'static,
    ) -> Self {
        Self { handle, requests, complete: 0, value: Box::new(value) }
    }

    /// Completes it, and gives what it comes to.
    ///
    /// # Errors
    /// An interruption, or blocks of other ranks that do not fit.
    pub fn wait(self) -> Result<R> {
        let mut rooms = Vec::with_capacity(self.requests.len());
        {
            let mut core = self.handle.communicating()?;
            for request in self.requests {
                rooms.push(core.rank.endpoint().complete(request)?.1);
            }
        }
        (self.value)(rooms)
    }

    /// Whether it is complete, so that [`Pending::wait`] need not wait. What a program does after a no
    /// depends on timing: a recovery repeats it where other ranks have seen it, another run need not.
    ///
    /// # Errors
    /// An interruption.
    pub fn test(&mut self) -> Result<bool> {
        let mut core = self.handle.communicating()?;
        while let Some(request) = self.requests.get(self.complete) {
            if !core.rank.endpoint().test(*request)? {
                return Ok(false);
            }
            self.complete += 1;
        }
        Ok(true)
    }
}

impl<R> fmt::Debug for Pending<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requests = self.requests.len() - self.complete;
        f.debug_struct("Pending").field("requests", &requests).finish_non_exhaustive()
    }
}
