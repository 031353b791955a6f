//! The agent's settings as the rig writes them: what it needs itself, and the scenario's keys over that.

use std::net::SocketAddr;

use toml::{Table, Value};

use super::{BoardError, Deployment};

/// Where the agent answers `/metrics` and `/health` if the scenario does not say otherwise. Each board has a network
/// of its own, a local one the lab's namespace, so the port is free.
const TELEMETRY: &str = "127.0.0.1:9464";

/// Changes of state of the agent in full, of the crates below it what matters: the log is read when a run went wrong.
const LOG: &str = "info,p2pcam_agent=debug";

/// What differs between boards.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The agent's state folder; none: the service's own.
    pub state: Option<&'a str>,
    /// File with the hub's token for the device, mode 0600.
    pub token: &'a str,
    /// PEM certificate that `turns:` servers are to be trusted by, if there is one.
    pub turn_ca: Option<&'a str>,
    /// What is shown if the scenario does not say.
    pub picture: Picture,
}

/// A test pattern that viewers can read the frame numbers and the clock of (docs/test-pattern.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    /// In pixels.
    pub width: u16,
    /// In pixels.
    pub height: u16,
    /// Pictures a second.
    pub fps: u16,
    /// Of the encoder, in kilobits a second.
    pub kbps: u32,
}

impl Picture {
    /// For a process. Several labs share two processor cores, so it is small and slow, but large enough for cells of
    /// 16 pixels, which are read without an error from 250 kbit/s on.
    pub const LOCAL: Self = Self { width: 640, height: 360, fps: 15, kbps: 600 };
    /// For an emulated processor: the smallest that carries a strip, as OpenH264 encodes 640x480 there in 26 fps with
    /// nothing else to do. The pattern and not the virtual camera, for what is judged (numbers, clock, freezes) stands
    /// in its strip, and so that a scenario sees the same picture on each board. A scenario about the camera sets
    /// `video.source = "auto"`.
    pub const EMULATED: Self = Self { width: 320, height: 180, fps: 15, kbps: 300 };
}

/// agent.toml, and what the rig has to know of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// All keys.
    pub table: Table,
    /// Where the agent answers.
    pub telemetry: SocketAddr,
    /// `video.source`.
    pub video_source: String,
}

impl Settings {
    /// The rig's keys with the scenario's over them.
    ///
    /// # Errors
    ///
    /// The scenario sets a key to what the rig cannot work with.
    pub fn new(deployment: &Deployment, place: Place<'_>) -> Result<Self, BoardError> {
        let mut table = rigs(deployment, place);
        merge(&mut table, &deployment.config);
        let listen = text(&table, "telemetry", "listen");
        let telemetry = listen.parse().map_err(|_| {
            BoardError::Agent(format!(
                "the scenario sets telemetry.listen to {listen:?}: the rig asks the agent there whether it reached the hub, \
                 so it must be ADDRESS:PORT, as {TELEMETRY:?}, or be left out"
            ))
        })?;
        let video_source = text(&table, "video", "source").to_owned();
        Ok(Self { table, telemetry, video_source })
    }

    /// As the file holds it.
    pub fn file(&self) -> String {
        format!("# Written by p2pcam-hil for one run.\n{}", self.table)
    }

    /// Whether the agent shows a camera: the test pattern and files have no cable.
    pub fn shows_camera(&self) -> bool {
        self.video_source == "auto" || self.video_source.starts_with("v4l2:")
    }
}

/// Whether the agent's metrics say that it is connected to its hub (docs/operation.md).
pub fn reached_hub(metrics: &str) -> bool {
    metrics.lines().any(|line| line == "p2pcam_signaling_link_up 1")
}

