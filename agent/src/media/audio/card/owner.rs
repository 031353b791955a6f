//! Who holds a busy PCM device, from the kernel's /proc/asound (Documentation/sound/designs/procfile.rst).

use std::{fs, path::Path};

use alsa::Direction;

/// "process 812 (arecord)" for a name that says card and device; None where the kernel does not tell.
pub fn of(device: &str, direction: Direction) -> Option<String> {
    let (card, number) = place(device)?;
    let card = match card.parse::<u32>() {
        Ok(index) => format!("card{index}"),
        // A link from the card's id to its number.
        Err(_) => card.to_owned(),
    };
    let way = if direction == Direction::Capture { 'c' } else { 'p' };
    let folder = Path::new("/proc/asound").join(card).join(format!("pcm{number}{way}"));
    let subdevices = fs::read_dir(folder).ok()?.flatten();
    let pid = subdevices
        .filter_map(|entry| owner_pid(&fs::read_to_string(entry.path().join("status")).ok()?))
        .next()?;
    Some(match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("process {pid} ({})", name.trim()),
        Err(_) => format!("process {pid}"),
    })
}

/// Card and device number of `hw:CARD=Device,DEV=0`, `plughw:1,0`, `hw:Device` and the like.
fn place(device: &str) -> Option<(&str, u32)> {
    let (_, arguments) = device.split_once(':')?;
    let mut parts = arguments.split(',');
    let card = parts.next()?;
    let card = card.strip_prefix("CARD=").unwrap_or(card);
    let number =
        parts.next().map_or(Some(0), |part| part.strip_prefix("DEV=").unwrap_or(part).parse().ok())?;
    let plain = !card.is_empty() && card.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    plain.then_some((card, number))
}

/// The line `owner_pid   : 812` of a subdevice's status.
fn owner_pid(status: &str) -> Option<u32> {
    let line = status.lines().find(|line| line.starts_with("owner_pid"))?;
    line.split_once(':')?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_and_device_are_found_in_the_usual_names() {
        assert_eq!(place("plughw:CARD=Device,DEV=1"), Some(("Device", 1)));
        assert_eq!(place("hw:1,3"), Some(("1", 3)));
        assert_eq!(place("hw:Loopback"), Some(("Loopback", 0)));
        for strange in ["default", "hw:", "hw:../x,0", "hw:1,x", "plug:'hw:1,0'"] {
            assert_eq!(place(strange), None, "{strange}");
        }
    }

    #[test]
    fn the_owner_is_in_the_status() {
        let status = "state: RUNNING\nowner_pid   : 812\ntrigger_time: 5.1\n";
        assert_eq!(owner_pid(status), Some(812));
        assert_eq!(owner_pid("closed\n"), None);
    }
}
