//! Runs a scenario: builds what it asks for, makes sure of the rig itself, lets the course run and judges it.

mod acts;
mod course;

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    board::{self, Board, BoardError, BoardOptions, Deployment},
    lab::{DeviceHost, Lab},
    record::{Artefact, Cell, Check, Measured, Outcome, Record, Verdict, ms},
    scenario::{
        allow, judge,
        plan::{BoardKind, Network, Plan, Plant, ServerName},
        unsuited,
    },
    servers::{Programs, Servers, lan::LanServer},
};
use course::Cast;

/// The device's name on the rig's hub.
const DEVICE: &str = "under-test";

/// What all runs of one command share.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the agent runs.
    pub board: BoardKind,
    /// How the board is got.
    pub boards: BoardOptions,
    /// How many times as long as a scenario says pictures may take there.
    pub slower: f64,
    /// What the servers are started with.
    pub programs: Programs,
    /// This program: it is also the headless viewer.
    pub viewer: PathBuf,
    /// The report's folder; each run has one of its own in it.
    pub folder: PathBuf,
    /// Ends a run when every viewer has had its first picture for so long and nothing else is to come; `None`: each
    /// runs to its end.
    pub settle: Option<Duration>,
    /// Lets a run go on that the rig's own checks speak against.
    pub ignore_checks: bool,
}

/// A lab with its servers, which outlives one run.
pub struct Station {
    name: String,
    // Before the lab: what runs in it ends first.
    board: Option<Box<dyn Board>>,
    servers: Servers,
    /// Where their logs are.
    servers_folder: PathBuf,
    lan: Option<Lan>,
    lab: Lab,
}

/// DHCP and DNS.
struct Lan {
    /// The kind of network, and the address that the board gets there.
    serves: (Network, Option<Ipv4Addr>),
    server: LanServer,
    /// Where its log is.
    folder: PathBuf,
}

/// Why a run has no course.
enum Stop {
    Rig(String),
    Skip(String),
    Device(String),
}

impl Station {
    /// Builds the lab of a plan and starts its servers. `name` tells labs apart that run at once.
    pub async fn build(name: &str, plan: &Plan, options: &Options) -> anyhow::Result<Self> {
        let lab = Lab::build(name, plan, board::host_of(options.board))?;
        let folder = options.folder.join("servers").join(name);
        fs::create_dir_all(&folder)?;
        let servers = Servers::start(&lab, &plan.servers, &options.programs, &folder).await?;
        Ok(Self { name: name.into(), board: None, servers, servers_folder: folder, lan: None, lab })
    }

    /// Runs a plan that has the servers that this station was built for; its routers are built anew.
    pub async fn run(&mut self, plan: &Plan, options: &Options, cell: Option<Cell>) -> Record {
        let plan = &allow(plan, options.slower);
        let (began, since) = (SystemTime::now(), Instant::now());
        let mut draft = Draft::new(plan, options);
        if let Err(stop) = self.attempt(plan, options, &mut draft).await {
            draft.stop(stop);
        }
        let verdict = draft.verdict.take().unwrap_or_else(|| {
            judge(plan, &draft.checks, &draft.checks_after, &draft.outcome.steps, &draft.outcome.seen)
        });
        let course::Outcome { steps, seen, lines, files, .. } = draft.outcome;
        draft.files.extend(in_folder(files, &draft.folder));
        Record {
            scenario: plan.name.clone(),
            about: plan.about.clone(),
            cell,
            board: board_name(options.board).into(),
            slower: options.slower,
            seed: plan.seed,
            began: began.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            took_ms: ms(since.elapsed()),
            checks: [draft.checks, draft.checks_after].concat(),
            steps,
            viewers: seen,
            lines,
            files: relative(draft.files, &options.folder),
            verdict,
        }
    }

    async fn attempt(&mut self, plan: &Plan, options: &Options, draft: &mut Draft) -> Result<(), Stop> {
        if let Some(why) = unsuited(plan, options.board) {
            return Err(Stop::Skip(why));
        }
        let folder = draft.folder.clone();
        fs::create_dir_all(&folder)
            .map_err(|error| Stop::Rig(format!("the folder {}: {error}", folder.display())))?;
        self.lab.rewire(plan).map_err(|error| Stop::Rig(error.to_string()))?;
        self.serve_lan(plan, &folder).await.map_err(|error| Stop::Rig(error.to_string()))?;
        self.plant(plan).await;
        draft.checks = self.check(plan).await;
        if draft.checks.iter().any(|check| !check.ok) && !options.ignore_checks {
            return Ok(());
        }
        let boards = BoardOptions { folder: folder.join("board"), ..options.boards.clone() };
        let mut board = match self.board.take() {
            Some(board) => board,
            None => board::open(options.board, &boards).map_err(stopped_by)?,
        };
        let mut deployment = Deployment {
            hub: self.servers.hub_for_devices(&plan.device),
            device: DEVICE.into(),
            token: self.servers.device_token().into(),
            turn_ca: self.servers.turn_ca().map(str::to_owned),
            config: plan.board.config.clone(),
        };
        if plan.plant == Some(Plant::NoReflexive) {
            let ice = toml::Table::from_iter([("policy".to_owned(), "host".into())]);
            deployment.config.insert("ice".into(), ice.into());
        }
        let started = board.start(&self.lab, &deployment).await;
        if started.is_ok() {
            draft.outcome = course::run(
                plan,
                Cast {
                    lab: &self.lab,
                    servers: &mut self.servers,
                    board: board.as_mut(),
                    device: DEVICE,
                    program: &options.viewer,
                    folder: &folder,
                    settle: options.settle,
                },
            )
            .await;
        }
        // Also of a board whose agent did not start: its journal says why.
        draft.files.extend(in_folder(board.collect(&folder).await, &folder));
        let _ = board.stop().await;
        started.map_err(stopped_by)?;
        // It stays up for the next run here: to write its card and to switch it on takes minutes.
        self.board = Some(board).filter(|board| board.kind() == BoardKind::Labgrid);
        self.look_back(plan, draft).await;
        Ok(())
    }

