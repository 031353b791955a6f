//! On a real link, with avahi on both of its ends: names are found both ways, and port 5353 is shared.
#![allow(clippy::unwrap_used)]

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{HiddenName, Mdns};
use crate::{telemetry::metrics::Metrics, transport::Interfaces};

/// Network namespaces: the agent's device, and another one.
const HERE: &str = "p2phil-names-here";
const THERE: &str = "p2phil-names-there";
/// Says to a test that it runs in a namespace, and what to look up.
const ASKED: &str = "P2PCAM_TEST_MDNS";
/// What its answers begin with on standard output.
const SAYS: &str = "says:";
/// Names that avahi publishes for the other device.
const NAMES: [(&str, &str); 2] = [
    ("1f4712db-ea17-4bcf-a596-105139dfd8bf.local", "10.77.0.2"),
    ("9b36eaac-bb2e-49bb-bb78-21c41c499900.local", "fd77::2"),
];
/// avahi starts within a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn run(command: &str) -> Result<String, String> {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(text) } else { Err(format!("{command}: {text} {errors}")) }
}

/// The namespaces; gone when dropped.
struct Lan;

impl Lan {
    fn new() -> Self {
        Self::remove();
        let commands = format!(
            "set -e
            ip netns add {HERE}; ip netns add {THERE}
            ip link add names0 netns {HERE} type veth peer name names0 netns {THERE}
            for ns in {HERE} {THERE}; do ip -n $ns link set lo up; ip -n $ns link set names0 up; done
            ip -n {HERE} addr add 10.77.0.1/24 dev names0; ip -n {THERE} addr add 10.77.0.2/24 dev names0
            ip -n {HERE} addr add fd77::1/64 dev names0 nodad; ip -n {THERE} addr add fd77::2/64 dev names0 nodad"
        );
        run(&commands).unwrap();
        Self
    }

    fn remove() {
        for namespace in [HERE, THERE] {
            let _ = run(&format!("ip netns del {namespace}"));
        }
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        Self::remove();
    }
}

/// A program; killed when dropped.
struct Program(Child);

