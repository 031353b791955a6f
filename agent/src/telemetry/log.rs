//! Where log lines go: to journald when systemd started the agent, else to stderr. Never to stdout, which
//! belongs to the messages of `--signaling stdio`.

use std::{
    fs::File,
    io::{self, IsTerminal},
    os::{fd::AsFd, unix::fs::MetadataExt},
};

use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// Put before field names in the journal: the span field `session` is `P2PCAM_SESSION` there, so that
/// `journalctl P2PCAM_SESSION=01JD...` is one viewer's story. Bare names belong to systemd and to all programs together
/// (systemd.journal-fields(7)): `SESSION` and `DEVICE` could be anybody's, as logind's sessions are.
const JOURNAL_FIELD_PREFIX: &str = "P2PCAM";

/// On each line in the journal: which camera wrote it, where the journals of many are kept in one place.
const JOURNAL_DEVICE_FIELD: &str = "P2PCAM_DEVICE";

/// What systemd takes from the head of a line on stderr as its priority (sd-daemon(3), `SD_ERR`).
const JOURNAL_ERROR_MARK: &str = "<3>";

/// Where the log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// journald's own protocol: levels become priorities, fields stay fields.
    Journal,
    /// stderr, one line an event.
    Stderr {
        /// With ANSI colours.
        colour: bool,
    },
}

impl Destination {
    /// The journal if stderr is the stream that systemd connected to it (systemd.exec(5), `$JOURNAL_STREAM`);
    /// colours if stderr is a terminal and `NO_COLOR` (no-color.org) is not set.
    pub fn detect() -> Self {
        let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
        if stderr_identity().is_ok_and(|identity| is_stream(&stream, identity)) {
            return Self::Journal;
        }
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self::Stderr { colour: io::stderr().is_terminal() && !no_color }
    }
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is not one.
    #[error(
        "log filter {filter:?}: {error}: give error, warn, info, debug, trace, or a list as in p2pcam_agent::session=debug,info"
    )]
    Filter {
        /// As given.
        filter: String,
        /// What is wrong with it.
        error: tracing_subscriber::filter::ParseError,
    },
    /// Another subscriber is there already.
    #[error("the log is already set up")]
    Twice,
}

/// Starts the log for the whole process, with a filter as in `info` or `p2pcam_agent::session=debug,info`. `device` is
/// this camera's id, if the process is one.
///
/// If journald cannot be reached although stderr leads to it, lines go to stderr, which systemd stores as well.
///
/// # Errors
///
/// The filter is malformed, or the log has been started before.
pub fn init(filter: &str, device: Option<&str>) -> Result<Destination, LogError> {
    // By modules and levels only: filters by the fields of spans would bring an engine for regular expressions along.
    let targets: Targets =
        filter.parse().map_err(|error| LogError::Filter { filter: filter.to_owned(), error })?;
    let mut destination = Destination::detect();
    let layer = match journal(destination, device) {
        Some(layer) => layer.boxed(),
        None => {
            let colour = destination == Destination::Stderr { colour: true };
            destination = Destination::Stderr { colour };
            tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(colour).boxed()
        }
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(targets))
        .try_init()
        .map_err(|_| LogError::Twice)?;
    Ok(destination)
}

fn journal(destination: Destination, device: Option<&str>) -> Option<tracing_journald::Layer> {
    let layer = (destination == Destination::Journal).then(tracing_journald::layer)?.ok()?;
    Some(
        layer
            .with_field_prefix(Some(JOURNAL_FIELD_PREFIX.into()))
            .with_custom_fields(device.map(|id| (JOURNAL_DEVICE_FIELD, id)))
            .with_syslog_identifier("p2pcam-agent".into()),
    )
}

/// Says why the process ends, also where the log could not be started, as by a wrong configuration: to stderr, in the
/// journal as an error.
pub fn last_words(words: &str) {
    eprint!("{}", last_lines(words, Destination::detect()));
}

fn last_lines(words: &str, destination: Destination) -> String {
    let mark = if destination == Destination::Journal { JOURNAL_ERROR_MARK } else { "" };
    words.lines().map(|line| format!("{mark}{line}\n")).collect()
}

/// Device and inode of stderr.
fn stderr_identity() -> io::Result<(u64, u64)> {
    let metadata = File::from(io::stderr().as_fd().try_clone_to_owned()?).metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Whether `$JOURNAL_STREAM` (`DEVICE:INODE`, decimal) names this file.
fn is_stream(stream: &str, (device, inode): (u64, u64)) -> bool {
    stream.split_once(':').is_some_and(|(d, i)| d.parse() == Ok(device) && i.parse() == Ok(inode))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_of_the_last_words_lines_is_an_error_in_the_journal() {
        let words = "the configuration is wrong:\n  video.fps is 0";
        let marked = "<3>the configuration is wrong:\n<3>  video.fps is 0\n";
        assert_eq!(last_lines(words, Destination::Journal), marked);
        assert_eq!(last_lines(words, Destination::Stderr { colour: true }), format!("{words}\n"));
    }

    #[test]
    fn the_journal_is_taken_only_if_stderr_is_its_stream() {
        let (device, inode) = stderr_identity().unwrap();
        assert!(is_stream(&format!("{device}:{inode}"), (device, inode)));
        // The variable is inherited by children whose stderr leads elsewhere.
        assert!(!is_stream(&format!("{device}:{}", inode + 1), (device, inode)));
        for malformed in ["", "1", ":", "a:b", "-1:2"] {
            assert!(!is_stream(malformed, (device, inode)), "{malformed}");
        }
    }
}
