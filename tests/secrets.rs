//! No secret shows where it need not, and who owns tables that move gains no rights by it.

mod hostile;
