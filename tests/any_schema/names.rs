//! Names that need quoting, in every place where a name can stand.
