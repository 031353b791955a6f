//! Moves packets between the TUN devices of a lab and its [`Fabric`], on a thread of its own.

mod priority;

use std::{
    io,
    os::fd::AsFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
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

/// A port, and whether its device is gone with its namespace.
#[derive(Debug)]
struct Plugged {
    port: Port,
    gone: AtomicBool,
}

#[derive(Debug)]
struct Shared {
    fabric: Mutex<Fabric>,
    ports: Mutex<Vec<Arc<Plugged>>>,
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
        let ports = Mutex::new(ports.into_iter().map(plug).collect());
        let shared =
            Arc::new(Shared { fabric: Mutex::new(fabric), ports, wake, stop: AtomicBool::new(false) });
        let inner = shared.clone();
        let thread = thread::Builder::new().name("lab-fabric".into()).spawn(move || run(&inner))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Changes or asks the network.
    pub fn with<T>(&self, job: impl FnOnce(&mut Fabric) -> T) -> T {
        let result = job(&mut lock(&self.shared.fabric));
        self.wake();
        result
    }

    /// Gives an endpoint its device; it takes the place of one that the endpoint had.
    pub fn add_port(&self, port: Port) {
        self.set_port(port.endpoint, Some(port));
    }

    /// Takes an endpoint's device away: what is sent to the endpoint is lost, and the device goes as soon as the thread
    /// lets go of it.
    pub fn remove_port(&self, endpoint: EndpointId) {
        self.set_port(endpoint, None);
    }

    fn set_port(&self, endpoint: EndpointId, port: Option<Port>) {
        let mut ports = lock(&self.shared.ports);
        ports.retain(|plugged| plugged.port.endpoint != endpoint);
        ports.extend(port.map(plug));
        drop(ports);
        self.wake();
    }

    fn wake(&self) {
        // It fails only if the thread was told very often already.
        let _ = self.shared.wake.write(1);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn plug(port: Port) -> Arc<Plugged> {
    Arc::new(Plugged { port, gone: AtomicBool::new(false) })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(shared: &Shared) {
    priority::raise();
    let mut buffer = [0; BUFFER];
    while !shared.stop.load(Ordering::Relaxed) {
        let mut ports = lock(&shared.ports).clone();
        ports.retain(|plugged| !plugged.gone.load(Ordering::Relaxed));
        let wait = {
            let mut fabric = lock(&shared.fabric);
            let now = Instant::now();
            while let Some((endpoint, packet)) = fabric.receive(now) {
                if let Some(plugged) = ports.iter().find(|plugged| plugged.port.endpoint == endpoint) {
                    // A device whose queue is full drops it, as a real line does.
                    let _ = plugged.port.device.0.send(&packet);
                }
            }
            fabric.wait(Instant::now())
        };
        let mut fds: Vec<PollFd<'_>> = ports
            .iter()
            .map(|plugged| PollFd::new(plugged.port.device.0.as_fd(), PollFlags::POLLIN))
            .collect();
        fds.push(PollFd::new(shared.wake.as_fd(), PollFlags::POLLIN));
        if ppoll(&mut fds, wait.map(TimeSpec::from_duration), None).is_err() {
            continue;
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        if ready.last() == Some(&true) {
            let _ = shared.wake.read();
        }
        let mut fabric = lock(&shared.fabric);
        for (plugged, _) in ports.iter().zip(ready).filter(|(_, ready)| *ready) {
            take(plugged, &mut fabric, &mut buffer);
        }
    }
}

/// Takes what a device has.
fn take(plugged: &Plugged, fabric: &mut Fabric, buffer: &mut [u8]) {
    for _ in 0..BATCH {
        match plugged.port.device.0.recv(buffer) {
            Ok(length) => fabric.send(plugged.port.endpoint, buffer[..length].to_vec(), Instant::now()),
            Err(error) => {
                // A device that is gone is always ready to say so.
                let again = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
                plugged.gone.store(!again, Ordering::Relaxed);
                return;
            }
        }
    }
}
