//! A lab with real servers, for tests of boards.
// Each test program uses a part of it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use p2pcam_hil::{
    board::{BoardOptions, Deployment, host_of},
    lab::{
        build::{Lab, LabError},
        namespace::NamespaceError,
    },
    scenario::plan::{BoardKind, Plan, RouterPlan, Servers as Wanted, Side, TurnTransport},
    servers::{Programs, Servers, lan::LanServer},
};

/// What may name the agent; otherwise it is taken from where this test is built to.
const AGENT: &str = "P2PHIL_AGENT";

/// A lab with a hub, and a folder for all that is written. A board is to be dropped before.
pub struct World {
    pub servers: Servers,
    pub lan: LanServer,
    pub lab: Lab,
    pub plan: Plan,
    pub folder: tempfile::TempDir,
}

impl World {
    /// The device behind these routers. None, and a word, where it cannot be built or the agent was not.
    pub async fn new(name: &str, kind: BoardKind, routers: Vec<RouterPlan>) -> Option<Self> {
        let Some(agent) = agent() else {
            println!("not run: no p2pcam-agent beside this test: `cargo build -p p2pcam-agent`");
            return None;
        };
        let plan = plan(routers);
        let lab = match Lab::build(name, &plan, host_of(kind)) {
            Err(LabError::Namespace(NamespaceError::NotRoot)) => {
                println!("not run: namespaces take root");
                return None;
            }
            built => built.unwrap_or_else(|error| panic!("{error}")),
        };
        let folder = tempfile::tempdir().unwrap();
        let lan = LanServer::start(&lab, &plan.device, &folder.path().join("lan")).await;
        let servers =
            Servers::start(&lab, &plan.servers, &Programs { agent }, &folder.path().join("servers")).await;
        let lan = lan.unwrap_or_else(|error| panic!("{error}"));
        let servers = servers.unwrap_or_else(|error| panic!("{error}"));
        Some(Self { servers, lan, lab, plan, folder })
    }

    pub fn options(&self) -> BoardOptions {
        options(agent().unwrap(), &self.folder.path().join("board"))
    }

    pub fn deployment(&self, config: &str) -> Deployment {
        Deployment {
            hub: self.servers.hub_for_devices(&self.plan.device),
            device: "porch".into(),
            token: self.servers.device_token().to_owned(),
            turn_ca: self.servers.turn_ca().map(str::to_owned),
            config: config.parse().unwrap(),
        }
    }
}

pub fn options(agent: PathBuf, folder: &Path) -> BoardOptions {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    BoardOptions {
        agent,
        board_agent: None,
        tree,
        place: None,
        coordinator: None,
        key: None,
        interface: None,
        image: None,
        folder: folder.to_owned(),
    }
}

pub fn agent() -> Option<PathBuf> {
    let beside =
        || std::env::current_exe().ok()?.ancestors().nth(2).map(|folder| folder.join("p2pcam-agent"));
    std::env::var_os(AGENT).map(PathBuf::from).or_else(beside).filter(|agent| agent.exists())
}

pub fn is_up(metrics: &str) -> bool {
    metrics.lines().any(|line| line == "p2pcam_signaling_link_up 1")
}

pub fn uptime(metrics: &str) -> f64 {
    let line = metrics.lines().find(|line| line.starts_with("p2pcam_process_uptime_seconds "));
    line.and_then(|line| line.split(' ').nth(1)).and_then(|value| value.parse().ok()).expect("its uptime")
}

fn plan(routers: Vec<RouterPlan>) -> Plan {
    let servers = Wanted { turn: [TurnTransport::Tls].into(), ..Wanted::default() };
    Plan { servers, ..Plan::between(Side::behind(routers), Side::behind([])) }
}
