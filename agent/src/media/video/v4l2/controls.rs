//! A device's controls: brightness, exposure, bit rate, force key frame.

use std::os::fd::AsFd;

use super::{
    abi,
    device::{Device, text},
    error::{Error, Result},
    ioctl::{self, Plain},
};

/// Controls that are listed at most: a driver whose list has no end is not followed further.
const MAX_LISTED: usize = 1024;
/// Entries of a menu that are read at most.
const MAX_MENU: i64 = 64;

/// What a control's value is (`enum v4l2_ctrl_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlKind {
    /// A number.
    Integer,
    /// 0 or 1.
    Boolean,
    /// One of named choices.
    Menu,
    /// Sets something off; its value means nothing.
    Button,
    /// A number of 64 bits.
    Integer64,
    /// Bits.
    Bitmask,
    /// One of a list of numbers, by its index.
    IntegerMenu,
    /// Text or structs, which the agent does not set.
    Other,
}

/// A control, as the driver describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// `V4L2_CID_*`
    pub id: u32,
    /// The driver's name in lower case with `_` for what is no letter or digit: "auto_exposure", as v4l2-ctl has it.
    pub name: String,
    /// What its value is.
    pub kind: ControlKind,
    /// Least value.
    pub min: i64,
    /// Largest value.
    pub max: i64,
    /// From one value to the next, at least 1.
    pub step: u64,
    /// What the driver starts with.
    pub default: i64,
    /// It can be set at all.
    pub writable: bool,
    /// Without effect just now, as another control (an automatic) is in charge.
    pub inactive: bool,
}

impl Device {
    /// All controls that are numbers, in the order of their identifiers.
    pub fn controls(&self) -> Result<Vec<Control>> {
        let mut controls = Vec::new();
        let mut id = 0;
        while controls.len() < MAX_LISTED {
            match self.query(id | abi::CTRL_FLAG_NEXT_CTRL) {
                // A driver that goes back would be followed for ever.
                Ok(query) if query.id > id => {
                    id = query.id;
                    controls.extend(described(&query));
                }
                Err(error) if error.errno != libc::EINVAL && error.errno != libc::ENOTTY => {
                    return Err(error);
                }
                _ => break,
            }
        }
        Ok(controls)
    }

