//! Lines of a Raspberry Pi's own header by rppal, which writes the registers themselves.
//!
//! Only the SoC's chip: an expander on a Raspberry Pi is reached as on every board, and so is the header where the
//! kernel gives no /dev/gpiomem.

use std::{
    fs,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, anyhow};
use rppal::gpio::{Gpio, InputPin, Level, OutputPin, Trigger};
use rustix::event::{EventfdFlags, eventfd};

use super::line::{Found, Input, Output};
use crate::config::Bias;

/// Labels of the header's chip: Raspberry Pi 1 to 3, 4, 5.
const HEADERS: [&str; 3] = ["pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"];

/// Whether this board is a Raspberry Pi, by its device tree.
pub fn is_raspberry_pi() -> bool {
    fs::read_to_string("/proc/device-tree/model").is_ok_and(|model| model.starts_with("Raspberry Pi"))
}

/// rppal's door, if the line is behind it.
pub fn gpio(found: &Found) -> Option<Gpio> {
    if !HEADERS.contains(&found.label.as_str()) || !is_raspberry_pi() {
        return None;
    }
    Gpio::new()
        .inspect_err(|error| {
            tracing::debug!("{found} is used through the kernel, because rppal cannot: {error}");
        })
        .ok()
}

fn pin(gpio: &Gpio, found: &Found) -> anyhow::Result<rppal::gpio::Pin> {
    let number = u8::try_from(found.offset).context("the header has no such line")?;
    gpio.get(number).map_err(|error| anyhow!("{}: {error}", found.spec))
}

fn level(found: &Found, active: bool) -> Level {
    if active == found.spec.active_low { Level::Low } else { Level::High }
}

/// An output of the header; becomes an input again when it is dropped.
pub struct PiOutput {
    pin: OutputPin,
    found: Found,
}

impl PiOutput {
    /// Takes the line.
    pub fn take(gpio: &Gpio, found: &Found, active: bool) -> anyhow::Result<Self> {
        let pin = pin(gpio, found)?;
        let pin = match level(found, active) {
            Level::Low => pin.into_output_low(),
            Level::High => pin.into_output_high(),
        };
        Ok(Self { pin, found: found.clone() })
    }
}

impl Output for PiOutput {
    fn set(&mut self, active: bool) -> anyhow::Result<()> {
        self.pin.write(level(&self.found, active));
        Ok(())
    }
}

/// An input of the header.
pub struct PiInput {
    pin: InputPin,
    changed: Arc<OwnedFd>,
    found: Found,
}

impl PiInput {
    /// Takes the line.
    pub fn take(gpio: &Gpio, found: &Found, debounce: Duration) -> anyhow::Result<Self> {
        let pin = pin(gpio, found)?;
        let mut pin = match found.spec.bias {
            Some(Bias::PullUp) => pin.into_input_pullup(),
            Some(Bias::PullDown) => pin.into_input_pulldown(),
            Some(Bias::Disabled) | None => pin.into_input(),
        };
        let changed = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let told = changed.clone();
        // rppal calls from a thread of its own, which ends with the pin.
        let callback = move |_| {
            // Adding to a counter that is read all the time cannot fail.
            let _ = rustix::io::write(&told, &1u64.to_ne_bytes());
        };
        let debounce = (!debounce.is_zero()).then_some(debounce);
        pin.set_async_interrupt(Trigger::Both, debounce, callback)
            .map_err(|error| anyhow!("{} cannot tell of changes: {error}", found.spec))?;
        Ok(Self { pin, changed, found: found.clone() })
    }
}

impl Input for PiInput {
    fn fd(&self) -> BorrowedFd<'_> {
        self.changed.as_fd()
    }

    fn active(&mut self) -> anyhow::Result<bool> {
        // Empty is as good as read.
        let _ = rustix::io::read(&self.changed, &mut [0; 8]);
        Ok(self.pin.read() == level(&self.found, true))
    }
}
