//! What is not a table: noticed when the destination lacks it, and brought where that was asked for.
