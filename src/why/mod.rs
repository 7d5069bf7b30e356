//! Diagnosis: what is noted while all is well, and what can be said of it when it is not.
//!
//! - [`evidence`] is noted while the command runs;
//! - [`end`]: how the command ended, and [`died`], why it died;
//! - [`cost`]: what its run cost;
//! - [`left`]: what a stop cuts off;
//! - [`no_stop`]: the stop signal was none for sexton;
//! - [`told`] is noted when it is told to stop, and looked at when it does not;
//! - [`stuck`]: why it does not;
//! - [`not_started`]: why it could not be started;
//! - [`amounts`]: times, sizes and numbers in all of these sentences.

pub mod amounts;
pub mod cost;
pub mod died;
pub mod end;
pub mod evidence;
pub mod left;
pub mod no_stop;
pub mod not_started;
pub mod stuck;
pub mod told;