impl Program {
    fn start(command: &str, log: &Path) -> Self {
        let log = fs::File::create(log).unwrap();
        let child = Command::new("sh")
            .args(["-c", &format!("exec {command}")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// avahi in a namespace, with a message bus of its own.
struct Avahi {
    bus: String,
    _programs: [Program; 2],
}

impl Avahi {
    fn start(namespace: &str, folder: &Path) -> Self {
        let at = |name: &str| folder.join(format!("{namespace}-{name}"));
        let config =
            "[server]\nhost-name=p2pcamtest\nuse-ipv4=yes\nuse-ipv6=yes\n[publish]\npublish-workstation=no\n";
        fs::write(at("avahi.conf"), config).unwrap();
        let bus = format!("unix:path={}", at("bus").display());
        let daemon = Program::start(
            &format!("dbus-daemon --session --address={bus} --nofork --nopidfile"),
            &at("bus.log"),
        );
        wait(|| at("bus").exists().then_some(()).ok_or_else(|| fs::read_to_string(at("bus.log")).unwrap()));
        // It would find the machine's own in its folder.
        let avahi = format!(
            "env DBUS_SYSTEM_BUS_ADDRESS={bus} ip netns exec {namespace} sh -c 'mkdir -p /run/avahi-daemon && mount -t tmpfs \
             none /run/avahi-daemon && exec avahi-daemon --no-drop-root --no-rlimits --no-chroot -f {}'",
            at("avahi.conf").display()
        );
        let avahi = Program::start(&avahi, &at("avahi.log"));
        Self { bus, _programs: [daemon, avahi] }
    }

    fn command(&self, command: &str) -> String {
        format!("env DBUS_SYSTEM_BUS_ADDRESS={} {command}", self.bus)
    }

    /// The address of a name, by avahi.
    fn resolve(&self, name: &str, version: char) -> Result<String, String> {
        let found = run(&self.command(&format!("avahi-resolve-host-name -{version} {name}")))?;
        let address = found.split_whitespace().nth(1).map(ToOwned::to_owned);
        address.ok_or_else(|| "nothing found".into())
    }
}

fn wait<T>(mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Ok(done) => return done,
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
        sleep(Duration::from_millis(100));
    }
}

/// What runs in the agent's namespace: publishes two names, looks up those that it is told, and ends with its input.
fn inside(names: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let interfaces = Interfaces::now().await.unwrap();
        let (_sender, changes) = watch::channel(Arc::new(interfaces));
        let mdns = Mdns::start(changes, true, &Metrics::new());
        let own = ["10.77.0.1", "fd77::1"].map(|own| mdns.publish(own.parse().unwrap()).unwrap());
        for name in names.split(',') {
            let found = mdns.resolve(name.parse().unwrap()).await;
            println!("\n{SAYS}{}", found.map_or("nothing".into(), |found| found.to_string()));
        }
        for own in &own {
            println!("\n{SAYS}{}", own.name());
        }
        let _ = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
    });
}

#[test]
fn names_are_found_both_ways_beside_avahi_on_the_same_device() {
    if let Ok(names) = env::var(ASKED) {
        return inside(&names);
    }
    let can = run(
        "test $(id -u) = 0 && command -v avahi-daemon avahi-publish avahi-resolve-host-name dbus-daemon ip",
    );
    if can.is_err() {
        println!("not run: it takes root, and the packages avahi-daemon, avahi-utils, dbus and iproute2");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let _lan = Lan::new();
    let [here, there] = [HERE, THERE].map(|namespace| Avahi::start(namespace, folder.path()));
    let _published = NAMES.map(|(name, address)| {
        let log = folder.path().join(name);
        let publish = there.command(&format!("avahi-publish -f -a -R {name} {address}"));
        let program = Program::start(&publish, &log);
        wait(|| {
            let said = fs::read_to_string(&log).unwrap();
            if said.contains("Established") { Ok(()) } else { Err(said) }
        });
        program
    });

    let myself = env::current_exe().unwrap();
    let name = concat!(module_path!(), "::names_are_found_both_ways_beside_avahi_on_the_same_device");
    let mut agent = Command::new("ip")
        .args(["netns", "exec", HERE])
        .arg(&myself)
        .args(["--exact", name.split_once("::").unwrap().1, "--nocapture"])
        .env(ASKED, NAMES.map(|(name, _)| name).join(","))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map(Program)
        .unwrap();
    let lines = BufReader::new(agent.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut says = lines.filter_map(|line| line.strip_prefix(SAYS).map(ToOwned::to_owned));
    let mut next = || says.next().unwrap();
    assert_eq!([next(), next()], NAMES.map(|(_, address)| address), "avahi's names, found by the agent");

    let own = [(next(), '4', "10.77.0.1"), (next(), '6', "fd77::1")];
    for (name, version, address) in &own {
        assert!(name.parse::<HiddenName>().is_ok(), "{name}");
        for avahi in [&there, &here] {
            // Right after the first answer, which all heard, a second one has to wait for its second.
            assert_eq!(wait(|| avahi.resolve(name, *version)), *address, "the agent's names, found by avahi");
        }
        assert_eq!(there.resolve(name, *version).unwrap(), *address);
    }
    // Both share the port: avahi beside the agent still hears answers.
    assert_eq!(wait(|| here.resolve(NAMES[0].0, '4')), NAMES[0].1);

    // With the session the names end, at once.
    drop(agent.0.stdin.take().map(|mut stdin| stdin.flush()));
    assert!(agent.0.wait().unwrap().success());
    // avahi keeps what it heard a goodbye of for another second (RFC 6762 section 10.1); else it would be 120 s.
    wait(|| match there.resolve(&own[0].0, own[0].1) {
        Err(_) => Ok(()),
        Ok(still) => Err(format!("{} is still {still}", own[0].0)),
    });
}
