//! Real databases: film rental, music shop, and three hundred tables made from a seed.
