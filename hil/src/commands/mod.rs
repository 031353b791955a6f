//! What the command line does.

mod boards;
pub mod clean;
pub mod files;
pub mod hold;
pub mod matrix;
pub mod probe;
pub mod run;
mod session;
mod stop;
