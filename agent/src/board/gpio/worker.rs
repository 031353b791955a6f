//! The thread that holds all lines: reads inputs when they change, and writes outputs when it is time.

use std::{
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::{
    ir_cut::IrCut,
    line::{self, Input},
    metrics::GpioMetrics,
    night::Night,
    slot::{OutputSlot, Role, Slot},
    status::Status,
};
use crate::{
    board::Board,
    config::{GpioConfig, LineSpec, NightMode},
    telemetry::health::Level,
};

const STATUS_LED: Role = Role { name: "status_led", without: Level::Degraded };
const IR_CUT: Role = Role { name: "ir_cut", without: Level::Degraded };
const IR_CUT_AWAY: Role = Role { name: "ir_cut_away", without: Level::Degraded };
const IR_LIGHT: Role = Role { name: "ir_light", without: Level::Degraded };
const LIGHT_SENSOR: Role = Role { name: "light_sensor", without: Level::Degraded };
const PRIVACY_SWITCH: Role = Role { name: "privacy_switch", without: Level::Failed };

/// The condition on `/health` that says whether capture is allowed.
const PRIVACY: &str = "privacy";
/// What viewers are told. The reason in full is in the log and on `/health`.
const SWITCH_ON: &str = "the privacy switch is on";
const SWITCH_UNREADABLE: &str = "the privacy switch cannot be read";

/// What others ask of the thread.
#[derive(Debug, Default)]
pub struct Orders {
    /// To show.
    pub status: Status,
    /// A chip came or went.
    pub look_again: bool,
    /// The last handle is gone.
    pub stop: bool,
}

/// All that the thread owns.
pub struct Worker {
    orders: Arc<Mutex<Orders>>,
    wake: Arc<OwnedFd>,
    board: Board,
    metrics: GpioMetrics,
    debounce: Duration,
    privacy_switch: Option<Slot<Box<dyn Input>>>,
    light_sensor: Option<Slot<Box<dyn Input>>>,
    status_led: Option<OutputSlot>,
    ir_cut: Option<IrCut>,
    ir_light: Option<OutputSlot>,
    night: Night,
    was_night: Option<bool>,
    status: (Status, Instant),
}

impl Worker {
    /// Takes no line yet. Fails where a line in the configuration is none.
    pub fn new(
        config: &GpioConfig,
        board: Board,
        metrics: GpioMetrics,
        orders: Arc<Mutex<Orders>>,
        wake: Arc<OwnedFd>,
        now: Instant,
    ) -> anyhow::Result<Self> {
        let parse = |text: &String| LineSpec::parse(text).map_err(anyhow::Error::msg);
        let output = |role: Role, text: Option<&String>| -> anyhow::Result<Option<OutputSlot>> {
            text.map(|text| Ok(OutputSlot::new(role, parse(text)?, &metrics, &board.health))).transpose()
        };
        let input = |role: Role, text: &Option<String>| -> anyhow::Result<_> {
            text.as_ref().map(|text| Ok(Slot::new(role, parse(text)?, &metrics, &board.health))).transpose()
        };
        let pulse = Duration::from_millis(config.ir_cut_pulse_ms);
        let away = output(IR_CUT_AWAY, config.ir_cut.get(1))?;
        let ir_cut = output(IR_CUT, config.ir_cut.first())?.map(|day| IrCut::new(day, away, pulse));
        // A sensor that nobody asks needs no line.
        let light_sensor =
            if config.night == NightMode::Sensor { input(LIGHT_SENSOR, &config.light_sensor)? } else { None };
        Ok(Self {
            privacy_switch: input(PRIVACY_SWITCH, &config.privacy_switch)?,
            light_sensor,
            status_led: output(STATUS_LED, config.status_led.as_ref())?,
            ir_light: output(IR_LIGHT, config.ir_light.as_ref())?,
            ir_cut,
            night: Night::new(config.night),
            was_night: None,
            status: (Status::default(), now),
            debounce: Duration::from_millis(config.debounce_ms),
            orders,
            wake,
            board,
            metrics,
        })
    }

    /// Runs until it is told to stop.
    pub fn run(mut self) {
        loop {
            let next = self.step(Instant::now());
            if let Err(error) = self.wait(next) {
                // Cannot be while the lines are ours; without word of the switch capture must stop.
                tracing::error!("the board's lines cannot be waited for any more: {error}");
                self.forbid(SWITCH_UNREADABLE, Level::Failed);
                return;
            }
            if self.orders.lock().unwrap_or_else(PoisonError::into_inner).stop {
                self.rest();
                return;
            }
        }
    }

    /// Reads all inputs and writes all outputs; returns when to do so again at the latest.
    pub fn step(&mut self, now: Instant) -> Option<Instant> {
        let (status, eager) = {
            let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
            (orders.status, std::mem::take(&mut orders.look_again))
        };
        let mut next = [self.step_privacy(now, eager), self.step_night(now, eager), None];
        if let Some(led) = &mut self.status_led {
            if self.status.0 != status {
                self.status = (status, now);
            }
            let (lit, lasts) = status.lit(now.saturating_duration_since(self.status.1));
            led.show(lit, now, eager);
            next[2] = led.retry_at().or(lasts.map(|lasts| now + lasts));
        }
        next.into_iter().flatten().min()
    }

    fn step_privacy(&mut self, now: Instant, eager: bool) -> Option<Instant> {
        let switch = self.privacy_switch.as_mut()?;
        let on = read(switch, now, eager, self.debounce);
        let retry_at = switch.retry_at();
        match on {
            Some(false) => {
                self.board.privacy.set(None);
                self.metrics.privacy.set(0);
                self.board.health.set(PRIVACY, Level::Ok, "the privacy switch is off");
            }
            Some(true) => self.forbid(SWITCH_ON, Level::Degraded),
            // Closed by default.
            None => self.forbid(SWITCH_UNREADABLE, Level::Failed),
        }
        retry_at
    }

    fn forbid(&self, why: &str, level: Level) {
        if !self.board.privacy.is_closed() {
            self.metrics.privacy_closings.inc();
        }
        self.metrics.privacy.set(1);
        self.board.privacy.set(Some(why.into()));
        self.board.health.set(PRIVACY, level, format!("{why}: camera and microphone are closed"));
    }

    fn step_night(&mut self, now: Instant, eager: bool) -> Option<Instant> {
        if self.ir_cut.is_none() && self.ir_light.is_none() {
            return None;
        }
        let sensor = self.light_sensor.as_mut();
        let light = sensor.and_then(|sensor| read(sensor, now, eager, self.debounce));
        let (night, ask_again) = self.night.step(light, now);
        if self.was_night != Some(night) {
            tracing::info!(night, "infrared filter and light");
            self.was_night = Some(night);
            self.metrics.night.set(night.into());
        }
        let filter = self.ir_cut.as_mut().and_then(|filter| filter.step(night, now, eager));
        let light = self.ir_light.as_mut().and_then(|light| {
            light.show(night, now, eager);
            light.retry_at()
        });
        let sensor = self.light_sensor.as_ref().and_then(Slot::retry_at);
        [ask_again, filter, light, sensor].into_iter().flatten().min()
    }

    /// Sleeps until an input changes, somebody wakes it, or the time has come.
    fn wait(&self, next: Option<Instant>) -> Result<(), Errno> {
        let inputs = [&self.privacy_switch, &self.light_sensor];
        let mut fds = vec![PollFd::new(&self.wake, PollFlags::IN)];
        for input in inputs.iter().filter_map(|slot| slot.as_ref()?.peek()) {
            fds.push(PollFd::from_borrowed_fd(input.fd(), PollFlags::IN));
        }
        let rest = next.map(|next| next.saturating_duration_since(Instant::now()));
        let rest = rest.and_then(|rest| Timespec::try_from(rest).ok());
        match poll(&mut fds, rest.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        // Empty is as good as read.
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
        Ok(())
    }

    /// The light goes off, the LED too, and no coil stays driven. The filter stays where it is.
    fn rest(&mut self) {
        self.status_led.iter_mut().chain(&mut self.ir_light).for_each(OutputSlot::rest);
        if let Some(filter) = &mut self.ir_cut {
            filter.rest();
        }
    }
}

/// Whether an input is active; None if it cannot be read now.
fn read(slot: &mut Slot<Box<dyn Input>>, now: Instant, eager: bool, debounce: Duration) -> Option<bool> {
    let input = slot.hold(now, eager, |spec| line::input(spec, debounce))?;
    match input.active() {
        Ok(active) => Some(active),
        Err(error) => {
            slot.lost(&error, now);
            None
        }
    }
}
