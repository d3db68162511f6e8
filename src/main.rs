//! Moves a live PostgreSQL database to another server while applications keep writing.

mod catalog;
mod conninfo;
mod destination;
mod error;
mod ident;
mod session;
mod stop;

fn main() {}
