//! `devices`: what the machine has: cameras with their formats, encoders, sound cards, GPIO lines.

use std::process::ExitCode;

use p2pcam_agent::{
    config::{Config, GpioConfig, VideoEncoderSpec},
    media::{
        audio,
        video::{self, CameraInfo, CameraMode, EncoderInfo, EncoderKind, VideoCodec},
    },
};
use serde::Serialize;

use super::{
    cli::DevicesArgs,
    gpio::{self, GpioChipRow, GpioRoleRow},
};

/// All that is listed.
#[derive(Debug, Default, Serialize)]
pub struct Devices {
    pub cameras: Vec<CameraRow>,
    pub encoders: Vec<EncoderRow>,
    pub sound_cards: Vec<SoundCardRow>,
    /// A control node that this user may not open, where that is why no card is listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_sound_card: Option<String>,
    pub gpio_chips: Vec<GpioChipRow>,
    /// What agent.toml names in [gpio].
    pub gpio_roles: Vec<GpioRoleRow>,
}

/// A camera.
#[derive(Debug, Serialize)]
pub struct CameraRow {
    /// What stands behind `v4l2:`.
    pub device: String,
    /// As the driver calls it.
    pub name: String,
    /// One line each, as in `MJPEG 1280x720 up to 30 fps`.
    pub formats: Vec<String>,
    /// What `[video.controls]` can set, one line each, as in `brightness: 0 to 255, default 128`.
    pub controls: Vec<String>,
}

/// A video encoder.
#[derive(Debug, Serialize)]
pub struct EncoderRow {
    /// For people: as in `openh264 (software)`; a word of `video.encoder` if the machine has none.
    pub name: String,
    /// As in `H.264`.
    pub codec: String,
    /// In hardware.
    pub hardware: bool,
    /// The machine has it.
    pub there: bool,
    /// What `video.encoder = "auto"` takes for raw pictures.
    pub chosen: bool,
    /// Why it is taken, or not.
    pub reason: String,
}

/// A sound card's PCM device.
#[derive(Debug, Serialize)]
pub struct SoundCardRow {
    /// What stands behind `alsa:`.
    pub device: String,
    /// As the driver calls it.
    pub name: String,
    /// Has a microphone or line input.
    pub captures: bool,
    /// Has a speaker or line output.
    pub plays: bool,
}

