//! The board's lines by their roles: status LED, infrared filter and light, light sensor, privacy switch.
//!
//! One thread holds them all. A line that cannot be had, or is lost, is told in words, tried again with back-off and at
//! once when a chip comes; meanwhile the agent goes on without it. Only the privacy switch is closed by default: while it
//! is configured and cannot be read, [`Privacy`](super::Privacy) stays closed.
//!
//! By rppal on the header of a Raspberry Pi, by the kernel's character device elsewhere. Does not do PWM, and gives no
//! line to viewers.

mod cdev;
mod ir_cut;
mod line;
mod list;
mod metrics;
mod night;
mod pi;
mod slot;
mod status;
mod worker;

use std::{
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Instant,
};

use anyhow::Context;
use rustix::event::{EventfdFlags, eventfd};

pub use self::{
    line::{Found, find},
    list::{ChipInfo, LineInfo, list_chips},
    pi::is_raspberry_pi,
    status::Status,
};
use self::{
    metrics::GpioMetrics,
    worker::{Orders, Worker},
};
use super::{Board, hotplug};
use crate::{
    config::GpioConfig,
    telemetry::{health::Level, metrics::Metrics},
};

/// A handle to the thread that holds the lines; when it is dropped, they are given back.
pub struct Gpio {
    control: Control,
    _chips: Option<hotplug::Subscription>,
    thread: Option<JoinHandle<()>>,
    board: Board,
}

#[derive(Clone)]
struct Control {
    orders: Arc<Mutex<Orders>>,
    wake: Arc<OwnedFd>,
}

impl Control {
    fn order(&self, change: impl FnOnce(&mut Orders)) {
        change(&mut self.orders.lock().unwrap_or_else(PoisonError::into_inner));
        // Adding to a counter that is read all the time cannot fail.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

impl Gpio {
    /// Takes the lines of all roles; None if agent.toml names none. When it returns, the privacy switch has been read:
    /// start nothing that captures before.
    ///
    /// # Errors
    /// When no thread can be had. A line that cannot be taken is no error, see the module.
    pub fn start(config: &GpioConfig, board: &Board, metrics: &Metrics) -> anyhow::Result<Option<Self>> {
        let lines = [&config.status_led, &config.ir_light, &config.light_sensor, &config.privacy_switch];
        if config.ir_cut.is_empty() && lines.iter().all(|line| line.is_none()) {
            return Ok(None);
        }
        let metrics = metrics.register(GpioMetrics::register);
        let orders = Arc::<Mutex<Orders>>::default();
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let wake = Arc::new(wake.context("no event counter can be had: are too many files open?")?);
        let control = Control { orders: orders.clone(), wake: wake.clone() };
        let now = Instant::now();
        let mut worker = Worker::new(config, board.clone(), metrics, orders, wake, now)?;
        worker.step(now);
        let thread = thread::Builder::new()
            .name("gpio".into())
            .spawn(move || worker.run())
            .context("no thread can be started for the board's lines: are there too many?")?;
        let again = control.clone();
        let chips = board.hotplug.as_ref().map(|hotplug| {
            hotplug.subscribe("gpio", move |_| again.order(|orders| orders.look_again = true))
        });
        Ok(Some(Self { control, _chips: chips, thread: Some(thread), board: board.clone() }))
    }

    /// Shows a state on the status LED.
    pub fn show(&self, status: Status) {
        self.control.order(|orders| orders.status = status);
    }

    /// Shows on the LED how the agent does, from when it is ready on, for ever.
    pub async fn follow(&self) {
        let mut viewers = self.board.viewers.changes();
        let mut privacy = self.board.privacy.changes();
        let mut health = self.board.health.changes();
        loop {
            self.show(self.status());
            // None of them ends before this, which holds the board.
            tokio::select! {
                _ = viewers.changed() => {}
                _ = privacy.changed() => {}
                _ = health.changed() => {}
            }
        }
    }

    fn status(&self) -> Status {
        if self.board.health.report().status == Level::Failed {
            Status::Fault
        } else if self.board.privacy.is_closed() {
            Status::Private
        } else if self.board.viewers.count() > 0 {
            Status::Watched
        } else {
            Status::Ready
        }
    }
}

impl Drop for Gpio {
    fn drop(&mut self) {
        self.control.order(|orders| orders.stop = true);
        if let Some(thread) = self.thread.take() {
            // It waits for nothing but this: LED and light are off when the process ends. A panic was told already.
            let _ = thread.join();
        }
    }
}
