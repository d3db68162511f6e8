//! Foreign keys of every kind, whose actions must not touch rows that did not change.
