//! Tests of the message engines through their public faces.
#![expect(clippy::unwrap_used, reason = "helpers and tests fail by panicking")]

mod layout;
