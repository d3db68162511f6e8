//! What somebody changes in the schema after `init`: followed where that is possible, else noticed in time.
