//! The rig's command line.

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use p2pcam_hil::viewer::headless::cli::{self, WatchArgs};

/// Boards and viewers behind every kind of NAT, on one machine.
///
/// A run takes root, as it makes network namespaces; what it made is gone when it ends.
#[derive(Debug, Parser)]
#[command(name = "p2pcam-hil", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenarios and write a report.
    Run(commands::run::Args),
    /// Run all pairs of NAT kinds against the truth table and write a report.
    Matrix(commands::matrix::Args),
    /// Look for mistakes in scenario files, without running them.
    Check(commands::files::CheckArgs),
    /// Write a scenario file to begin with, with every key explained.
    New(commands::files::NewArgs),

    /// Hold a scenario's network for other programs, and change its line as standard input says.
    Hold(commands::hold::Args),
    /// Measure a router: mapping, filtering, ports, hairpinning, lifetimes.
    Probe(commands::probe::Args),
    /// Watch a device without a screen; prints what happens as one JSON object a line.
    Watch(WatchArgs),
    /// Remove what a rig that was killed left over.
    Clean,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => commands::run::run(args),
        Command::Matrix(args) => commands::matrix::run(args),
        Command::Check(args) => commands::files::check(&args),
        Command::New(args) => commands::files::new(&args),
        Command::Hold(args) => commands::hold::run(&args),
        Command::Probe(args) => commands::probe::run(&args),
        Command::Watch(args) => cli::run(args),
        Command::Clean => commands::clean::run(),
    };
    done.unwrap_or_else(|error| {
        eprintln!("p2pcam-hil: {error:#}");
        // As of command lines that are wrong: 1 is for runs that did not pass.
        ExitCode::from(2)
    })
}