    /// DHCP and DNS where the device needs them: a board with a network card, or one that has to learn of a NAT64.
    async fn serve_lan(&mut self, plan: &Plan, folder: &Path) -> anyhow::Result<()> {
        let network = plan.device.network;
        let serves = (network, self.lab.lan().map(|lan| lan.leases.0));
        let needed = self.lab.device_host() == DeviceHost::Lan || network == Network::Nat64;
        if !needed {
            self.lan = None;
        } else if self.lan.as_ref().is_none_or(|lan| lan.serves != serves) {
            // The old one first: both want the same ports.
            self.lan = None;
            let server = LanServer::start(&self.lab, &plan.device, folder).await?;
            self.lan = Some(Lan { serves, server, folder: folder.into() });
        }
        Ok(())
    }

    /// After a run that went wrong: was it the rig? And what went over the lines?
    async fn look_back(&mut self, plan: &Plan, draft: &mut Draft) {
        if let Some(why) = draft.outcome.unable.take() {
            draft.stop(Stop::Skip(why));
            return;
        }
        let (rig, device) = (draft.outcome.rig_faults.first(), draft.outcome.board_faults.first());
        let stop = rig.cloned().map(Stop::Rig).or_else(|| device.cloned().map(Stop::Device));
        if let Some(stop) = stop {
            draft.stop(stop);
        }
        let outcome = &draft.outcome;
        let verdict = judge(plan, &draft.checks, &[], &outcome.steps, &outcome.seen);
        if verdict.outcome == crate::record::Outcome::Passed && draft.verdict.is_none() {
            return;
        }
        let captures = self.lab.write_captures(&draft.folder);
        draft.files.extend(in_folder(captures, &draft.folder));
        draft.files.extend(in_folder(self.servers.artefacts(), &self.servers_folder));
        draft.files.extend(self.lan.iter().flat_map(|lan| in_folder(lan.server.artefacts(), &lan.folder)));
        draft.checks_after = self.check(plan).await;
    }

    async fn check(&self, plan: &Plan) -> Vec<Check> {
        // Measuring waits on threads of its own: other labs go on meanwhile.
        let own = tokio::task::block_in_place(|| self.lab.self_probe());
        let servers = self.servers.check_reachable(&self.lab, &plan.device, &plan.viewer).await;
        [own, servers].concat()
    }

    async fn plant(&mut self, plan: &Plan) {
        match plan.plant {
            Some(Plant::WrongNat) => self.lab.plant_wrong_nat(),
            Some(Plant::DeadStun) => self.servers.kill(ServerName::Turn).await,
            Some(Plant::NoReflexive) | None => {}
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A record in the making.
struct Draft {
    folder: PathBuf,
    checks: Vec<Check>,
    checks_after: Vec<Check>,
    outcome: course::Outcome,
    files: Vec<Artefact>,
    verdict: Option<Verdict>,
}

impl Draft {
    fn new(plan: &Plan, options: &Options) -> Self {
        Self {
            folder: options.folder.join("runs").join(&plan.name),
            checks: Vec::new(),
            checks_after: Vec::new(),
            outcome: course::Outcome::default(),
            files: Vec::new(),
            verdict: None,
        }
    }

    fn stop(&mut self, stop: Stop) {
        let (outcome, reason) = match stop {
            Stop::Rig(reason) => (Outcome::RigFault, reason),
            Stop::Skip(reason) => (Outcome::Skipped, reason),
            Stop::Device(reason) => (Outcome::DeviceFault, reason),
        };
        self.verdict = Some(Verdict { outcome, measured: Measured::default(), reasons: vec![reason] });
    }
}

fn stopped_by(error: BoardError) -> Stop {
    match error {
        BoardError::Unavailable(_) | BoardError::Unable { .. } => Stop::Skip(error.to_string()),
        BoardError::Agent(what) => Stop::Device(what),
    }
}

/// A record for a plan whose station could not even be built.
pub fn not_built(plan: &Plan, options: &Options, cell: Option<Cell>, why: &anyhow::Error) -> Record {
    Record {
        scenario: plan.name.clone(),
        about: plan.about.clone(),
        cell,
        board: board_name(options.board).into(),
        slower: options.slower,
        seed: plan.seed,
        began: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        took_ms: 0.0,
        checks: Vec::new(),
        steps: Vec::new(),
        viewers: Vec::new(),
        lines: Vec::new(),
        files: Vec::new(),
        verdict: Verdict {
            outcome: Outcome::RigFault,
            measured: Measured::default(),
            reasons: vec![format!("{why:#}")],
        },
    }
}

fn board_name(kind: BoardKind) -> &'static str {
    match kind {
        BoardKind::Local => "local",
        BoardKind::Qemu => "qemu",
        BoardKind::Labgrid => "labgrid",
    }
}

/// What was collected into a folder, by paths from where the rig was started.
fn in_folder(files: Vec<Artefact>, folder: &Path) -> Vec<Artefact> {
    files.into_iter().map(|file| Artefact { path: folder.join(&file.path), ..file }).collect()
}

/// Paths as the report names them.
fn relative(files: Vec<Artefact>, folder: &Path) -> Vec<Artefact> {
    let strip = |path: PathBuf| path.strip_prefix(folder).map(Path::to_owned).unwrap_or(path);
    files.into_iter().map(|file| Artefact { path: strip(file.path), ..file }).collect()
}
