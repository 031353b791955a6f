//! Stand in for the commands and the link of the built-in hub in a build without the feature `hub`: they say so.

const ABSENT: &str = "this agent was built without the feature hub: its viewers come through signaling.link";

/// `run` with `signaling.link = "embedded"`, which the configuration refuses before.
pub mod embedded {
    use p2pcam_agent::{config::Config, signaling::link::Link};
    use tokio::task::JoinHandle;

    use crate::commands::server::Server;

    /// Fails.
    pub fn start(
        _: &Config,
        _: &Server,
        _: bool,
        _: &str,
    ) -> anyhow::Result<(Link, JoinHandle<anyhow::Result<()>>)> {
        anyhow::bail!(super::ABSENT)
    }
}

/// `hub`
pub mod hub {
    use p2pcam_agent::config::Config;

    /// Fails.
    pub async fn hub(_: Config, _: bool) -> anyhow::Result<()> {
        anyhow::bail!(super::ABSENT)
    }
}

/// `link`
pub mod link {
    use std::process::ExitCode;

    use p2pcam_agent::config::Config;

    /// Fails.
    pub fn link(_: &Config) -> anyhow::Result<ExitCode> {
        anyhow::bail!(super::ABSENT)
    }
}
