//! Tests against real servers, grouped by the promise they hold us to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

mod any_schema;
mod bad_input;
mod bounded_memory;
mod check;
mod cli;
mod copied_exactly;
mod every_commit_is_one_snapshot;
mod every_wait_is_bounded;
mod harmless;
mod harness;
mod kill_anything;
mod no_early_write;
mod no_write_after_the_flip;
mod nothing_is_forgotten_early;
mod nothing_is_missed;
mod one_by_one;
mod random_changes;
mod secrets;
mod soak;
mod testimony;
mod the_pointer_flips_last;
mod the_window;
