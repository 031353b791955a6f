//! Moves packets between the TUN devices of a lab and its [`Fabric`], on a thread of its own.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, ppoll},
    sys::{
        eventfd::{EfdFlags, EventFd},
        time::TimeSpec,
    },
};
use tun_rs::SyncDevice;

use super::fabric::{EndpointId, Fabric};

/// Longest packet that is taken: the devices' MTU with room.
const BUFFER: usize = 2048;
/// Packets taken from one device before the next has its turn.
const BATCH: usize = 64;

/// A device and whose it is.
#[derive(Debug)]
pub struct Port {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Its TUN device, not blocking.
    pub device: Device,
}

/// A TUN device that prints.
pub struct Device(pub SyncDevice);

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Device")
    }
}

#[derive(Debug)]
struct Shared {
    fabric: Mutex<Fabric>,
    /// Tells the thread that something changed.
    wake: EventFd,
    stop: AtomicBool,
}

/// A network that runs, until it is dropped.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts the thread.
    pub fn start(fabric: Fabric, ports: Vec<Port>) -> io::Result<Self> {
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let shared = Arc::new(Shared { fabric: Mutex::new(fabric), wake, stop: AtomicBool::new(false) });
        let inner = shared.clone();
        let thread = thread::Builder::new().name("lab-fabric".into()).spawn(move || run(&inner, &ports))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Changes or asks the network.
    pub fn with<T>(&self, job: impl FnOnce(&mut Fabric) -> T) -> T {
        let result = job(&mut lock(&self.shared.fabric));
        let _ = self.shared.wake.write(1);
        result
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let _ = self.shared.wake.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(fabric: &Mutex<Fabric>) -> MutexGuard<'_, Fabric> {
    fabric.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(shared: &Shared, ports: &[Port]) {
    let mut buffer = [0; BUFFER];
    while !shared.stop.load(Ordering::Relaxed) {
        let wait = {
            let mut fabric = lock(&shared.fabric);
            let now = Instant::now();
            while let Some((endpoint, packet)) = fabric.receive(now) {
                if let Some(port) = ports.iter().find(|port| port.endpoint == endpoint) {
                    // A device whose queue is full drops it, as a real line does.
                    let _ = port.device.0.send(&packet);
                }
            }
            fabric.wait(Instant::now())
        };
        if wait == Some(Duration::ZERO) {
            continue;
        }
        let mut fds: Vec<PollFd<'_>> =
            ports.iter().map(|port| PollFd::new(fd(&port.device), PollFlags::POLLIN)).collect();
        fds.push(PollFd::new(shared.wake.as_fd(), PollFlags::POLLIN));
        if ppoll(&mut fds, wait.map(TimeSpec::from_duration), None).is_err() {
            continue;
        }
        let _ = shared.wake.read();
        let mut fabric = lock(&shared.fabric);
        for port in ports {
            for _ in 0..BATCH {
                let Ok(length) = port.device.0.recv(&mut buffer) else { break };
                fabric.send(port.endpoint, buffer[..length].to_vec(), Instant::now());
            }
        }
    }
}

fn fd(device: &Device) -> BorrowedFd<'_> {
    device.0.as_fd()
}
