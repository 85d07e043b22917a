//! Tests of the message engines through their public faces.

mod layout;
