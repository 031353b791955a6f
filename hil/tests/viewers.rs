//! Both viewers in whole labs, with the real hub, coturn and agent. Takes root; without it, says so and runs nothing.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use p2pcam_hil::{
    lab::{
        Lab,
        build::{DeviceHost, LabError},
        fabric::Policy,
        namespace::NamespaceError,
        wire::{Faults, Loss},
    },
    process::{Program, Spec},
    scenario::plan::{
        Plan, RouterPlan, ServerName, Servers as Wanted, Side, SideName, TurnTransport, ViewerKind,
    },
    servers::{Programs, Servers},
    viewer::{self, Event, Watch},
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

/// Until what should come has come, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);
const DEVICE: &str = "cam";

/// A lab with servers in it.
struct World {
    servers: Servers,
    lab: Lab,
    plan: Plan,
    folder: tempfile::TempDir,
}

fn behind(kind: Option<&str>) -> Side {
    Side::behind(kind.map(|kind| RouterPlan::computed(kind.parse().expect("a kind"))))
}

fn plan(device: Side, viewer: Side, turn: bool) -> Plan {
    let turn = turn.then_some(TurnTransport::Udp).into_iter().collect();
    Plan { servers: Wanted { turn, ..Wanted::default() }, ..Plan::between(device, viewer) }
}

fn agent_program() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_p2pcam-hil")).with_file_name("p2pcam-agent");
    std::env::var_os("P2PCAM_AGENT").map_or(beside, PathBuf::from)
}

impl World {
    /// `None`, and a word, where it cannot be had.
    async fn build(name: &str, plan: Plan) -> Option<Self> {
        let agent = agent_program();
        if !agent.exists() {
            println!("not run: {} is not built; P2PCAM_AGENT names another", agent.display());
            return None;
        }
        let lab = match Lab::build(name, &plan, DeviceHost::Process) {
            Err(LabError::Namespace(NamespaceError::NotRoot)) => {
                println!("not run: namespaces take root");
                return None;
            }
            lab => lab.expect("a lab"),
        };
        let folder = tempfile::tempdir().expect("a folder");
        let servers = Servers::start(&lab, &plan.servers, &Programs { agent }, folder.path()).await;
        let servers = servers.expect("servers");
        Some(Self { servers, lab, plan, folder })
    }

