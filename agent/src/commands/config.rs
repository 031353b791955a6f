//! `config`: prints the configuration in effect, or the commented default.

use std::process::ExitCode;

use anyhow::Context;
use p2pcam_agent::config::{COMMENTED_DEFAULT, Config, Loaded};

use super::cli::ConfigArgs;

/// What stands for a password in the output, which ends up in bug reports.
const HIDDEN: &str = "(hidden)";

/// Prints TOML on stdout.
pub fn config(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    if args.default {
        print!("{COMMENTED_DEFAULT}");
        return Ok(ExitCode::SUCCESS);
    }
    let loaded = super::load(args.file.config.as_deref(), &[])?;
    print!("{}", text(&loaded)?);
    Ok(ExitCode::SUCCESS)
}

fn text(loaded: &Loaded) -> anyhow::Result<String> {
    let mut text = match &loaded.path {
        Some(path) => format!("# From {}; keys that it does not name have their defaults.\n", path.display()),
        None => "# No configuration file: every key has its default.\n".to_owned(),
    };
    for set in &loaded.overrides {
        text += &format!("# {} is set by {}.\n", set.key, set.place);
    }
    text.push('\n');
    let mut config: Config = loaded.config.clone();
    for server in &mut config.ice.servers {
        server.credential = server.credential.as_ref().map(|_| HIDDEN.into());
    }
    text += &toml::to_string(&config).context("the configuration cannot be written as TOML")?;
    Ok(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use p2pcam_agent::config::{IceServerConfig, Override, Place};

    use super::*;

    #[test]
    fn what_is_printed_can_be_read_back_and_holds_no_password() {
        let mut config = Config::default();
        config.video.width = 640;
        config.ice.servers = vec![IceServerConfig {
            urls: vec!["turn:t.example".into()],
            username: Some("u".into()),
            credential: Some("hunter2".into()),
        }];
        let place = Place::Variable("P2PCAM_VIDEO_WIDTH".into());
        let overrides = vec![Override { key: "video.width".into(), place }];
        let text = text(&Loaded { config: config.clone(), path: None, overrides }).unwrap();
        assert!(text.contains("# video.width is set by environment variable P2PCAM_VIDEO_WIDTH."), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
        config.ice.servers[0].credential = Some(HIDDEN.into());
        assert_eq!(p2pcam_agent::config::parse(&text, "x".as_ref()).unwrap(), config);
    }
}
