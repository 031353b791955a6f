//! The machine's sound cards.

use alsa::{Card, Ctl, Direction, card, ctl::DeviceIter};

use super::forbidden;

/// One PCM device of a sound card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoundCardInfo {
    /// What stands after `alsa:` in the configuration: `plughw:CARD=Device,DEV=0`.
    pub id: String,
    /// For people: "USB PnP Sound Device, USB Audio".
    pub name: String,
    /// It has a microphone or line input.
    pub captures: bool,
    /// It has a speaker or line output.
    pub plays: bool,
}

/// All PCM devices of all cards in the kernel's order; empty where the kernel has none, or
/// none that this user may open (see [`forbidden`]).
pub fn list_sound_cards() -> Vec<SoundCardInfo> {
    card::Iter::new().filter_map(Result::ok).flat_map(|card| devices(card).unwrap_or_default()).collect()
}

/// Why there is no card to take: none, or none that may be opened.
pub fn without_cards() -> String {
    match forbidden() {
        Some(node) => format!(
            "this user may not open {}: put it into the group `audio`, sudo usermod -aG audio USER",
            node.display()
        ),
        None => "no sound card was found".into(),
    }
}

fn devices(card: Card) -> alsa::Result<Vec<SoundCardInfo>> {
    let control = Ctl::from_card(&card, true)?;
    let info = control.card_info()?;
    let (id, card_name) = (info.get_id()?, info.get_name()?);
    let mut found = Vec::new();
    for device in DeviceIter::new(&control) {
        // An error here says that the device has no such direction.
        let capture = control.pcm_info(device as u32, 0, Direction::Capture);
        let playback = control.pcm_info(device as u32, 0, Direction::Playback);
        let name = [&capture, &playback]
            .into_iter()
            .flatten()
            .find_map(|info| info.get_name().ok().map(str::to_owned))
            .unwrap_or_default();
        found.push(SoundCardInfo {
            // The plug layer converts formats that the card alone would refuse.
            id: format!("plughw:CARD={id},DEV={device}"),
            name: if name.is_empty() { card_name.to_owned() } else { format!("{card_name}, {name}") },
            captures: capture.is_ok(),
            plays: playback.is_ok(),
        });
    }
    Ok(found)
}
