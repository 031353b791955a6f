//! The controls of a camera that the configuration sets: brightness, exposure, white balance.

use std::collections::BTreeMap;

use crate::media::video::v4l2::{Control, ControlKind, Device, Error};

/// Sets what is wanted by name; what cannot be set is left alone. Returns what went wrong, in words.
///
/// A control that is refused is tried once more after all others: it may depend on one of them, as an exposure time
/// does on the automatic being off.
pub fn apply(device: &Device, wanted: &BTreeMap<String, i64>) -> Vec<String> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let offered = match device.controls() {
        Ok(offered) => offered,
        Err(error) => return vec![format!("the camera cannot be asked for its controls: {error}")],
    };
    let mut remarks = Vec::new();
    let mut refused = Vec::new();
    for (name, value) in wanted {
        match find(&offered, name).and_then(|control| check(device, control, *value)) {
            Ok(control) if device.set_value(control, *value).is_err() => refused.push((control, *value)),
            Ok(_) => {}
            Err(words) => remarks.push(words),
        }
    }
    for (control, value) in refused {
        if let Err(error) = device.set_value(control, value) {
            remarks.push(refusal(control, value, error));
        }
    }
    remarks
}

fn find<'a>(offered: &'a [Control], name: &str) -> Result<&'a Control, String> {
    let settable = |control: &&Control| control.writable && control.kind != ControlKind::Button;
    offered.iter().find(|control| control.name == name).ok_or_else(|| {
        let names: Vec<_> = offered.iter().filter(settable).map(|control| control.name.as_str()).collect();
        match names.as_slice() {
            [] => format!("video.controls.{name}: the camera has no controls"),
            names => {
                format!("video.controls.{name}: the camera has no such control, but {}", names.join(", "))
            }
        }
    })
}

fn check<'a>(device: &Device, control: &'a Control, value: i64) -> Result<&'a Control, String> {
    let &Control { ref name, kind, min, max, writable, .. } = control;
    let wrong = |why: String| Err(format!("video.controls.{name} is {value}: {why}"));
    if kind == ControlKind::Button || kind == ControlKind::Other {
        return wrong("the camera's control of this name takes no number".into());
    }
    if !writable {
        return wrong("the camera lets it be read only".into());
    }
    if !(min..=max).contains(&value) && kind != ControlKind::Bitmask {
        return wrong(format!("allowed is {min} to {max}"));
    }
    if matches!(kind, ControlKind::Menu | ControlKind::IntegerMenu) {
        let menu = device.menu(control);
        if !menu.iter().any(|(choice, _)| *choice == value) {
            let choices: Vec<_> = menu.iter().map(|(choice, words)| format!("{choice} ({words})")).collect();
            return wrong(format!("allowed is {}", choices.join(", ")));
        }
    }
    Ok(control)
}

fn refusal(control: &Control, value: i64, error: Error) -> String {
    let name = &control.name;
    let why = match error.errno {
        libc::EACCES | libc::EBUSY => {
            "an automatic of the camera is in charge of it: switch that off too".into()
        }
        _ => error.to_string(),
    };
    format!("video.controls.{name} is {value}: {why}")
}

/// A control for `devices`: "brightness 0 to 255, now 128".
pub fn describe(device: &Device) -> Vec<String> {
    let settable = |control: &Control| control.writable && control.kind != ControlKind::Button;
    let words = |control: Control| {
        let Control { name, min, max, default, .. } = &control;
        let choices: Vec<_> =
            device.menu(&control).into_iter().map(|(value, words)| format!("{value} = {words}")).collect();
        if choices.is_empty() {
            format!("{name}: {min} to {max}, default {default}")
        } else {
            format!("{name}: {}, default {default}", choices.join(", "))
        }
    };
    device.controls().unwrap_or_default().into_iter().filter(settable).map(words).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;

    fn control(name: &str, kind: ControlKind, writable: bool) -> Control {
        let (min, max, step, default) = (-10, 10, 1, 0);
        Control { id: 1, name: name.into(), kind, min, max, step, default, writable, inactive: false }
    }

    #[test]
    fn a_control_that_the_camera_has_not_is_named_with_those_that_it_has() {
        let offered = [
            control("brightness", ControlKind::Integer, true),
            control("restart", ControlKind::Button, true),
        ];
        assert_eq!(find(&offered, "brightness").map(|control| control.id), Ok(1));
        let words = find(&offered, "brightnes").unwrap_err();
        assert!(words.ends_with("no such control, but brightness"), "{words}");
        assert!(find(&[], "gain").unwrap_err().ends_with("no controls"));
    }

    #[test]
    fn a_value_out_of_range_is_told_with_the_range() {
        let device = Device::open(Path::new("/dev/null")).unwrap();
        let words = |control: &Control, value| check(&device, control, value).map(drop);
        let number = control("gain", ControlKind::Integer, true);
        assert_eq!(words(&number, 10), Ok(()));
        assert_eq!(words(&number, 11), Err("video.controls.gain is 11: allowed is -10 to 10".into()));
        assert!(words(&control("gain", ControlKind::Integer, false), 1).unwrap_err().contains("read only"));
        assert!(words(&control("gain", ControlKind::Button, true), 1).unwrap_err().contains("no number"));
    }
}