fn rigs(deployment: &Deployment, place: Place<'_>) -> Table {
    let Picture { width, height, fps, kbps } = place.picture;
    let mut device = table([("id", deployment.device.as_str().into())]);
    if let Some(state) = place.state {
        device.insert("state_dir".into(), state.into());
    }
    let video = table([
        ("source", "pattern".into()),
        ("width", i64::from(width).into()),
        ("height", i64::from(height).into()),
        ("fps", i64::from(fps).into()),
        ("bitrate_kbps", i64::from(kbps).into()),
    ]);
    // On for the first half of each second: what sound and picture are compared by.
    let audio = table([("source", "tone".into()), ("sink", "log".into())]);
    let signaling = table([("link", deployment.hub.as_str().into()), ("token_file", place.token.into())]);
    let telemetry = table([("listen", TELEMETRY.into()), ("log", LOG.into())]);
    let mut all = table([
        ("device", device.into()),
        ("video", video.into()),
        ("audio", audio.into()),
        ("signaling", signaling.into()),
        ("telemetry", telemetry.into()),
    ]);
    if let Some(file) = place.turn_ca {
        all.insert("ice".into(), table([("ca_file", file.into())]).into());
    }
    all
}

fn table<const N: usize>(pairs: [(&str, Value); N]) -> Table {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn text<'a>(table: &'a Table, section: &str, key: &str) -> &'a str {
    table.get(section).and_then(|section| section.get(key)).and_then(Value::as_str).unwrap_or_default()
}

/// Tables are merged key by key, everything else is replaced.
fn merge(below: &mut Table, over: &Table) {
    for (key, value) in over {
        match (below.get_mut(key), value) {
            (Some(Value::Table(below)), Value::Table(over)) => merge(below, over),
            _ => {
                below.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PLACE: Place<'_> =
        Place { state: Some("/tmp/state"), token: "/tmp/token", turn_ca: None, picture: Picture::LOCAL };

    fn deployment(config: &str) -> Deployment {
        Deployment {
            hub: "ws://192.0.2.1:8080/v1/device".into(),
            device: "porch".into(),
            token: "secret".into(),
            turn_ca: None,
            config: config.parse().unwrap(),
        }
    }

    #[test]
    fn a_scenarios_keys_stand_over_the_rigs_and_leave_the_others_of_their_section() {
        let deployment = deployment("[video]\nfps = 5\n[ice]\npolicy = \"relay\"\n[video.controls]\nhue = 3");
        let settings = Settings::new(&deployment, Place { turn_ca: Some("/tmp/ca.pem"), ..PLACE }).unwrap();
        let read: Table = settings.file().parse().unwrap();
        assert_eq!(read["video"]["fps"].as_integer(), Some(5));
        assert_eq!(read["video"]["width"].as_integer(), Some(640));
        assert_eq!(read["video"]["controls"]["hue"].as_integer(), Some(3));
        assert_eq!(read["ice"]["policy"].as_str(), Some("relay"));
        assert_eq!(read["ice"]["ca_file"].as_str(), Some("/tmp/ca.pem"));
        assert_eq!(read["signaling"]["link"].as_str(), Some("ws://192.0.2.1:8080/v1/device"));
        assert!(!settings.file().contains("secret"), "the token is in a file of its own");
    }

    #[test]
    fn what_the_rig_writes_is_what_the_agent_takes() {
        let file = Settings::new(&deployment(""), PLACE).unwrap().file();
        let config: p2pcam_agent::config::Config = toml::from_str(&file).unwrap();
        assert_eq!(config.device.id.as_deref(), Some("porch"));
        assert_eq!((config.video.width, config.video.height, config.video.fps), (640, 360, 15));
        assert_eq!(config.audio.source, "tone");
    }

    #[test]
    fn an_agent_that_could_not_be_asked_is_refused_with_words() {
        let error = Settings::new(&deployment("[telemetry]\nlisten = \"\""), PLACE).unwrap_err().to_string();
        assert!(error.contains("telemetry.listen") && error.contains("127.0.0.1:9464"), "{error}");
    }

    #[test]
    fn only_a_camera_can_be_pulled_out() {
        for (source, camera) in
            [("pattern", false), ("auto", true), ("v4l2:/dev/video0", true), ("file:/a", false)]
        {
            let settings =
                Settings::new(&deployment(&format!("[video]\nsource = \"{source}\"")), PLACE).unwrap();
            assert_eq!(settings.shows_camera(), camera, "{source}");
        }
    }
}
