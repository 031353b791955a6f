//! Whether this user may open the camera and the sound card that the configuration asks for.

use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use alsa::Direction;
use p2pcam_agent::media::{
    audio::try_open,
    video::{EncoderInfo, VideoCodec},
};

use super::{finding::Finding, state};

/// What `video.source` needs.
pub fn video(source: &str) -> Finding {
    let what = "camera";
    if let Some(path) = source.strip_prefix("file:") {
        return state::file("video.source", Path::new(path), false);
    }
    if let Some(device) = source.strip_prefix("v4l2:") {
        let device = Path::new(device);
        return match open(device) {
            Ok(()) => Finding::ok(what, format!("{} can be opened", device.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => Finding::fail(
                what,
                format!("{} is not there", device.display()),
                "plug it in; `p2pcam-agent devices` lists what there is",
            ),
            Err(error) => refused(what, device, &error),
        };
    }
    if source != "auto" {
        return Finding::ok(what, format!("none needed: video.source is {source}"));
    }
    let found = nodes(Path::new("/dev"), |name| numbered(name, "video"));
    let Some(first) = found.first() else {
        return Finding::warn(
            what,
            "none: the test pattern is shown instead",
            "plug a camera in, or set video.source to \"pattern\" if this is meant",
        );
    };
    match found.iter().find(|device| open(device).is_ok()) {
        Some(device) => Finding::ok(what, format!("{} can be opened", device.display())),
        None => match open(first) {
            Err(error) => refused(what, first, &error),
            Ok(()) => Finding::ok(what, format!("{} can be opened", first.display())),
        },
    }
}

/// What makes H.264 of raw pictures, of the encoders that were looked for.
pub fn encoder(source: &str, encoders: &[EncoderInfo]) -> Finding {
    let what = "encoder";
    if let Some(taken) = encoders.iter().find(|it| it.chosen && it.codec == VideoCodec::H264) {
        return Finding::ok(what, format!("{} ({})", taken.name, taken.reason));
    }
    let whose = match source.starts_with("pattern") {
        true => "the test pattern is of raw pictures, and viewers get none of them",
        false => "pictures come only from a source that gives H.264 itself",
    };
    Finding::warn(
        what,
        format!("none on this board, and none built in: {whose}"),
        "take a camera that encodes, or a build with the feature openh264 (docs/releases.md)",
    )
}

/// What `audio.source` and `audio.sink` need: a file, and the right to use sound cards.
pub fn audio(source: &str, sink: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(path) = source.strip_prefix("file:") {
        findings.push(state::file("audio.source", Path::new(path), false));
    }
    let named = [source, sink].iter().any(|name| name.starts_with("alsa:"));
    if !named && source != "auto" && sink != "auto" {
        return findings;
    }
    for (key, name, direction) in
        [("audio.source", source, Direction::Capture), ("audio.sink", sink, Direction::Playback)]
    {
        findings.extend(name.strip_prefix("alsa:").map(|device| pcm(key, device, direction)));
    }
    let what = "sound card";
    // The control device: unlike the PCM devices it is never busy.
    let found = nodes(Path::new("/dev/snd"), |name| numbered(name, "controlC"));
    findings.push(match found.first() {
        None if named => Finding::warn(
            what,
            "the kernel has none; an ALSA device of software, as of a sound server, may still work",
            "`p2pcam-agent devices` lists what there is; without microphone or speaker set audio.source and \
             audio.sink to \"none\"",
        ),
        None => Finding::warn(
            what,
            "none: a tone is played to viewers, and what they say goes to the log",
            "plug one in, or set audio.source and audio.sink to \"none\" if this is meant",
        ),
        Some(first) => match found.iter().find(|device| open(device).is_ok()) {
            Some(device) => Finding::ok(what, format!("{} can be opened", device.display())),
            None => match open(first) {
                Err(error) => refused(what, first, &error),
                Ok(()) => Finding::ok(what, format!("{} can be opened", first.display())),
            },
        },
    });
    findings
}

/// Whether a sound device that is named opens in its direction; it is closed again at once.
fn pcm(key: &str, device: &str, direction: Direction) -> Finding {
    match try_open(device, direction) {
        Ok(()) => Finding::ok(key, format!("{device} opens")),
        Err(error) => {
            let busy =
                error.root_cause().downcast_ref().is_some_and(|e: &alsa::Error| e.errno() == libc::EBUSY);
            let text = format!("{error:#}");
            if busy {
                Finding::warn(key, text, "nothing to do if it is this agent's own service that holds it")
            } else {
                Finding::fail(key, text, format!("set {key} to a device that `p2pcam-agent devices` lists"))
            }
        }
    }
}

fn refused(what: &str, device: &Path, error: &io::Error) -> Finding {
    let shown = device.display();
    if error.kind() == ErrorKind::PermissionDenied {
        let group = group_of(device).unwrap_or_else(|| "that owns it".into());
        return Finding::fail(
            what,
            format!("{shown} is there, but this user may not open it"),
            format!("add the user to group {group}: sudo usermod -aG {group} USER, then log in again"),
        );
    }
    if error.raw_os_error() == Some(libc::EBUSY) {
        return Finding::warn(
            what,
            format!("{shown} is in use"),
            format!("if not by this agent, find the other program: sudo fuser -v {shown}"),
        );
    }
    Finding::fail(what, format!("{shown}: {error}"), "unplug it and plug it in again; dmesg may say more")
}

fn open(device: &Path) -> io::Result<()> {
    // Without O_NONBLOCK a driver may wait for a device that sleeps.
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(device).map(drop)
}

/// The name of the group that owns a device node.
fn group_of(device: &Path) -> Option<String> {
    let id = fs::metadata(device).ok()?.gid();
    group_name(&fs::read_to_string("/etc/group").ok()?, id).map(str::to_owned)
}

/// The name behind a number in group(5).
pub fn group_name(groups: &str, id: u32) -> Option<&str> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then_some(name)
    })
}

