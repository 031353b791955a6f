//! A board of a labgrid place.

pub mod literal;
pub mod place;
