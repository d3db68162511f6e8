//! What `init` puts on the source: a schema `switchover` with the state and the change log, and on
//! every table the triggers that write the keys of changed rows into it.

mod counts;
mod drift;
pub mod follow;
mod install;
mod remove;
mod state;
mod table;
mod tables;

pub use counts::{Counts, note_copies, note_cycle};
pub use drift::{Capture, Captured, Member};
pub use install::{Parties, forget_changes, install, set_captured, settle, wanting};
pub use remove::remove;
pub use state::{FLUSH, Phase, State, read as read_state, set_copied, set_phase, set_verified};
pub use table::{changed_keys, functions_hash, is_ours as is_our_trigger, key_matches};
pub use tables::{Work, capture_tables};