/// The nodes in a folder, in the order of their numbers.
fn nodes(folder: &Path, number: impl Fn(&str) -> Option<u32>) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> =
        entries.filter_map(|entry| Some((number(entry.file_name().to_str()?)?, entry.path()))).collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

fn numbered(name: &str, prefix: &str) -> Option<u32> {
    name.strip_prefix(prefix)?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use p2pcam_agent::media::video::EncoderKind;

    use super::*;
    use crate::commands::check::finding::Level;

    #[test]
    fn a_camera_that_is_not_there_is_a_failure_when_it_is_named() {
        let finding = video("v4l2:/dev/no-such-camera");
        assert_eq!(finding.level, Level::Fail);
        assert!(finding.advice.contains("p2pcam-agent devices"), "{finding}");
    }

    #[test]
    fn the_test_pattern_and_a_tone_need_no_device() {
        assert_eq!(video("pattern").level, Level::Ok);
        assert_eq!(audio("tone", "log"), []);
    }

    #[test]
    fn raw_pictures_need_an_encoder() {
        let encoder_of = |chosen| EncoderInfo {
            name: "openh264 (software)".into(),
            codec: VideoCodec::H264,
            kind: EncoderKind::Software,
            there: chosen,
            chosen,
            reason: "built in, or not".into(),
        };
        assert_eq!(encoder("pattern", &[encoder_of(true)]).level, Level::Ok);
        let finding = encoder("pattern", &[encoder_of(false)]);
        assert_eq!(finding.level, Level::Warn);
        assert!(
            finding.detail.contains("viewers get none") && finding.advice.contains("openh264"),
            "{finding}"
        );
        assert!(encoder("auto", &[]).detail.contains("gives H.264 itself"));
    }

    #[test]
    fn a_file_to_play_must_be_there() {
        assert_eq!(video("file:/no/such.mp4").level, Level::Fail);
        assert_eq!(audio("file:/no/such.wav", "none")[0].level, Level::Fail);
    }

    #[test]
    fn a_sound_device_that_is_not_there_is_a_failure_when_it_is_named() {
        let findings = audio("alsa:hw:CARD=NoSuchCard", "log");
        assert_eq!(findings[0].level, Level::Fail);
        assert!(findings[0].advice.contains("p2pcam-agent devices"), "{}", findings[0]);
    }

    #[test]
    fn a_device_that_is_refused_names_its_group() {
        let denied = io::Error::from(ErrorKind::PermissionDenied);
        let finding = refused("camera", Path::new("/dev/null"), &denied);
        let group = group_of(Path::new("/dev/null")).unwrap();
        assert!(finding.advice.contains(&format!("usermod -aG {group} USER")), "{finding}");
    }

    #[test]
    fn a_group_is_found_by_its_number() {
        let groups = "root:x:0:\nvideo:x:44:camera\nbroken\nx:y\n";
        assert_eq!(group_name(groups, 44), Some("video"));
        assert_eq!(group_name(groups, 4), None);
    }

    #[test]
    fn nodes_come_in_the_order_of_their_numbers() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["video10", "video2", "video", "videox", "vbi0"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let names = nodes(dir.path(), |name| numbered(name, "video"));
        assert_eq!(names, [dir.path().join("video2"), dir.path().join("video10")]);
    }
}
