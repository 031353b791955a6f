//! What systemd hears of the agent's state (sd_notify(3)); nothing where no `NOTIFY_SOCKET` is.

use std::time::Duration;

use sd_notify::NotifyState;

/// The agent serves: `systemctl start` of a `Type=notify` unit returns.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A line for `systemctl status`.
pub fn status(status: &str) {
    notify(&[NotifyState::Status(status)]);
}

/// The agent says goodbye to its viewers and ends.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// The unit's `WatchdogSec=`: without [`alive`] for so long systemd ends the agent. `None`: nobody waits for it.
pub fn watchdog_timeout() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// The agent lives.
pub fn alive() {
    notify(&[NotifyState::Watchdog]);
}

/// A part of the agent hangs and can't be helped from inside: systemd does at once what it does when [`alive`] stays
/// away.
pub fn hangs(status: &str) {
    notify(&[NotifyState::Status(status), NotifyState::WatchdogTrigger]);
}

fn notify(states: &[NotifyState<'_>]) {
    // Without NOTIFY_SOCKET this is Ok.
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd cannot be told of the agent's state: check NOTIFY_SOCKET and NotifyAccess=");
    }
}
