//! Tests against real servers, grouped by the promise they hold us to.

mod cli;
