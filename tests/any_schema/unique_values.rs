//! Unique values that move from row to row between two cycles.
