//! Labs and programs for the tests of servers.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use p2pcam_hil::{
    lab::{
        DeviceHost, Lab, LabError,
        fabric::Policy,
        namespace::{Namespace, NamespaceError},
    },
    process::{Program, Spec, find},
    record::Check,
    scenario::plan::{self, Plan, RouterPlan, Side, TurnTransport},
    servers::Programs,
};
use tokio::time::timeout;

/// For what must happen soon, on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);
/// What may name the agent; otherwise it is taken from where this test is built to.
const AGENT: &str = "P2PHIL_AGENT";

pub fn side(policy: Policy) -> Side {
    let mut side = Side::behind([RouterPlan::computed("EIM/APDF".parse().expect("a kind"))]);
    side.uplink.policy = policy;
    side
}

pub fn wanted() -> plan::Servers {
    let turn = [TurnTransport::Udp, TurnTransport::Tcp, TurnTransport::Tls].into();
    plan::Servers { turn, ..plan::Servers::default() }
}

pub fn plan(viewer: Policy) -> Plan {
    Plan { servers: wanted(), ..Plan::between(side(Policy::Open), side(viewer)) }
}

/// `None`, and a word, where it cannot be built or the agent was not.
pub fn build(name: &str, plan: &Plan, host: DeviceHost) -> Option<(Lab, Programs)> {
    let beside = || env::current_exe().ok()?.ancestors().nth(2).map(|folder| folder.join("p2pcam-agent"));
    let agent = env::var_os(AGENT).map(PathBuf::from).or_else(beside).filter(|agent| agent.exists());
    let Some(agent) = agent else {
        println!("not run: no p2pcam-agent beside this test: `cargo build -p p2pcam-agent`");
        return None;
    };
    match Lab::build(name, plan, host) {
        Err(LabError::Namespace(NamespaceError::NotRoot)) => {
            println!("not run: namespaces take root");
            None
        }
        built => Some((built.expect("a lab"), Programs { agent })),
    }
}

pub fn bad(checks: &[Check]) -> Vec<&Check> {
    checks.iter().filter(|check| !check.ok).collect()
}

/// Runs a program to its end in a namespace; what it wrote.
pub async fn output(namespace: &Namespace, folder: &Path, program: &str, args: &[&str]) -> String {
    let log = folder.join("output.log");
    let _ = fs::remove_file(&log);
    let mut program = Program::start(Spec {
        what: program,
        program: &find(program, program).expect("it is installed"),
        args: args.iter().map(Into::into).collect(),
        env: Vec::new(),
        namespace: Some(namespace),
        log: &log,
        pipe_stdout: false,
    })
    .expect("it starts");
    timeout(SOON, program.wait()).await.expect("in time").expect("a status");
    fs::read_to_string(log).expect("its output")
}

pub fn wait_until(what: &str, condition: &dyn Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
