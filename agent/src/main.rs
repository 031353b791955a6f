//! The command line of the p2pcam agent, and nothing else.

mod commands;

use clap::Parser;

fn main() -> std::process::ExitCode {
    commands::dispatch(commands::cli::Cli::parse())
}
