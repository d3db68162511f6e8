//! Columns: generated, identity, dropped, in another order, a thousand of them.
