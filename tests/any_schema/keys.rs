//! Keys of every type, keys that move, and tables without any.
