//! Types of one name that differ.
