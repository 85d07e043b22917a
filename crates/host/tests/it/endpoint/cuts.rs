//! Consistent cuts: late and early messages, and a restore that delivers every message once.