    /// A control by its identifier; `None` if the device has it not.
    pub fn find_control(&self, id: u32) -> Result<Option<Control>> {
        match self.query(id) {
            Ok(query) => Ok(described(&query)),
            Err(error) if error.errno == libc::EINVAL || error.errno == libc::ENOTTY => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn query(&self, id: u32) -> Result<abi::QueryExtCtrl> {
        let mut query = abi::QueryExtCtrl { id, ..Plain::zeroed() };
        self.call(&ioctl::QUERY_EXT_CTRL, &mut query)?;
        Ok(query)
    }

    /// The choices of a menu: value and name, or the number that an integer menu's entry stands for.
    pub fn menu(&self, control: &Control) -> Vec<(i64, String)> {
        let entries = control.min..=control.max.min(control.min.saturating_add(MAX_MENU));
        let named = |value: i64| {
            let index = u32::try_from(value).ok()?;
            let mut menu = abi::QueryMenu { id: control.id, index, ..Plain::zeroed() };
            // Not every value between least and largest is one.
            self.call(&ioctl::QUERYMENU, &mut menu).ok()?;
            let name = match control.kind {
                ControlKind::Menu => text(&menu.body),
                ControlKind::IntegerMenu => i64::from_ne_bytes(menu.body.first_chunk().copied()?).to_string(),
                _ => return None,
            };
            Some((value, name))
        };
        entries.filter_map(named).collect()
    }

    /// A control's value, of at most 32 bits.
    pub fn control(&self, id: u32) -> Result<i32> {
        let mut control = abi::Control { id, value: 0 };
        self.call(&ioctl::G_CTRL, &mut control)?;
        Ok(control.value)
    }

    /// Sets a control of at most 32 bits; returns what the driver took, which may be rounded. ERANGE if it is out of
    /// range, EBUSY if it cannot be changed just now, EINVAL if the device has it not.
    pub fn set_control(&self, id: u32, value: i32) -> Result<i32> {
        let mut control = abi::Control { id, value };
        self.call(&ioctl::S_CTRL, &mut control)?;
        Ok(control.value)
    }

    /// Pushes a button: "force key frame".
    pub fn push_button(&self, id: u32) -> Result<()> {
        self.set_control(id, 1).map(drop)
    }

    /// The value of a control of any kind.
    pub fn value(&self, control: &Control) -> Result<i64> {
        if control.kind != ControlKind::Integer64 {
            return self.control(control.id).map(|value| wide(control, value));
        }
        let mut entry = abi::ExtControl { id: control.id, ..Plain::zeroed() };
        ioctl::ext_control(self.as_fd(), &ioctl::G_EXT_CTRLS, &mut entry)?;
        Ok(entry.value64)
    }

    /// Sets a control of any kind but [`ControlKind::Other`]; returns what the driver took.
    pub fn set_value(&self, control: &Control, value: i64) -> Result<i64> {
        if control.kind != ControlKind::Integer64 {
            let bits = i32::try_from(value).ok().or_else(|| Some(u32::try_from(value).ok()? as i32));
            let bits = bits.ok_or(Error::new(ioctl::S_CTRL.name, libc::ERANGE))?;
            return self.set_control(control.id, bits).map(|value| wide(control, value));
        }
        let mut entry = abi::ExtControl { id: control.id, value64: value, ..Plain::zeroed() };
        ioctl::ext_control(self.as_fd(), &ioctl::S_EXT_CTRLS, &mut entry)?;
        Ok(entry.value64)
    }
}

/// Bit masks are unsigned.
fn wide(control: &Control, value: i32) -> i64 {
    if control.kind == ControlKind::Bitmask { i64::from(value as u32) } else { value.into() }
}

/// `None` of a heading or a control that is switched off.
fn described(query: &abi::QueryExtCtrl) -> Option<Control> {
    let kind = match query.type_ {
        1 => ControlKind::Integer,
        2 => ControlKind::Boolean,
        3 => ControlKind::Menu,
        4 => ControlKind::Button,
        5 => ControlKind::Integer64,
        6 => return None,
        8 => ControlKind::Bitmask,
        9 => ControlKind::IntegerMenu,
        _ => ControlKind::Other,
    };
    let flags = query.flags;
    // Arrays are no single numbers.
    let kind = if query.nr_of_dims > 0 { ControlKind::Other } else { kind };
    (flags & abi::CTRL_FLAG_DISABLED == 0).then(|| Control {
        id: query.id,
        name: normalised(&text(&query.name)),
        kind,
        min: query.minimum,
        max: query.maximum,
        step: query.step.max(1),
        default: query.default_value,
        writable: flags & (abi::CTRL_FLAG_READ_ONLY | abi::CTRL_FLAG_GRABBED) == 0
            && kind != ControlKind::Other,
        inactive: flags & abi::CTRL_FLAG_INACTIVE != 0,
    })
}

/// A control's name as v4l2-ctl has it: "Exposure Time, Absolute" is "exposure_time_absolute".
pub fn normalised(name: &str) -> String {
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let first = words.next().unwrap_or_default().to_ascii_lowercase();
    words.fold(first, |name, word| name + "_" + &word.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_v4l2_ctl() {
        assert_eq!(normalised("Brightness"), "brightness");
        assert_eq!(normalised("Exposure Time, Absolute"), "exposure_time_absolute");
        assert_eq!(normalised("White Balance, Auto & Preset"), "white_balance_auto_preset");
        assert_eq!(normalised("Integer 32 Bits"), "integer_32_bits");
        assert_eq!(normalised(" (x) "), "x");
        assert_eq!(normalised(""), "");
    }

    #[test]
    fn headings_and_disabled_controls_are_left_out_and_arrays_cannot_be_set() {
        let query = |type_, flags, nr_of_dims| abi::QueryExtCtrl {
            id: 9,
            type_,
            flags,
            nr_of_dims,
            ..Plain::zeroed()
        };
        assert_eq!(described(&query(6, 0, 0)), None);
        assert_eq!(described(&query(1, abi::CTRL_FLAG_DISABLED, 0)), None);
        let writable = |query: &abi::QueryExtCtrl| described(query).map(|control| control.writable);
        assert_eq!(writable(&query(1, 0, 0)), Some(true));
        assert_eq!(writable(&query(1, abi::CTRL_FLAG_READ_ONLY, 0)), Some(false));
        assert_eq!(writable(&query(1, 0, 1)), Some(false));
    }
}
