//! Roles: superusers, owners, owners with a grant, and what managed services leave of them.
