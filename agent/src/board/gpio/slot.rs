//! A role's line through good and bad times: taken, lost, taken again.

use std::time::Instant;

use super::{
    line::{self, Output},
    metrics::GpioMetrics,
};
use crate::{
    board::backoff::Backoff,
    config::LineSpec,
    telemetry::health::{Health, Level},
};

/// What a lost line means for viewers.
#[derive(Clone, Copy, Debug)]
pub struct Role {
    /// As in agent.toml.
    pub name: &'static str,
    /// How bad it is to be without it.
    pub without: Level,
}

/// A line with a role. `L` is an input or an output.
pub struct Slot<L> {
    /// What it is for.
    pub role: Role,
    /// Where it is.
    pub spec: LineSpec,
    line: Option<L>,
    backoff: Backoff,
    retry_at: Option<Instant>,
    metrics: GpioMetrics,
    health: Health,
}

impl<L> Slot<L> {
    /// Not taken yet.
    pub fn new(role: Role, spec: LineSpec, metrics: &GpioMetrics, health: &Health) -> Self {
        metrics.held.get_or_create(&role.name.into()).set(0);
        Self {
            role,
            spec,
            line: None,
            backoff: Backoff::default(),
            retry_at: None,
            metrics: metrics.clone(),
            health: health.clone(),
        }
    }

    /// The line, taken by `take` if it was not and its time has come; `eager`: something has changed, try now.
    pub fn hold(
        &mut self,
        now: Instant,
        eager: bool,
        take: impl FnOnce(&LineSpec) -> anyhow::Result<L>,
    ) -> Option<&mut L> {
        if self.line.is_none() && (eager || self.retry_at.is_none_or(|at| now >= at)) {
            match take(&self.spec) {
                Ok(line) => {
                    self.line = Some(line);
                    self.retry_at = None;
                    self.backoff.worked(now);
                    self.metrics.held.get_or_create(&self.role.name.into()).set(1);
                    self.health.set(self.role.name, Level::Ok, format!("{} is held", self.spec));
                }
                Err(error) => self.lost(&error, now),
            }
        }
        self.line.as_mut()
    }

    /// It could not be taken, set or read: it is given back, and tried again later.
    pub fn lost(&mut self, error: &anyhow::Error, now: Instant) {
        self.line = None;
        self.retry_at = Some(self.backoff.failed(now));
        self.metrics.held.get_or_create(&self.role.name.into()).set(0);
        self.metrics.failures.get_or_create(&self.role.name.into()).inc();
        self.health.set(self.role.name, self.role.without, format!("gpio.{}: {error:#}", self.role.name));
    }

    /// The line, if it is held.
    pub fn line(&mut self) -> Option<&mut L> {
        self.line.as_mut()
    }

    /// The line to look at, if it is held.
    pub fn peek(&self) -> Option<&L> {
        self.line.as_ref()
    }

    /// When to try again to take it.
    pub fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }
}

/// An output that is only written when something changes.
pub struct OutputSlot {
    slot: Slot<Box<dyn Output>>,
    /// What was written last; unknown for a new line.
    written: Option<bool>,
}

impl OutputSlot {
    /// Not taken yet.
    pub fn new(role: Role, spec: LineSpec, metrics: &GpioMetrics, health: &Health) -> Self {
        Self { slot: Slot::new(role, spec, metrics, health), written: None }
    }

    /// Makes it active or inactive, as far as it is held or can be; `eager`: chips came or went.
    pub fn show(&mut self, active: bool, now: Instant, eager: bool) {
        // A chip that was unplugged is only noticed by writing.
        if eager || self.slot.peek().is_none() {
            self.written = None;
        }
        let Some(output) = self.slot.hold(now, eager, |spec| line::output(spec, active)) else { return };
        if self.written == Some(active) {
            return;
        }
        match output.set(active) {
            Ok(()) => self.written = Some(active),
            Err(error) => self.slot.lost(&error, now),
        }
    }

    /// Inactive before the line is given back.
    pub fn rest(&mut self) {
        if let Some(output) = self.slot.line() {
            // It is given back anyway.
            let _ = output.set(false);
        }
    }

    /// Whether the line is held.
    pub fn is_held(&self) -> bool {
        self.slot.peek().is_some()
    }

    /// When to try again to take it.
    pub fn retry_at(&self) -> Option<Instant> {
        self.slot.retry_at()
    }
}
