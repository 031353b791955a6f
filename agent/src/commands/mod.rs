//! What each command does: load the configuration, start the log, call the library, say how it ended.

#[cfg(feature = "hub")]
mod announce;
mod check;
pub mod cli;
mod config;
mod devices;
#[cfg(feature = "hub")]
mod embedded;
mod gpio;
#[cfg(feature = "hub")]
mod hub;
#[cfg(not(feature = "hub"))]
mod hub_absent;
#[cfg(feature = "hub")]
mod link;
mod run;
mod server;

use std::{future::Future, path::Path, process::ExitCode};

use anyhow::Context;
use p2pcam_agent::{
    config::{Config, ConfigError, Loaded, Setting, load_with},
    telemetry,
};

use cli::{Cli, Command};
#[cfg(not(feature = "hub"))]
use hub_absent::{embedded, hub, link};

/// EX_CONFIG of sysexits(3): a unit file can tell it from other failures (`RestartPreventExitStatus=78`).
const EXIT_CONFIG: u8 = 78;

/// Runs the command and turns its end into an exit code.
pub fn dispatch(cli: Cli) -> ExitCode {
    let result = match &cli.command {
        Command::Run(args) => serve(args.file.config.as_deref(), &args.settings(), true, |config| {
            run::run(config, args.show_link)
        }),
        Command::Hub(args) => serve(args.file.config.as_deref(), &args.settings(), false, |config| {
            hub::hub(config, args.show_link)
        }),
        Command::Check(args) => check::check(args),
        Command::Devices(args) => devices::devices(args),
        Command::Link(args) => {
            load(args.file.config.as_deref(), &args.settings()).and_then(|loaded| link::link(&loaded.config))
        }
        Command::Config(args) => config::config(args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            telemetry::log::last_words(&format!("p2pcam-agent: {error:#}"));
            match error.downcast_ref::<ConfigError>() {
                Some(_) => ExitCode::from(EXIT_CONFIG),
                None => ExitCode::FAILURE,
            }
        }
    }
}

/// The configuration of this process: file, environment, flags.
fn load(path: Option<&Path>, flags: &[Setting]) -> anyhow::Result<Loaded> {
    // A variable that is not UTF-8 cannot be one of ours, which are ASCII, with a value that any key takes.
    let env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
    Ok(load_with(path, env, flags)?)
}

/// Loads the configuration, starts log and runtime, and serves until the future ends. `camera`: the process is a device
/// and not only the meeting point of some.
fn serve<F: Future<Output = anyhow::Result<()>>>(
    path: Option<&Path>,
    flags: &[Setting],
    camera: bool,
    command: impl FnOnce(Config) -> F,
) -> anyhow::Result<ExitCode> {
    let loaded = load(path, flags)?;
    let device = camera.then(|| loaded.config.device.resolved_id());
    telemetry::init(&loaded.config.telemetry.log, device.as_deref())?;
    tracing::info!(
        version = cli::VERSION,
        file = %loaded.path.as_deref().map_or("none, defaults".into(), Path::to_string_lossy),
        "p2pcam-agent starts"
    );
    for set in &loaded.overrides {
        tracing::info!(key = set.key, by = %set.place, "configuration overridden");
    }
    let runtime = runtime()?;
    let ended = runtime.block_on(command(loaded.config));
    // A name that the DNS server does not answer for must not hold up the end.
    runtime.shutdown_background();
    ended.map(|()| ExitCode::SUCCESS)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        // Cameras, encoders and sound have threads of their own; what is left, sessions and the hub, is far less than a core.
        // A second worker would only be woken by the first, which costs more than most of its turns.
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start the runtime: check the limits on threads and open files")
}
