//! Moves a live PostgreSQL database to another server while applications keep writing.

mod error;
mod ident;

fn main() {}
