//! What is missing is named, and enough once it is granted.
