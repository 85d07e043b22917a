//! Sends and receives that were started.
//!
//! Invariant: a request belongs to one entry of the program and is completed, or taken back, once.
//! Deliberately absent: progress; every call of the endpoint makes some.

use std::fmt;
use std::marker::PhantomData;

use mainstay_host::endpoint::{Group, RequestId};

use super::Status;
use super::elements::Elements;
use crate::job::Handle;
use crate::{Plain, Result};

/// A send or a receive that was started. Complete each before the next
/// [`checkpoint`](crate::Job::checkpoint).
#[must_use = "a request completes when it is waited for"]
pub struct Request<T> {
    pub(super) handle: Handle,
    pub(super) group: Group,
    pub(super) id: RequestId,
    pub(super) element: PhantomData<T>,
}

impl<T: Plain> Request<T> {
    /// Completes it; gives the message of a receive, nothing for a send, and what
    /// [`Comm::isend_vec`](crate::Comm::isend_vec) was given.
    ///
    /// # Errors
    /// An interruption, or a message whose bytes are no whole number of elements.
    pub fn wait(self) -> Result<Vec<T>> {
        Ok(self.wait_from()?.0)
    }

    /// As [`Request::wait`]; tells whose message a receive got.
    ///
    /// # Errors
    /// As [`Request::wait`].
    pub fn wait_from(self) -> Result<(Vec<T>, Option<Status>)> {
        let mut core = self.handle.communicating()?;
        let (arrived, room) = core.rank.endpoint().complete(self.id)?;
        Ok((Elements::of(room)?, arrived.map(|arrived| Status::new(&self.group, arrived))))
    }

    /// Whether it is complete, so that [`Request::wait`] returns at once.
    ///
    /// # Errors
    /// An interruption.
    pub fn test(&mut self) -> Result<bool> {
        Ok(self.handle.communicating()?.rank.endpoint().test(self.id)?)
    }

    /// Takes a receive back. One for which a message has come is given back, to be waited for.
    ///
    /// # Errors
    /// An interruption.
    pub fn cancel(self) -> Result<Option<Self>> {
        let cancelled = self.handle.communicating()?.rank.endpoint().cancel(self.id)?;
        Ok((!cancelled).then_some(self))
    }

    /// Completes all of them; gives their messages in the order of the requests.
    ///
    /// # Errors
    /// As [`Request::wait`].
    pub fn wait_all(requests: impl IntoIterator<Item = Self>) -> Result<Vec<Vec<T>>> {
        requests.into_iter().map(Self::wait).collect()
    }

    /// Completes one of them, which leaves the list, and gives its place and its message; `None` if
    /// the list is empty.
    ///
    /// # Errors
    /// As [`Request::wait`].
    pub fn wait_any(requests: &mut Vec<Self>) -> Result<Option<(usize, Vec<T>)>> {
        let Some(first) = requests.first() else { return Ok(None) };
        let ids: Vec<_> = requests.iter().map(|request| request.id).collect();
        let place = first.handle.communicating()?.rank.endpoint().wait_any(&ids)?;
        Ok(Some((place, requests.remove(place).wait()?)))
    }

    /// Completes those that need no waiting, which leave the list; gives their messages, each with
    /// the place that its request had.
    ///
    /// # Errors
    /// As [`Request::wait`].
    pub fn test_some(requests: &mut Vec<Self>) -> Result<Vec<(usize, Vec<T>)>> {
        let (mut done, mut left) = (Vec::new(), Vec::new());
        for (place, mut request) in std::mem::take(requests).into_iter().enumerate() {
            match request.test()? {
                true => done.push((place, request.wait()?)),
                false => left.push(request),
            }
        }
        *requests = left;
        Ok(done)
    }
}

impl<T> fmt::Debug for Request<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Any, Request};

    /// A lone rank, whose messages are to itself.
    #[test]
    fn requests_complete_together_one_by_one_or_not_at_all() {
        crate::run(|job| {
            let world = job.world();
            let mut slow = world.irecv::<u64>(0, 1)?;
            let fast = world.irecv::<u64>(Any, 2)?;
            assert!(!slow.test()?);
            world.send(&[7_u64, 8], 0, 2)?;
            let mut both = vec![slow, fast];
            assert_eq!(Request::wait_any(&mut both)?, Some((1, vec![7, 8])));
            assert_eq!(Request::test_some(&mut both)?, []);
            world.send(&[9_u64], 0, 1)?;
            assert_eq!(Request::test_some(&mut both)?, [(0, vec![9])]);
            assert_eq!(Request::wait_any(&mut both)?, None);

            let never = world.irecv::<u64>(Any, Any)?;
            assert!(never.cancel()?.is_none(), "no message has come");
            let came = world.irecv::<u64>(Any, Any)?;
            world.send(&[1_u64], 0, 3)?;
            assert_eq!(world.iprobe(Any, 3)?, None, "it went to the receive");
            let came = came.cancel()?.expect("a message has come");
            let (words, status) = came.wait_from()?;
            assert_eq!((words, status.map(|status| status.tag())), (vec![1], Some(3)));

            let mut room = [0_u64; 2];
            assert_eq!(world.send_recv((&[4_u64, 5], 0), (&mut room, 0), 6)?, 2);
            world.send(&room, 0, 9)?;
            assert_eq!(world.probe(0, Any)?.count::<u64>()?, 2);
            assert!(world.probe(0, Any)?.count::<[u64; 3]>().is_err());
            assert_eq!(world.recv_vec::<u64>(Any, 9)?.0, [4, 5]);
            assert!(world.recv(&mut room, 1, 0).is_err(), "there is no such rank");
            let all = [10, 11].map(|tag| world.irecv::<u64>(0, tag));
            world.send(&[2_u64], 0, 11)?;
            world.send(&[1_u64], 0, 10)?;
            let all = all.into_iter().collect::<crate::Result<Vec<_>>>()?;
            assert_eq!(Request::wait_all(all)?, [vec![1], vec![2]]);
            job.finish([0_u8])
        })
        .unwrap();
    }
}
