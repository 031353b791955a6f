//! Word of devices that come and go, from the kernel's uevent socket: nobody has to poll.
//!
//! Both senders are heard: the kernel, which speaks first and on every board (also with mdev or a plain devtmpfs), and
//! udev, which speaks when its rules have given the node its group and mode. So who was refused a node that was too
//! new (EACCES) is woken again when it may be opened. An event is a reason to look now, never a proof of anything:
//! users keep their back-off for boards without the socket and for events that were lost.
//!
//! Does not keep a list of devices, and looks at none itself.

mod event;

use std::{
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SocketFlags, SocketType, bind,
        netlink::{KOBJECT_UEVENT, SocketAddrNetlink},
        recv, socket_with,
    },
};

pub use self::event::{Action, Event, parse};

/// Multicast groups of NETLINK_KOBJECT_UEVENT, as a mask: 1 is the kernel, 2 is udev.
const KERNEL_AND_UDEV: u32 = 1 | 2;
/// The kernel's messages end at 2 KiB (UEVENT_BUFFER_SIZE), udev's at 8 KiB with its properties.
const MESSAGE: usize = 16 * 1024;

type Callback = Arc<dyn Fn(&Event) + Send + Sync>;

/// A handle to the monitor and its one thread, cheap to clone. The thread ends when the last handle and the last
/// subscription are gone.
#[derive(Clone)]
pub struct Hotplug(Arc<Inner>);

struct Inner {
    users: Arc<Mutex<Users>>,
    stop: Arc<OwnedFd>,
}

#[derive(Default)]
struct Users {
    /// As many as there are parts that wait for devices.
    all: Vec<User>,
    next_id: u64,
}

struct User {
    id: u64,
    subsystem: &'static str,
    callback: Callback,
}

impl Hotplug {
    /// Opens the socket and starts the thread. None, with a warning in the log, where the kernel or a sandbox gives no
    /// such socket: what is plugged in is then found by back-off alone.
    pub fn start() -> Option<Self> {
        Self::open()
            .inspect_err(|error| {
                tracing::warn!(
                    "no word of devices that come and go, they are looked for now and then instead: {error}: is \
                     AF_NETLINK missing in RestrictAddressFamilies= of the unit?"
                );
            })
            .ok()
    }

    fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(KOBJECT_UEVENT))?;
        // Port 0: the kernel chooses one.
        bind(&socket, &SocketAddrNetlink::new(0, KERNEL_AND_UDEV))?;
        Self::listen(socket)
    }

    fn listen(socket: OwnedFd) -> io::Result<Self> {
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let users = Arc::<Mutex<Users>>::default();
        let (told, heard_by) = (stop.clone(), users.clone());
        thread::Builder::new().name("hotplug".into()).spawn(move || run(&socket, &told, &heard_by))?;
        Ok(Self(Arc::new(Inner { users, stop })))
    }

    /// Has `callback` called for each event of a subsystem (`video4linux`, `sound`, `gpio`), and after events were
    /// lost ([`Action::Lost`]), until the subscription is dropped. One call can still be under way then.
    ///
    /// It is called on the monitor's thread and must not block: it sets a flag and wakes whoever waits.
    #[must_use = "dropping the subscription ends it"]
    pub fn subscribe(
        &self,
        subsystem: &'static str,
        callback: impl Fn(&Event) + Send + Sync + 'static,
    ) -> Subscription {
        let mut users = lock(&self.0.users);
        users.next_id += 1;
        let id = users.next_id;
        users.all.push(User { id, subsystem, callback: Arc::new(callback) });
        Subscription { monitor: self.clone(), id }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Adding to a counter at 0 cannot fail.
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
    }
}

/// Ends the calls when dropped; keeps the monitor alive.
pub struct Subscription {
    monitor: Hotplug,
    id: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let removed = {
            let mut users = lock(&self.monitor.0.users);
            let place = users.all.iter().position(|user| user.id == self.id);
            place.map(|place| users.all.swap_remove(place))
        };
        // Outside the lock: what the callback owns may itself end a subscription.
        drop(removed);
    }
}

