//! Sequences of every kind.
