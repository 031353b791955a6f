//! The command line: commands, flags and their help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use p2pcam_agent::config::Setting;

/// Package version, and what `git describe` said where the source was a checkout; see build.rs.
pub const VERSION: &str = match option_env!("AGENT_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   failed; or `check` found something that must be fixed
  2   the command line is wrong
  78  the configuration is wrong (a restart will not help)";

/// WebRTC camera agent: live video and two-way sound, straight from this machine to a browser.
///
/// Without a camera or sound card the agent shows a test pattern and plays a tone. Settings come from
/// /etc/p2pcam/agent.toml, from P2PCAM_SECTION_KEY variables over it, and from flags over both; `p2pcam-agent config`
/// shows what results.
#[derive(Debug, Parser)]
#[command(name = "p2pcam-agent", version = VERSION, after_help = EXIT_CODES, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the camera to viewers.
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Run a hub for many devices, without a camera: the meeting point on a server.
    #[command(after_help = HUB_EXAMPLES)]
    Hub(HubArgs),
    /// Say what would keep a viewer from a picture: configuration, devices, ports, STUN, TURN, hub.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// List cameras with their formats, encoders and sound cards.
    #[command(after_help = DEVICES_EXAMPLES)]
    Devices(DevicesArgs),
    /// Print the viewer's address and its QR code again.
    #[command(after_help = LINK_EXAMPLES)]
    Link(LinkArgs),
    /// Print the configuration in effect.
    #[command(after_help = CONFIG_EXAMPLES)]
    Config(ConfigArgs),
}

const RUN_EXAMPLES: &str = "\
Examples:
  p2pcam-agent run --show-link
      the first camera and sound card, with the hub and viewer page inside the agent
  p2pcam-agent run --video pattern --audio tone --http 127.0.0.1:8080 --https ''
      no hardware needed, this machine only
  p2pcam-agent run --signaling wss://hub.example.net --token-file /etc/p2pcam/device-token
      a camera behind a router, met through a remote hub
  p2pcam-agent run --signaling stdio --video file:clip.mp4 --audio none
      messages on stdin and stdout, one JSON envelope a line, for a cloud client of your own

SIGTERM and Ctrl-C say goodbye to viewers; the agent ends within 2 s.";

const HUB_EXAMPLES: &str = "\
Examples:
  p2pcam-agent hub --https 0.0.0.0:443 --show-link
  p2pcam-agent hub --http 127.0.0.1:8080 --https '' --stun stun:turn.example.net:3478 \\
      --turn 'turn:turn.example.net:3478?transport=udp' --turn-secret-file /etc/p2pcam/turn-secret
      behind a reverse proxy, with coturn's use-auth-secret";

const CHECK_EXAMPLES: &str = "\
Examples:
  p2pcam-agent check
  sudo -u p2pcam p2pcam-agent check --config /etc/p2pcam/agent.toml
      as the user that the service runs as: permissions are the user's
  p2pcam-agent check --network --stun stun:stun.example.net --stun stun:stun.example.org
      what kind of NAT this is, and which viewers it lets through

Exit code 1 if something must be fixed, 0 with warnings only.";

const DEVICES_EXAMPLES: &str = "\
Examples:
  p2pcam-agent devices
  p2pcam-agent devices --json | jq '.cameras[].device'";

const LINK_EXAMPLES: &str = "\
Examples:
  p2pcam-agent link
  sudo -u p2pcam p2pcam-agent link --state-dir /var/lib/p2pcam

Whoever has the address can watch and talk.";

const CONFIG_EXAMPLES: &str = "\
Examples:
  p2pcam-agent config
  p2pcam-agent config --default > /etc/p2pcam/agent.toml
  P2PCAM_VIDEO_WIDTH=640 p2pcam-agent config";

/// The configuration file.
#[derive(Args, Debug)]
pub struct ConfigFile {
    /// Configuration file [default: /etc/p2pcam/agent.toml if it exists]
    #[arg(short, long, value_name = "FILE", env = "P2PCAM_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
}

/// `run`
#[derive(Args, Debug)]
pub struct RunArgs {
    #[command(flatten)]
    pub file: ConfigFile,
    /// Where viewers' messages come from: embedded, stdio, unix:PATH, ws://HOST or wss://HOST
    #[arg(long, value_name = "LINK")]
    pub signaling: Option<String>,
    /// auto, pattern, file:PATH or v4l2:DEVICE
    #[arg(long, value_name = "SOURCE")]
    pub video: Option<String>,
    /// auto, tone, file:PATH, alsa:DEVICE or none
    #[arg(long, value_name = "SOURCE")]
    pub audio: Option<String>,
    /// Where viewers' voices go: auto, alsa:DEVICE, log or none
    #[arg(long, value_name = "SINK")]
    pub talkback: Option<String>,
    #[command(flatten)]
    pub listen: Listen,
    /// File with the device token for a remote hub
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<String>,
    /// Name of this device on the hub [default: the host name]
    #[arg(long, value_name = "ID")]
    pub device_id: Option<String>,
    /// Print the viewer's address and its QR code, secret included, after the start
    #[arg(long)]
    pub show_link: bool,
}

