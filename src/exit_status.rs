//! Exit statuses of sexton's own, as in the table of `README.md`.

/// sexton itself failed: wrong usage, fork refused.
pub const SEXTON_FAILED: u8 = 125;
/// The command was found and could not be executed.
pub const CANNOT_EXECUTE: u8 = 126;
/// The command was not found.
pub const NOT_FOUND: u8 = 127;
/// Added to the number of the signal that killed the command.
pub const KILLED_BASE: u8 = 128;
