//! Values that are hard to carry because of their size.
