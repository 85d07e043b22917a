//! The rank's side of messages: moves bytes as the engines of `comm` decide.
