//! `p2pcam-hil watch`: a viewer of its own, for the rig and for people.

use std::{
    io::Write,
    net::IpAddr,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Args;

use super::{addresses, course::Course, signaling::resolve, wanted::Wanted};
use crate::viewer::Event;

/// Where the token is read from, so that nobody sees it among the processes.
pub const TOKEN_VARIABLE: &str = "P2PCAM_VIEWER_TOKEN";

/// The command line of a headless viewer.
#[derive(Clone, Debug, Args)]
pub struct WatchArgs {
    /// The hub, plain HTTP.
    #[arg(long, value_name = "HOST:PORT")]
    pub hub: String,
    /// The device's name on the hub.
    #[arg(long)]
    pub device: String,
    /// The viewers' token.
    #[arg(long, env = TOKEN_VARIABLE, hide_env_values = true)]
    pub token: String,
    /// An own address to gather from; may be given again. Without it, one of each IP version that has a way out.
    #[arg(long = "address", value_name = "IP")]
    pub addresses: Vec<IpAddr>,
    /// Use relays only.
    #[arg(long)]
    pub relay_only: bool,
    /// Do not ask for another session when one that had a picture breaks.
    #[arg(long)]
    pub no_retry: bool,
    /// End with the first picture.
    #[arg(long)]
    pub until_picture: bool,
    /// How long to watch, in seconds.
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    pub seconds: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    const MAX: f64 = 7.0 * 86_400.0;
    let seconds: f64 = text.parse().map_err(|_| "write a number of seconds".to_owned())?;
    if seconds > 0.0 && seconds <= MAX { Ok(seconds) } else { Err(format!("write more than 0, up to {MAX}")) }
}

/// Watches and prints each event as a line of JSON. The exit code is 0 if there was a picture.
pub fn run(args: WatchArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let seen = runtime.block_on(watch(args));
    // The stack's tasks need no farewell.
    runtime.shutdown_background();
    Ok(if seen? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn watch(args: WatchArgs) -> anyhow::Result<bool> {
    let started = Instant::now();
    let hub = resolve(&args.hub).await?;
    let own = if args.addresses.is_empty() { addresses::own(&hub) } else { args.addresses };
    let wanted = Wanted {
        hub: args.hub,
        device: args.device,
        token: args.token,
        addresses: own,
        relay_only: args.relay_only,
        retry: !args.no_retry,
        until_picture: args.until_picture,
        time: Duration::from_secs_f64(args.seconds),
    };
    let mut seen = false;
    let tell = |event: Event| {
        seen |= matches!(event, Event::FirstPicture { .. });
        let line = serde_json::to_string(&event).unwrap_or_default();
        // Whoever listened is gone: so is the reason to watch.
        if writeln!(std::io::stdout().lock(), "{line}").is_err() {
            std::process::exit(1);
        }
    };
    Course::new(wanted, started, tell).run().await;
    Ok(seen)
}
