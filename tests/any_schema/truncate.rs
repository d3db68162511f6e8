//! TRUNCATE in all its forms.
