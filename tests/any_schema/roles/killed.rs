//! Foreign keys that are away come back, whatever is killed when.
