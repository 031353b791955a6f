//! What systemd hears of the agent's state (sd_notify(3)); nothing where no `NOTIFY_SOCKET` is.

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

fn notify(states: &[NotifyState<'_>]) {
    // Without NOTIFY_SOCKET this is Ok.
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd cannot be told of the agent's state: check NOTIFY_SOCKET and NotifyAccess=");
    }
}
