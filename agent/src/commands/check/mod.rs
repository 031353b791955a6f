//! `check`: what would keep a viewer from a picture, in words that a technician can act on.
//!
//! It opens devices and asks servers, but changes nothing and needs no running agent.

mod channel;
mod devices;
mod finding;
mod gpio;
mod hub;
mod network;
mod ports;
mod server;
mod state;
mod stun;
mod tls;
mod turn;

use std::{
    process::ExitCode,
    time::{Duration, SystemTime},
};

use futures_util::{FutureExt, StreamExt, future::LocalBoxFuture, stream};
use p2pcam_agent::{
    config::{Config, ConfigError, Loaded, VideoEncoderSpec},
    media::video::encoders,
};

use self::{
    finding::{Finding, Level},
    server::Server,
};
use super::cli::CheckArgs;

/// What each question to the network may take. All are asked at once.
const DEADLINE: Duration = Duration::from_secs(2);

/// Questions under way at once: a home router's table of connections is small.
const AT_ONCE: usize = 16;

/// Prints the findings; exit code 1 if one of them is a failure.
pub fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    if args.network {
        return check_network(args);
    }
    let findings = match super::load(args.file.config.as_deref(), &args.settings()) {
        Ok(loaded) => {
            let mut findings = vec![configuration(&loaded)];
            findings.extend(wait_for(all(&loaded.config))?);
            findings
        }
        Err(error) => match error.downcast::<ConfigError>()? {
            ConfigError::Invalid(problems) => problems
                .into_iter()
                .map(|problem| {
                    Finding::fail(
                        "configuration",
                        format!("{}: {}", problem.place, problem.what),
                        problem.advice,
                    )
                })
                .collect(),
            error => vec![Finding::fail(
                "configuration",
                error.to_string(),
                "p2pcam-agent config --default prints a file to begin with",
            )],
        },
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&findings)?);
    } else {
        findings.iter().for_each(|finding| println!("{finding}"));
        println!("\n{}", finding::summary(&findings));
    }
    let failed = findings.iter().any(|finding| finding.level == Level::Fail);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn check_network(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let loaded = super::load(args.file.config.as_deref(), &args.settings())?;
    let reply = wait_for(network::network(&loaded.config, &args.stun))?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&reply)?),
        false => print!("{reply}"),
    }
    Ok(if reply.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Runs it to its end, and waits for nothing that it left behind: a name server or a router that still says nothing.
fn wait_for<T>(questions: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = super::runtime()?;
    let answers = runtime.block_on(questions);
    runtime.shutdown_background();
    Ok(answers)
}

fn configuration(loaded: &Loaded) -> Finding {
    let mut detail = match &loaded.path {
        Some(path) => path.display().to_string(),
        None => "no file, every key has its default".to_owned(),
    };
    if !loaded.overrides.is_empty() {
        let keys: Vec<_> =
            loaded.overrides.iter().map(|set| format!("{} by {}", set.key, set.place)).collect();
        detail += &format!("; set otherwise: {}", keys.join(", "));
    }
    Finding::ok("configuration", detail)
}

async fn all(config: &Config) -> Vec<Finding> {
    let mut findings = vec![
        state::clock(SystemTime::now()),
        state::directory(&config.device.resolved_state_dir()),
        devices::video(&config.video.source),
    ];
    if let Ok(spec) = VideoEncoderSpec::parse(&config.video.encoder) {
        findings.push(devices::encoder(&config.video.source, &encoders(&spec)));
    }
    findings.extend(devices::audio(&config.audio.source, &config.audio.sink));
    findings.extend(gpio::all(&config.gpio));
    findings.extend(state::files(config));
    findings.extend(ports::all(config));

    let mut questions: Vec<LocalBoxFuture<'_, Vec<Finding>>> = Vec::new();
    match server::all(config, SystemTime::now()) {
        Ok(servers) => {
            if servers.is_empty() {
                findings.push(no_servers(config));
            }
            questions.extend(servers.into_iter().map(|server| ask(server).boxed_local()));
        }
        Err(finding) => findings.push(finding),
    }
    if config.signaling.link.starts_with("ws") {
        let ca = config.signaling.ca_file.clone();
        questions.push(hub::reach(&config.signaling.link, ca).map(|finding| vec![finding]).boxed_local());
    }
    let answers: Vec<_> = stream::iter(questions).buffered(AT_ONCE).collect().await;
    findings.extend(answers.into_iter().flatten());
    findings
}

fn no_servers(config: &Config) -> Finding {
    let what = "STUN and TURN";
    if config.signaling.link == "embedded" {
        let advice = "name a STUN server in hub.stun, and a TURN server in hub.turn for routers that STUN cannot cross";
        return Finding::warn(
            what,
            "no server is configured: only viewers on this network get a picture",
            advice,
        );
    }
    Finding::ok(what, "none configured here: they come with each viewer's request")
}

async fn ask(server: Server) -> Vec<Finding> {
    let what = server.to_string();
    match server.credentials {
        Some(_) => vec![turn::allocate(&server, &what).await],
        None => vec![stun::binding(&server, &what).await],
    }
}
