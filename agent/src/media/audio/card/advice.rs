//! What a technician can do about a sound card that does not open.

use std::{fs, io::ErrorKind, path::PathBuf};

use alsa::Direction;

use super::owner;

/// What helps when a device does not open, by its error number.
pub fn opening(device: &str, direction: Direction, errno: i32) -> String {
    // alsa-lib finds a card by opening its control node; where it may not, it says that there is no such card.
    let unseen = matches!(errno, libc::ENOENT | libc::ENODEV | libc::ENXIO).then(forbidden).flatten();
    match (errno, unseen) {
        (libc::EACCES | libc::EPERM, _) => {
            "no permission; put the agent's user into the group `audio`: sudo usermod -aG audio USER".into()
        }
        (_, Some(node)) => format!(
            "no permission to open {}; put the agent's user into the group `audio`: sudo usermod -aG audio USER",
            node.display()
        ),
        (libc::EBUSY, _) => match owner::of(device, direction) {
            Some(owner) => {
                format!("{owner} holds it; stop that, or name a shared device as `alsa:default`")
            }
            None => "another program holds it; stop that, or name a shared device as `alsa:default`".into(),
        },
        (libc::EINVAL, _) => {
            "ALSA does not understand this name; `p2pcam-agent devices` lists those that there are".into()
        }
        (libc::ENOENT | libc::ENODEV | libc::ENXIO, _) => {
            let way = if direction == Direction::Capture { "captures" } else { "plays" };
            format!(
                "there is no such device that {way}; is it plugged in? `p2pcam-agent devices` lists what there is"
            )
        }
        _ => "is it plugged in? `p2pcam-agent devices` lists what there is, and dmesg may say more".into(),
    }
}

/// What helps when a device opens and refuses every setting.
pub fn terms(device: &str, errno: i32) -> String {
    match errno {
        libc::EBUSY => {
            "another program just took it; stop that, or name a shared device as `alsa:default`".into()
        }
        _ => format!("it has no format that can be converted; write alsa:plug:'{device}'"),
    }
}

/// The first control node that is there and may not be opened, if there is none that may.
pub fn forbidden() -> Option<PathBuf> {
    let nodes = fs::read_dir("/dev/snd").ok()?.flatten();
    let controls = nodes.filter(|node| node.file_name().to_string_lossy().starts_with("controlC"));
    let mut refused = None;
    for node in controls {
        match fs::File::open(node.path()) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                refused.get_or_insert(node.path());
            }
            _ => return None,
        }
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_its_next_step() {
        let said = |errno| opening("hw:CARD=NoSuchCard", Direction::Capture, errno);
        assert!(said(libc::EBUSY).contains("another program holds it"));
        assert!(said(libc::EACCES).contains("group `audio`"));
        assert!(said(libc::ENODEV).contains("p2pcam-agent devices"));
        assert!(said(libc::EINVAL).contains("does not understand"));
        assert!(said(libc::EIO).contains("dmesg"));
        assert!(terms("hw:0", libc::EINVAL).contains("alsa:plug:'hw:0'"));
        assert!(terms("hw:0", libc::EBUSY).contains("another program"));
    }
}
