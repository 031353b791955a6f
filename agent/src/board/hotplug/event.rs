//! One message of the kernel's or udev's uevent socket, taken apart.

/// Begins udev's messages; the kernel's begin with the action.
const UDEV_PREFIX: &[u8] = b"libudev\0";
/// In network byte order, so that a message of another version or machine is told.
const UDEV_MAGIC: u32 = 0xfeed_cafe;

/// What happened to a device (kernel: lib/kobject_uevent.c, `kobject_actions`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is there. From udev: and its node has its group and mode.
    Add,
    /// It is gone.
    Remove,
    /// Something about it is different.
    Change,
    /// A driver has taken it.
    Bind,
    /// A driver has left it.
    Unbind,
    /// `move`, `online`, `offline`, or what later kernels say.
    Other,
    /// Never in a message: the socket's buffer ran over and events were lost, so whatever is waited for may have
    /// happened.
    Lost,
}

/// A device came, went or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub action: Action,
    /// The kernel's name for its kind: `video4linux`, `sound`, `gpio`. Empty in [`Action::Lost`].
    pub subsystem: String,
    /// Its node below /dev, as in `video0` or `snd/controlC1`; not all devices have one.
    pub devname: Option<String>,
}

impl Event {
    /// Events were lost.
    pub(super) fn lost() -> Self {
        Self { action: Action::Lost, subsystem: String::new(), devname: None }
    }
}

/// Reads a message in either form; None if it is neither or names no subsystem.
///
/// - Kernel: `add@/devices/...`, then `KEY=VALUE`, each ended by a zero byte (lib/kobject_uevent.c).
/// - udev: the header of `struct monitor_netlink_header` (systemd, src/libsystemd/sd-device/device-monitor.c), then
///   `KEY=VALUE` in the same way, where the header says.
pub fn parse(message: &[u8]) -> Option<Event> {
    let properties = match message.strip_prefix(UDEV_PREFIX) {
        Some(header) => udev_properties(message, header)?,
        None => kernel_properties(message)?,
    };
    let mut action = None;
    let mut subsystem = None;
    let mut devname = None;
    for line in properties.split(|byte| *byte == 0) {
        let Some((key, value)) = std::str::from_utf8(line).ok().and_then(|line| line.split_once('=')) else {
            continue;
        };
        match key {
            "ACTION" => action = Some(action_of(value)),
            "SUBSYSTEM" => subsystem = Some(value.to_owned()),
            // The kernel names the node below /dev, udev its whole path.
            "DEVNAME" => devname = Some(value.strip_prefix("/dev/").unwrap_or(value).to_owned()),
            _ => {}
        }
    }
    Some(Event { action: action?, subsystem: subsystem?, devname })
}

fn kernel_properties(message: &[u8]) -> Option<&[u8]> {
    let end = message.iter().position(|byte| *byte == 0)?;
    let (head, properties) = message.split_at(end);
    head.contains(&b'@').then_some(properties)
}

/// `header` is what follows the prefix: magic, size of the header, offset and length of the properties, 32 bits each,
/// all but the magic in the machine's own byte order.
fn udev_properties<'a>(message: &'a [u8], header: &[u8]) -> Option<&'a [u8]> {
    let word = |index: usize| header.get(index * 4..)?.first_chunk::<4>().copied();
    if u32::from_be_bytes(word(0)?) != UDEV_MAGIC {
        return None;
    }
    let offset = usize::try_from(u32::from_ne_bytes(word(2)?)).ok()?;
    let length = usize::try_from(u32::from_ne_bytes(word(3)?)).ok()?;
    message.get(offset..)?.get(..length)
}

fn action_of(word: &str) -> Action {
    match word {
        "add" => Action::Add,
        "remove" => Action::Remove,
        "change" => Action::Change,
        "bind" => Action::Bind,
        "unbind" => Action::Unbind,
        _ => Action::Other,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KERNEL: &[u8] = b"add@/devices/platform/vivid.0/video4linux/video0\0ACTION=add\0\
        DEVPATH=/devices/platform/vivid.0/video4linux/video0\0SUBSYSTEM=video4linux\0MAJOR=81\0MINOR=0\0\
        DEVNAME=video0\0SEQNUM=1431\0";

    fn udev(properties: &[u8]) -> Vec<u8> {
        let mut message = UDEV_PREFIX.to_vec();
        message.extend(UDEV_MAGIC.to_be_bytes());
        for word in [40, 40, properties.len() as u32] {
            message.extend(word.to_ne_bytes());
        }
        // Hashes for socket filters, of no use here.
        message.extend([0xa5; 16]);
        message.extend(properties);
        message
    }

    #[test]
    fn the_kernels_form_is_read() {
        let event = parse(KERNEL).unwrap();
        assert_eq!(event.action, Action::Add);
        assert_eq!(event.subsystem, "video4linux");
        assert_eq!(event.devname.as_deref(), Some("video0"));
    }

    #[test]
    fn udevs_form_is_read_and_the_node_is_named_as_the_kernel_does() {
        let message =
            udev(b"ACTION=remove\0SUBSYSTEM=sound\0DEVNAME=/dev/snd/controlC1\0USEC_INITIALIZED=7\0");
        let event = parse(&message).unwrap();
        assert_eq!(event.action, Action::Remove);
        assert_eq!(event.subsystem, "sound");
        assert_eq!(event.devname.as_deref(), Some("snd/controlC1"));
    }

    #[test]
    fn a_device_without_a_node_and_an_unknown_action_are_events_too() {
        let event = parse(b"online@/devices/system/cpu/cpu1\0ACTION=online\0SUBSYSTEM=cpu\0").unwrap();
        assert_eq!(event, Event { action: Action::Other, subsystem: "cpu".into(), devname: None });
    }

    #[test]
    fn what_is_neither_form_is_nothing() {
        let mut other_magic = udev(b"ACTION=add\0SUBSYSTEM=sound\0");
        other_magic[8] = 0;
        let mut beyond = udev(b"ACTION=add\0SUBSYSTEM=sound\0");
        beyond[16..20].copy_from_slice(&u32::MAX.to_ne_bytes());
        let refused: [&[u8]; 6] = [b"", b"add", b"libudev\0", b"add@/x\0ACTION=add\0", &other_magic, &beyond];
        for message in refused {
            assert_eq!(parse(message), None, "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, cut in 0usize..200) {
            let _ = parse(&bytes);
            let _ = parse(&udev(&bytes));
            let _ = parse(&KERNEL[..cut.min(KERNEL.len())]);
            let _ = parse(&[UDEV_PREFIX, &bytes].concat());
        }
    }
}
