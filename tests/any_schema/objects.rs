//! Objects beside the rows: what comes on the source after the schema was made on the destination, what
//! differs there, and materialized views.

mod bring;
mod follow;
mod unlike;
mod views;