    /// An agent that has reached the hub.
    async fn agent(&self) -> Program {
        let agent = self.start_agent();
        let reached = async {
            while !agent.log_tail(200).contains("connected to the hub") {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("no hub:\n{}", agent.log_tail(50)));
        agent
    }

    fn start_agent(&self) -> Program {
        let folder = self.folder.path().join("device");
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        let token = folder.join("token");
        fs::write(&token, self.servers.device_token()).unwrap();
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
        let link = self.servers.hub_for_devices(&self.plan.device);
        let settings = [
            ("P2PCAM_SIGNALING_LINK", link.as_str()),
            ("P2PCAM_SIGNALING_TOKEN_FILE", token.to_str().unwrap()),
            ("P2PCAM_DEVICE_ID", DEVICE),
            ("P2PCAM_DEVICE_STATE_DIR", folder.to_str().unwrap()),
            ("P2PCAM_VIDEO_SOURCE", "pattern"),
            ("P2PCAM_VIDEO_WIDTH", "640"),
            ("P2PCAM_VIDEO_HEIGHT", "360"),
            ("P2PCAM_VIDEO_FPS", "15"),
            ("P2PCAM_AUDIO_SOURCE", "tone"),
            ("NO_COLOR", "1"),
        ];
        let program = Program::start(Spec {
            what: "the agent",
            program: &agent_program(),
            args: vec!["run".into()],
            env: settings.map(|(name, value)| (name.into(), value.into())).to_vec(),
            namespace: Some(self.lab.device()),
            log: &folder.join("agent.log"),
            pipe_stdout: false,
        });
        program.expect("the agent starts")
    }

    fn watch(&self, seconds: u64) -> Watch {
        Watch {
            hub: self.servers.hub_for_viewers(&self.plan.viewer),
            device: DEVICE.into(),
            token: self.servers.viewer_token().into(),
            relay_only: false,
            address: None,
            turn_ca: None,
            retry: true,
            time: Duration::from_secs(seconds),
            folder: self.folder.path().to_owned(),
            name: "one".into(),
        }
    }
}

/// Watches to the end, and calls `each` for each event as it comes.
async fn watch(world: &World, kind: ViewerKind, watch: Watch, mut each: impl FnMut(&Event)) -> Vec<Event> {
    let mut viewer = viewer::open(kind, Path::new(env!("CARGO_BIN_EXE_p2pcam-hil")));
    let (tell, mut told) = mpsc::channel(64);
    let listening = async {
        let mut events = Vec::new();
        while let Some(event) = told.recv().await {
            each(&event);
            events.push(event);
        }
        events
    };
    let watching = timeout(watch.time + PATIENCE, viewer.watch(&world.lab, &watch, tell));
    let (watched, events) = tokio::join!(watching, listening);
    let files = watched.expect("it ends in time").expect("it watches");
    for file in files {
        assert!(watch.folder.join(&file.path).exists(), "{file:?}");
    }
    println!("{kind:?}: {}", told_shortly(&events));
    assert!(matches!(events.last(), Some(Event::End { .. })), "{events:#?}");
    events
}

fn told_shortly(events: &[Event]) -> String {
    let shown = events.iter().filter(|event| !matches!(event, Event::Candidate { .. }));
    shown.map(|event| format!("\n  {}", serde_json::to_string(event).unwrap())).collect()
}

fn first_picture(events: &[Event]) -> Option<(f64, u32, u32)> {
    events.iter().find_map(|event| match *event {
        Event::FirstPicture { ms, width, height } => Some((ms, width, height)),
        _ => None,
    })
}

fn paths(events: &[Event]) -> Vec<(&str, &str)> {
    let mut paths = Vec::new();
    for event in events {
        if let Event::Path { local, remote, .. } = event {
            paths.push((local.as_str(), remote.as_str()));
        }
    }
    paths
}

fn sessions(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Session { .. })).count()
}