/// `hub`
#[derive(Args, Debug)]
pub struct HubArgs {
    #[command(flatten)]
    pub file: ConfigFile,
    #[command(flatten)]
    pub listen: Listen,
    /// STUN URL for both sides; may be given several times
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub stun: Vec<String>,
    /// TURN URL for both sides; may be given several times
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub turn: Vec<String>,
    /// File with the TURN server's static-auth-secret
    #[arg(long, value_name = "FILE")]
    pub turn_secret_file: Option<String>,
    /// Print the viewers' address and its QR code, secret included, after the start
    #[arg(long)]
    pub show_link: bool,
}

/// Flags of whoever serves the page.
#[derive(Args, Debug)]
pub struct Listen {
    /// Plain HTTP address, '' for none [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    pub http: Option<String>,
    /// HTTPS address, '' for none [default: 0.0.0.0:8443]
    #[arg(long, value_name = "ADDR:PORT")]
    pub https: Option<String>,
    /// Where secrets and certificates are kept
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<String>,
    /// Log filter, as in debug or p2pcam_agent::session=debug,info
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
}

/// `check`
#[derive(Args, Debug)]
pub struct CheckArgs {
    #[command(flatten)]
    pub file: ConfigFile,
    /// Where secrets and certificates are kept
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<String>,
    /// Findings as JSON on stdout
    #[arg(long)]
    pub json: bool,
    /// Only the network, and more of it: kind of NAT, servers, who will get a picture and how; takes up to 10 s
    #[arg(long)]
    pub network: bool,
    /// With --network: a STUN server besides those of the configuration
    #[arg(long, value_name = "URL", requires = "network")]
    pub stun: Vec<String>,
}

/// `devices`
#[derive(Args, Debug)]
pub struct DevicesArgs {
    #[command(flatten)]
    pub file: ConfigFile,
    /// As JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// `link`
#[derive(Args, Debug)]
pub struct LinkArgs {
    #[command(flatten)]
    pub file: ConfigFile,
    #[command(flatten)]
    pub listen: Listen,
    /// Name of this device on the hub [default: the host name]
    #[arg(long, value_name = "ID")]
    pub device_id: Option<String>,
}

/// `config`
#[derive(Args, Debug)]
pub struct ConfigArgs {
    #[command(flatten)]
    pub file: ConfigFile,
    /// Print the default file with a comment for each key instead
    #[arg(long)]
    pub default: bool,
}

impl RunArgs {
    /// The flags as configuration keys.
    pub fn settings(&self) -> Vec<Setting> {
        let mut settings = self.listen.settings();
        settings.extend(given([
            ("signaling.link", "--signaling", &self.signaling),
            ("video.source", "--video", &self.video),
            ("audio.source", "--audio", &self.audio),
            ("audio.sink", "--talkback", &self.talkback),
            ("signaling.token_file", "--token-file", &self.token_file),
            ("device.id", "--device-id", &self.device_id),
        ]));
        settings
    }
}

impl HubArgs {
    /// The flags as configuration keys.
    pub fn settings(&self) -> Vec<Setting> {
        let list = |urls: &[String]| (!urls.is_empty()).then(|| urls.join(","));
        let mut settings = self.listen.settings();
        settings.extend(given([
            ("hub.stun", "--stun", &list(&self.stun)),
            ("hub.turn", "--turn", &list(&self.turn)),
            ("hub.turn_secret_file", "--turn-secret-file", &self.turn_secret_file),
        ]));
        settings
    }
}

impl LinkArgs {
    /// The flags as configuration keys.
    pub fn settings(&self) -> Vec<Setting> {
        let mut settings = self.listen.settings();
        settings.extend(given([("device.id", "--device-id", &self.device_id)]));
        settings
    }
}

impl CheckArgs {
    /// The flags as configuration keys.
    pub fn settings(&self) -> Vec<Setting> {
        given([("device.state_dir", "--state-dir", &self.state_dir)])
    }
}

impl Listen {
    fn settings(&self) -> Vec<Setting> {
        given([
            ("hub.http", "--http", &self.http),
            ("hub.https", "--https", &self.https),
            ("device.state_dir", "--state-dir", &self.state_dir),
            ("telemetry.log", "--log", &self.log),
        ])
    }
}

fn given<const N: usize>(flags: [(&'static str, &'static str, &Option<String>); N]) -> Vec<Setting> {
    flags
        .into_iter()
        .filter_map(|(key, flag, value)| Some(Setting { key, flag, value: value.clone()? }))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_stand_for_keys_and_those_not_given_for_none() {
        let cli = Cli::try_parse_from(["p2pcam-agent", "run", "--video", "pattern", "--https", ""]).unwrap();
        let Command::Run(run) = cli.command else { panic!("run") };
        let settings = run.settings();
        let pairs: Vec<_> = settings.iter().map(|s| (s.key, s.value.as_str())).collect();
        assert_eq!(pairs, [("hub.https", ""), ("video.source", "pattern")]);
    }

    #[test]
    fn stun_servers_may_be_repeated_or_listed() {
        let cli = Cli::try_parse_from(["p2pcam-agent", "hub", "--stun", "stun:a,stun:b", "--stun", "stun:c"])
            .unwrap();
        let Command::Hub(hub) = cli.command else { panic!("hub") };
        assert_eq!(hub.settings()[0].value, "stun:a,stun:b,stun:c");
    }
}
