//! Moves a live PostgreSQL database to another server while applications keep writing.

mod capture;
mod catalog;
mod conninfo;
mod cycle;
mod destination;
mod error;
mod guard;
mod ident;
mod lock;
mod plan;
mod sequences;
mod session;
mod stop;
mod switch;

fn main() {}
