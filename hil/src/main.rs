//! The rig's command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use p2pcam_hil::viewer::headless::cli;

/// Boards and viewers behind every kind of NAT, on one machine.
#[derive(Debug, Parser)]
#[command(name = "p2pcam-hil", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch a device without a screen; prints what happens as one JSON object a line.
    Watch(cli::WatchArgs),
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Watch(args) => cli::run(args),
    }
}
