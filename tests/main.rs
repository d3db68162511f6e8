//! Tests against real servers, grouped by the promise they hold us to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

mod bad_input;
mod check;
mod cli;
mod harness;
