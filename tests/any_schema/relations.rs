//! Partitions, inheritance, views, rules, policies, triggers: every kind of relation, and many of them.