/// What a viewer of an undisturbed device must see in seconds of watching.
fn must_be_well(events: &[Event]) {
    let (first, width, height) = first_picture(events).expect("a picture");
    assert!(first < 5000.0 && (width, height) == (640, 360), "{first} ms, {width}x{height}");
    let seconds: Vec<_> = events
        .iter()
        .filter_map(|event| match *event {
            Event::Second { ms, pictures, kbps, sound_packets, av_ms, glass_ms, .. }
                if ms > first + 1500.0 =>
            {
                Some((pictures, kbps, sound_packets, av_ms, glass_ms))
            }
            _ => None,
        })
        .collect();
    assert!(seconds.len() >= 2, "{}", told_shortly(events));
    for (pictures, kbps, sound, av, glass) in seconds {
        assert!((8..=20).contains(&pictures), "{pictures} of 15 pictures");
        assert!(kbps > 20.0 && sound > 30, "{kbps} kbit/s, {sound} packets of sound");
        // One machine, one clock.
        assert!((0.0..2000.0).contains(&glass.expect("a strip is read")), "{glass:?} ms old");
        assert!(av.is_none_or(|av| av.abs() < 500.0), "{av:?} ms apart");
    }
    assert!(
        events.iter().any(|event| matches!(event, Event::Second { av_ms: Some(_), .. })),
        "both streams tell the time"
    );
    for side in [false, true] {
        let found =
            events.iter().any(|event| matches!(event, Event::Candidate { remote, .. } if *remote == side));
        assert!(found, "candidates of both sides");
    }
    assert!(events.iter().any(|event| matches!(event, Event::Answer { .. })));
    assert!(events.iter().any(|event| matches!(event, Event::State { state, .. } if state == "connected")));
    assert!(!events.iter().any(|event| matches!(event, Event::Error { .. })));
    assert_eq!(sessions(events), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_viewers_see_a_device_of_the_same_network_and_say_how() {
    let Some(world) = World::build("vwboth", plan(behind(None), behind(None), false)).await else { return };
    let _agent = world.agent().await;
    for kind in [ViewerKind::Headless, ViewerKind::Chromium] {
        let events = watch(&world, kind, world.watch(6), |_| {}).await;
        must_be_well(&events);
        let (local, remote) = paths(&events)[0];
        // Chromium hides its host candidate behind an mDNS name; STUN then finds the same address.
        // A check may overtake the candidate that it comes from, which goes by way of the hub (RFC 8445, section 7.3.1.3).
        assert!(local != "relay" && ["host", "prflx"].contains(&remote), "{kind:?}: {local}-{remote}");
        assert!(kind == ViewerKind::Chromium || local == "host", "{local}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn between_symmetric_nats_both_viewers_go_by_the_relay() {
    let symmetric = Some("APDM/APDF");
    let Some(world) = World::build("vwrelay", plan(behind(symmetric), behind(symmetric), true)).await else {
        return;
    };
    let _agent = world.agent().await;
    for kind in [ViewerKind::Headless, ViewerKind::Chromium] {
        let events = watch(&world, kind, world.watch(7), |_| {}).await;
        must_be_well(&events);
        let (local, remote) = *paths(&events).last().expect("a path");
        assert!(local == "relay" || remote == "relay", "{kind:?}: {local}-{remote}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_a_firewall_chromium_goes_by_turn_over_tls_and_the_other_says_that_it_cannot() {
    let mut office = behind(Some("EIM/APDF"));
    office.uplink.policy = Policy::OnlyTcp(443);
    let mut plan = plan(behind(None), office, true);
    plan.servers.turn = [TurnTransport::Tls].into();
    let Some(world) = World::build("vwtls", plan).await else { return };
    let _agent = world.agent().await;

    let turn_ca = world.servers.turn_ca().map(str::to_owned);
    assert!(turn_ca.is_some(), "a hub that names a server over TLS says whom to trust");
    let events = watch(&world, ViewerKind::Chromium, Watch { turn_ca, ..world.watch(8) }, |_| {}).await;
    must_be_well(&events);
    assert_eq!(paths(&events).last().expect("a path").0, "relay");

    let events = watch(&world, ViewerKind::Headless, world.watch(30), |_| {}).await;
    assert_eq!(first_picture(&events), None);
    assert!(events.iter().any(|event| matches!(event, Event::Error { code, .. } if code == "no-path")));
    let Some(Event::End { reason, .. }) = events.last() else { panic!("no end") };
    assert!(reason.contains("turns:") && reason.contains("TURN over TLS"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_told_in_words() {
    let Some(world) = World::build("vwtoken", plan(behind(None), behind(None), false)).await else { return };
    for kind in [ViewerKind::Headless, ViewerKind::Chromium] {
        let wrong = Watch { token: "wrong".into(), ..world.watch(20) };
        let events = watch(&world, kind, wrong, |_| {}).await;
        let told = events.iter().find_map(|event| match event {
            Event::Error { code, message, .. } => Some((code.as_str(), message.contains("token"))),
            _ => None,
        });
        assert_eq!(told, Some(("token-refused", true)), "{kind:?}");
        assert!(events.last().unwrap().ms() < 15_000.0, "it does not wait for its time to be over");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_need_no_hub_once_they_flow() {
    let plan = plan(behind(None), behind(None), false);
    let Some(mut world) = World::build("vwhub", plan).await else { return };
    let _agent = world.agent().await;
    for kind in [ViewerKind::Headless, ViewerKind::Chromium] {
        let watched = world.watch(9);
        let mut viewer = viewer::open(kind, Path::new(env!("CARGO_BIN_EXE_p2pcam-hil")));
        let (tell, mut told) = mpsc::channel(64);
        let servers = &mut world.servers;
        let lab = &world.lab;
        let acting = async {
            let mut events = Vec::new();
            while let Some(event) = told.recv().await {
                if matches!(event, Event::FirstPicture { .. }) {
                    servers.kill(ServerName::Hub).await;
                }
                if matches!(event, Event::Second { ms, .. } if (5000.0..6000.0).contains(&ms)) {
                    servers.revive(lab, ServerName::Hub).await.expect("the hub starts again");
                }
                events.push(event);
            }
            events
        };
        let (done, events) = tokio::join!(viewer.watch(lab, &watched, tell), acting);
        done.expect("it watches");
        println!("{kind:?}: {}", told_shortly(&events));
        assert_eq!(sessions(&events), 1, "{kind:?}");
        assert!(
            !events.iter().any(|event| matches!(event, Event::Freeze { .. } | Event::Error { .. })),
            "{kind:?}"
        );
        let moving =
            events.iter().filter(|event| matches!(event, Event::Second { pictures: 8.., .. })).count();
        assert!(moving >= 6, "{kind:?}");
        let Some(Event::End { reason, .. }) = events.last() else { panic!("{kind:?}: no end") };
        assert_eq!(reason, "the time is over");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_forgets_its_mappings_is_got_over() {
    let home = Some("EIM/APDF");
    let Some(world) = World::build("vwreboot", plan(behind(home), behind(home), false)).await else { return };
    let _agent = world.agent().await;
    let mut rebooted = None;
    let events = watch(&world, ViewerKind::Headless, world.watch(14), |event| {
        if rebooted.is_none() && matches!(event, Event::Second { pictures: 8.., .. }) {
            rebooted = Some(event.ms());
            world.lab.reboot_router(SideName::Viewer).unwrap();
        }
    })
    .await;
    let rebooted = rebooted.expect("there were pictures");
    let again = |event: &Event| match event {
        Event::Second { ms, pictures, .. } => *ms > rebooted + 2000.0 && *pictures >= 8,
        _ => false,
    };
    assert!(events.iter().any(again), "pictures move again");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_line_that_loses_packets_pictures_go_on_and_all_that_is_missing_is_counted() {
    let mut device = behind(Some("EIM/APDF"));
    device.uplink.up =
        Faults { loss: Loss::Random(0.03), delay: Duration::from_millis(30), ..Faults::default() };
    let Some(world) = World::build("vwloss", plan(device, behind(None), false)).await else { return };
    let _agent = world.agent().await;
    let events = watch(&world, ViewerKind::Headless, world.watch(12), |_| {}).await;
    let (mut pictures, mut missing) = (0, 0);
    for event in &events {
        if let Event::Second { pictures: seen, numbers_missing, .. } = event {
            pictures += seen;
            missing = *numbers_missing;
        }
    }
    println!("{pictures} pictures seen, {missing} missing");
    assert!(pictures > 100, "{pictures} of 180");
    assert!(u64::from(pictures) + missing > 130, "{pictures} seen, {missing} missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_was_killed_is_found_again() {
    let Some(world) = World::build("vwkill", plan(behind(None), behind(None), false)).await else { return };
    for kind in [ViewerKind::Headless, ViewerKind::Chromium] {
        let agent = std::sync::Mutex::new(Some(world.agent().await));
        let mut killed = None;
        let events =
            watch(&world, kind, world.watch(if kind == ViewerKind::Headless { 12 } else { 16 }), |event| {
                if killed.is_none() && matches!(event, Event::Second { pictures: 8.., .. }) {
                    // Another one in its place, as a supervisor does it.
                    killed = Some(event.ms());
                    let mut agent = agent.lock().unwrap();
                    drop(agent.take());
                    *agent = Some(world.start_agent());
                }
            })
            .await;
        let killed = killed.expect("there were pictures");
        assert!(sessions(&events) >= 2, "{kind:?}: asked again");
        let freeze = events.iter().find_map(|event| match *event {
            Event::Freeze { ms, lasted_ms } if ms + lasted_ms > killed => Some(lasted_ms),
            _ => None,
        });
        println!("{kind:?}: without a picture for {freeze:?} ms");
        let again = events
            .iter()
            .any(|event| matches!(event, Event::Second { ms, pictures: 8.., .. } if *ms > killed + 5000.0));
        assert!(again, "{kind:?}: pictures move again");
    }
}