fn lock(users: &Mutex<Users>) -> MutexGuard<'_, Users> {
    users.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread.
fn run(socket: &OwnedFd, stop: &OwnedFd, users: &Mutex<Users>) {
    let mut message = vec![0; MESSAGE];
    loop {
        let mut fds = [PollFd::new(socket, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) if !fds[1].revents().is_empty() => return,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return tracing::warn!("no more word of devices that come and go: {error}"),
        }
        match recv(socket, message.as_mut_slice(), RecvFlags::empty()) {
            Ok((length, _)) => {
                if let Some(event) = parse(&message[..length]) {
                    tell(users, &event);
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::NOBUFS) => tell(users, &Event::lost()),
            Err(error) => return tracing::warn!("no more word of devices that come and go: {error}"),
        }
    }
}

/// Calls those whom it concerns, without the lock: they may subscribe or drop subscriptions.
fn tell(users: &Mutex<Users>, event: &Event) {
    let concerned: Vec<Callback> = lock(users)
        .all
        .iter()
        .filter(|user| event.action == Action::Lost || user.subsystem == event.subsystem)
        .map(|user| user.callback.clone())
        .collect();
    for callback in concerned {
        callback(event);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use rustix::net::{SendFlags, send, socketpair};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);
    const CAMERA: &[u8] = b"add@/devices/x\0ACTION=add\0SUBSYSTEM=video4linux\0DEVNAME=video0\0";
    const CARD: &[u8] = b"add@/devices/y\0ACTION=add\0SUBSYSTEM=sound\0DEVNAME=snd/controlC0\0";

    fn monitor() -> (Hotplug, OwnedFd) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, kernels) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        (Hotplug::listen(ours).unwrap(), kernels)
    }

    #[test]
    fn a_subscriber_hears_of_its_subsystem_alone_and_nothing_after_the_end() {
        let (monitor, kernel) = monitor();
        let (camera, camera_heard) = mpsc::sync_channel(4);
        let (card, card_heard) = mpsc::sync_channel(4);
        let cameras = monitor.subscribe("video4linux", move |event| camera.try_send(event.clone()).unwrap());
        let _cards = monitor.subscribe("sound", move |event| card.try_send(event.clone()).unwrap());
        send(&kernel, CAMERA, SendFlags::empty()).unwrap();
        assert_eq!(camera_heard.recv_timeout(PATIENCE).unwrap().devname.as_deref(), Some("video0"));
        drop(cameras);
        for message in [CAMERA, CARD] {
            send(&kernel, message, SendFlags::empty()).unwrap();
        }
        // Events come in order: with the card's here, the camera's has passed. Its sender went with its callback.
        assert_eq!(card_heard.recv_timeout(PATIENCE).unwrap().subsystem, "sound");
        assert_eq!(camera_heard.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    }

    #[test]
    fn the_thread_ends_with_the_last_handle() {
        let (monitor, kernel) = monitor();
        let held = monitor.subscribe("gpio", |_| {});
        drop(monitor);
        send(&kernel, CARD, SendFlags::empty()).unwrap();
        drop(held);
        // The thread owns the other end.
        let mut fds = [PollFd::new(&kernel, PollFlags::HUP)];
        let timeout = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
        assert_eq!(poll(&mut fds, Some(&timeout)).unwrap(), 1, "the thread still holds its socket");
    }

    #[test]
    fn who_waits_for_anything_is_told_that_events_were_lost() {
        let (monitor, _kernel) = monitor();
        let (camera, heard) = mpsc::sync_channel(1);
        let _cameras = monitor.subscribe("video4linux", move |event| camera.try_send(event.action).unwrap());
        tell(&monitor.0.users, &Event::lost());
        assert_eq!(heard.try_recv().unwrap(), Action::Lost);
    }
}
