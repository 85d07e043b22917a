//! The engines of what is seen, without processes: a run of three ranks as it would be recorded.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod chrome;
mod page;
mod run;