/// Prints a table for people, or JSON.
pub fn devices(args: &DevicesArgs) -> anyhow::Result<ExitCode> {
    // A configuration that is wrong must not hide the devices that would put it right.
    let config = super::load(args.file.config.as_deref(), &[]).map(|loaded| loaded.config);
    let config = config.unwrap_or_else(|error| {
        eprintln!("p2pcam-agent: {error:#}");
        Config::default()
    });
    let devices = collect(&config.gpio);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&devices)?);
    } else {
        print!("{}", table(&devices));
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks the media parts.
fn collect(config: &GpioConfig) -> Devices {
    let cameras = video::list_cameras().into_iter().filter(|camera| camera.capture);
    let encoders = video::encoders(&VideoEncoderSpec::Auto).into_iter();
    let cards = audio::list_sound_cards().into_iter();
    Devices {
        refused_sound_card: audio::forbidden().map(|node| node.display().to_string()),
        cameras: cameras.map(camera_row).collect(),
        encoders: encoders.map(encoder_row).collect(),
        sound_cards: cards
            .map(|card| SoundCardRow {
                device: card.id,
                name: card.name,
                captures: card.captures,
                plays: card.plays,
            })
            .collect(),
        gpio_chips: gpio::chips(),
        gpio_roles: gpio::roles(config),
    }
}

fn camera_row(camera: CameraInfo) -> CameraRow {
    let others = camera.other_formats.join(", ");
    let unusable = (!others.is_empty()).then(|| format!("not taken: {others}"));
    CameraRow {
        device: camera.path.display().to_string(),
        name: format!("{} ({})", camera.card, camera.driver),
        formats: camera.modes.iter().map(mode_words).chain(unusable).collect(),
        controls: camera.controls,
    }
}

fn mode_words(mode: &CameraMode) -> String {
    let size = format!("{:?} {}x{}", mode.format, mode.width, mode.height).to_uppercase().replace('X', "x");
    match mode.fps.iter().copied().reduce(f64::max) {
        Some(fps) => format!("{size} up to {fps:.0} fps"),
        None => size,
    }
}

fn encoder_row(encoder: EncoderInfo) -> EncoderRow {
    EncoderRow {
        name: encoder.name,
        codec: match encoder.codec {
            VideoCodec::H264 => "H.264".into(),
            VideoCodec::Vp8 => "VP8".into(),
        },
        hardware: encoder.kind == EncoderKind::Hardware,
        there: encoder.there,
        chosen: encoder.chosen,
        reason: encoder.reason,
    }
}

fn table(devices: &Devices) -> String {
    let mut text = String::from("Cameras\n");
    for camera in &devices.cameras {
        text += &format!("  v4l2:{}  {}\n", camera.device, camera.name);
        for format in &camera.formats {
            text += &format!("      {format}\n");
        }
        if !camera.controls.is_empty() {
            text += "      controls\n";
        }
        for control in &camera.controls {
            text += &format!("        {control}\n");
        }
    }
    if devices.cameras.is_empty() {
        text += "  none: `--video auto` shows the test pattern\n";
    }
    text += "\nEncoders\n";
    for encoder in &devices.encoders {
        let verdict = match (encoder.chosen, encoder.there) {
            (true, _) => "taken: ",
            (false, true) => "",
            (false, false) => "not taken: ",
        };
        text += &format!("  {}  {}, {verdict}{}\n", encoder.codec, encoder.name, encoder.reason);
    }
    if devices.encoders.is_empty() {
        text += "  none: only a source that is encoded already can be shown\n";
    }
    text += "\nSound cards\n";
    for card in &devices.sound_cards {
        let directions = match (card.captures, card.plays) {
            (true, true) => "microphone and speaker",
            (true, false) => "microphone",
            (false, true) => "speaker",
            (false, false) => "neither microphone nor speaker",
        };
        text += &format!("  alsa:{}  {} ({directions})\n", card.device, card.name);
    }
    if devices.sound_cards.is_empty() {
        text += &match &devices.refused_sound_card {
            Some(node) => format!("  this user may not open {node}: put it into the group `audio`\n"),
            None => "  none: `--audio auto` plays a tone, talk-back goes to the log\n".to_owned(),
        };
    }
    text += &gpio::table(&devices.gpio_chips, &devices.gpio_roles);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_hardware_is_told_what_happens_instead() {
        let text = table(&Devices::default());
        for words in ["shows the test pattern", "plays a tone"] {
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn each_device_is_printed_as_the_configuration_names_it() {
        let text = table(&Devices {
            cameras: vec![CameraRow {
                device: "/dev/video0".into(),
                name: "UVC Camera".into(),
                formats: vec!["YUYV 640x480 up to 30 fps".into()],
                controls: vec!["brightness: 0 to 255, default 128".into()],
            }],
            encoders: vec![EncoderRow {
                name: "openh264 (software)".into(),
                codec: "H.264".into(),
                hardware: false,
                there: true,
                chosen: true,
                reason: "nothing before it can be had".into(),
            }],
            refused_sound_card: None,
            sound_cards: vec![SoundCardRow {
                device: "plughw:CARD=Device,DEV=0".into(),
                name: "USB PnP".into(),
                captures: true,
                plays: false,
            }],
            ..Devices::default()
        });
        for line in [
            "  v4l2:/dev/video0  UVC Camera",
            "      YUYV 640x480 up to 30 fps",
            "        brightness: 0 to 255, default 128",
            "  H.264  openh264 (software), taken: nothing before it can be had",
            "  alsa:plughw:CARD=Device,DEV=0  USB PnP (microphone)",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
    }
}
