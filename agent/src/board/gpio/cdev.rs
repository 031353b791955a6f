//! Lines by the kernel's GPIO character device (Documentation/userspace-api/gpio/chardev.rst), on every board.

use std::{
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use anyhow::anyhow;
use gpiocdev::{
    Request,
    line::{self, EdgeDetection, Value},
    request::Builder,
};

use super::line::{Found, Input, Output};
use crate::config::Bias;

/// What others see as the user of our lines.
const CONSUMER: &str = "p2pcam-agent";

/// An output line.
pub struct CdevOutput {
    request: Request,
    found: Found,
}

impl CdevOutput {
    /// Takes the line.
    pub fn take(found: &Found, active: bool) -> anyhow::Result<Self> {
        let mut builder = builder(found);
        let request = builder.as_output(value(active)).request();
        let request = request.map_err(|error| found.refused("taken as an output", &error))?;
        Ok(Self { request, found: found.clone() })
    }
}

impl Output for CdevOutput {
    fn set(&mut self, active: bool) -> anyhow::Result<()> {
        self.request.set_lone_value(value(active)).map_err(|error| self.found.refused("set", &error))
    }
}

/// An input line.
pub struct CdevInput {
    request: Request,
    found: Found,
}

impl CdevInput {
    /// Takes the line.
    pub fn take(found: &Found, debounce: Duration) -> anyhow::Result<Self> {
        let mut builder = builder(found);
        builder.as_input().with_edge_detection(EdgeDetection::BothEdges);
        if !debounce.is_zero() {
            builder.with_debounce_period(debounce);
        }
        if let Some(bias) = found.spec.bias {
            builder.with_bias(match bias {
                Bias::PullUp => line::Bias::PullUp,
                Bias::PullDown => line::Bias::PullDown,
                Bias::Disabled => line::Bias::Disabled,
            });
        }
        let request = builder.request();
        let request = request.map_err(|error| found.refused("taken as an input", &error))?;
        Ok(Self { request, found: found.clone() })
    }
}

impl Input for CdevInput {
    fn fd(&self) -> BorrowedFd<'_> {
        self.request.as_fd()
    }

    fn active(&mut self) -> anyhow::Result<bool> {
        let read = || {
            // The value counts, not the way to it. Edges that come meanwhile make the line readable again.
            while self.request.has_edge_event()? {
                self.request.read_edge_event()?;
            }
            self.request.lone_value()
        };
        let value = read().map_err(|error| self.found.refused("read", &error))?;
        Ok(value == Value::Active)
    }
}

impl Found {
    /// The library's errors hold their causes in their words already.
    fn refused(&self, what: &str, error: &gpiocdev::Error) -> anyhow::Error {
        anyhow!("{} cannot be {what}: {error}", self.spec)
    }
}

fn builder(found: &Found) -> Builder {
    let mut builder = Request::builder();
    builder.on_chip(&found.chip).with_consumer(CONSUMER).with_line(found.offset);
    if found.spec.active_low {
        builder.as_active_low();
    }
    builder
}

fn value(active: bool) -> Value {
    if active { Value::Active } else { Value::Inactive }
}
