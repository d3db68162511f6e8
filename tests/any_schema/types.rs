//! Values of every type, at their edges and at their largest.
