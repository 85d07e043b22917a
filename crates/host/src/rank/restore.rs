//! Restoring: state by state, each in a call of its own, until the supervisor is told of the last.
//!
//! Invariant: once every state is restored, neither arena nor file of the version is held any more.
//! Deliberately absent: the copying, which is the image's; another copy after a damaged one, which
//! comes with another epoch.

use mainstay_types::trace::What;
use mainstay_types::wire::ToSupervisor;

use super::{ImageReader, Rank, RankError};
use crate::sys;

impl Rank {
    /// The reader of the version that is being restored. Begins a call that [`Rank::restored`]
    /// ends.
    ///
    /// # Errors
    /// [`RankError::Interrupted`] when nothing is.
    pub fn reader(&mut self) -> Result<&mut ImageReader, RankError> {
        if self.restoring.is_some() {
            self.segment.enter_call(self.id);
        }
        self.restoring.as_mut().map(|it| &mut it.reader).ok_or(RankError::Interrupted)
    }

    /// Takes note that a state was restored in this time, or was not.
    ///
    /// # Errors
    /// The failure, unless it lies in the copy: then another will come under the next epoch.
    pub fn restored(
        &mut self,
        state: &str,
        outcome: Result<(), RankError>,
        took: std::time::Duration,
    ) -> Result<(), RankError> {
        let outcome = self.restored_inside(state, outcome, took);
        self.segment.leave_call(self.id);
        outcome
    }

    fn restored_inside(
        &mut self,
        state: &str,
        outcome: Result<(), RankError>,
        took: std::time::Duration,
    ) -> Result<(), RankError> {
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.restore_ns += took_ns;
        if let (Some(version), Ok(())) = (self.restored_version(), &outcome) {
            let start_ns = sys::now_ns().saturating_sub(took_ns);
            self.trace(|t| t.since(start_ns, What::Restore { version }));
        }
        let Some(restoring) = &mut self.restoring else {
            return outcome;
        };
        match outcome {
            Ok(()) => {
                restoring.left.retain(|left| left != state);
                if !restoring.left.is_empty() {
                    return Ok(());
                }
                restoring.reader.close();
                self.endpoint.end_prologue();
                self.tell_restored()
            }
            Err(RankError::Capture(damage)) => {
                let (epoch, version, why) = (self.epoch, restoring.version, damage.to_string());
                let part = restoring.reader.bad_part(self.id);
                self.tell(&ToSupervisor::RestoreFailed { epoch, version, part, why })?;
                self.wait_for_epoch()?;
                Err(RankError::Interrupted)
            }
            Err(other) => Err(other),
        }
    }

    pub(super) fn tell_restored(&mut self) -> Result<(), RankError> {
        if std::mem::take(&mut self.owes_restored) {
            let (epoch, took_ns) = (self.epoch, self.restore_ns);
            self.tell(&ToSupervisor::Restored { epoch, took_ns })?;
        }
        Ok(())
    }
}
