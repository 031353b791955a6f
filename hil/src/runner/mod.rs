//! Runs a scenario: builds what it asks for, makes sure of the rig itself, lets the course run and judges it.

mod acts;
mod course;
pub mod private;
mod sides;
mod weigh;

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    board::{self, Board, BoardError, BoardOptions, Deployment},
    lab::{DeviceHost, Lab, wire::Loss},
    record::{Artefact, Cell, Check, Measured, Outcome, Record, Verdict, ms},
    scenario::{
        allow, judge, judge_checks,
        plan::{BoardKind, Network, Plan, Plant, ServerName, Side},
        unsuited,
    },
    servers::{Programs, Servers, lan::LanServer},
};
use course::Cast;
use sides::sides_after;
use tempfile::TempDir;
use weigh::weigh;

/// The device's name on the rig's hub.
const DEVICE: &str = "under-test";
/// Folders of what takes part, in the private one.
const SERVERS: &str = "servers";
const LAN: &str = "lan";
const BOARD: &str = "board";
const VIEWERS: &str = "viewers";

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
    // Before the lab: what runs in it ends first.
    board: Option<Box<dyn Board>>,
    servers: Servers,
    /// DHCP and DNS: for which kind of network, and with which address for the board.
    lan: Option<((Network, Option<Ipv4Addr>), LanServer)>,
    lab: Lab,
    /// Settings, secrets and state of servers, board and viewers. After all that use it.
    private: TempDir,
}

/// Why a run has no course.
enum Stop {
    Rig(String),
    Skip(String),
}

impl Station {
    /// Builds the lab of a plan and starts its servers. `name` tells labs apart that run at once.
    pub async fn build(name: &str, plan: &Plan, options: &Options) -> anyhow::Result<Self> {
        let lab = Lab::build(name, plan, board::host_of(options.board))?;
        let private = private::folder()?;
        let servers =
            Servers::start(&lab, &plan.servers, &options.programs, &private.path().join(SERVERS)).await?;
        Ok(Self { board: None, servers, lan: None, lab, private })
    }

    /// Runs a plan that has the servers that this station was built for; its routers are built anew.
    pub async fn run(&mut self, plan: &Plan, options: &Options, cell: Option<Cell>) -> Record {
        let plan = &allow(plan, options.slower);
        let (began, since) = (SystemTime::now(), Instant::now());
        let mut draft = Draft::new(plan, options);
        if let Err(stop) = self.attempt(plan, options, &mut draft).await {
            draft.stop(stop);
        }
        let Draft { checks, checks_after, outcome, verdict, files, .. } = draft;
        let verdict = verdict.unwrap_or_else(|| judge(plan, &checks, &[], &outcome.steps, &outcome.seen));
        let course::Outcome { steps, seen, lines, .. } = outcome;
        Record {
            began: seconds_since_1970(began),
            took_ms: ms(since.elapsed()),
            checks: [checks, checks_after].concat(),
            steps,
            viewers: seen,
            lines,
            files: relative(files, &options.folder),
            ..record(plan, options, cell, verdict)
        }
    }

    async fn attempt(&mut self, plan: &Plan, options: &Options, draft: &mut Draft) -> Result<(), Stop> {
        if let Some(why) = unsuited(plan, options.board) {
            return Err(Stop::Skip(why));
        }
        self.clear(&draft.folder)?;
        self.lab.rewire(plan).map_err(|error| Stop::Rig(error.to_string()))?;
        self.serve_lan(plan).await.map_err(|error| Stop::Rig(error.to_string()))?;
        self.plant(plan).await;
        draft.checks = self.check(&plan.device, &plan.viewer, false).await;
        if draft.checks.iter().any(|check| !check.ok) && !options.ignore_checks {
            self.keep_lab(draft);
            return Ok(());
        }
        let boards = BoardOptions { folder: self.private.path().join(BOARD), ..options.boards.clone() };
        let mut board = match self.board.take() {
            Some(board) => board,
            None => board::open(options.board, &boards).map_err(|error| Stop::Skip(error.to_string()))?,
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
        let viewers = self.private.path().join(VIEWERS);
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
                    folder: &viewers,
                    settle: options.settle,
                },
            )
            .await;
        }
        // Also of a board whose agent did not start: its journal says why.
        let collected = board.collect(&draft.folder).await;
        let _ = board.stop().await;
        let watched = std::mem::take(&mut draft.outcome.files);
        draft.files.extend(self.keep(collected, &draft.folder, &draft.folder));
        draft.files.extend(self.keep(watched, &viewers, &draft.folder));
        let failed = match started {
            Ok(()) => None,
            Err(BoardError::Agent(what)) => Some(what),
            Err(error @ BoardError::Unable { .. }) => return Err(Stop::Skip(error.to_string())),
            // It could be had, but is not there when it is needed: a run that never was is not to look like none wanted.
            Err(error @ BoardError::Unavailable(_)) => {
                self.keep_lab(draft);
                return Err(Stop::Rig(error.to_string()));
            }
        };
        if failed.is_none() {
            // It stays up for the next run here: to write its card and to switch it on takes minutes.
            self.board = Some(board).filter(|board| board.kind() == BoardKind::Labgrid);
        }
        if let Some(why) = draft.outcome.unable.take() {
            return Err(Stop::Skip(why));
        }
        self.look_back(plan, draft, failed).await;
        Ok(())
    }

    /// Empty folders: nothing of an earlier run is to be taken for this one's.
    fn clear(&self, folder: &Path) -> Result<(), Stop> {
        let viewers = self.private.path().join(VIEWERS);
        // A board that stayed up has its folder in use.
        let board = self.board.is_none().then(|| self.private.path().join(BOARD));
        let cleared = [folder, &viewers].into_iter().chain(board.as_deref()).try_for_each(remove);
        let made = cleared.and_then(|()| [folder, &viewers].into_iter().try_for_each(fs::create_dir_all));
        made.map_err(|error| Stop::Rig(format!("the run's folder {}: {error}", folder.display())))
    }

    fn keep(&self, files: Vec<Artefact>, from: &Path, to: &Path) -> Vec<Artefact> {
        private::keep(files, from, to, &self.servers.secrets())
    }

    /// What went over the lines, and the servers' logs.
    fn keep_lab(&self, draft: &mut Draft) {
        let folder = draft.folder.clone();
        let captures = self.lab.write_captures(&folder);
        draft.files.extend(self.keep(captures, &folder, &folder));
        draft.files.extend(self.keep(self.servers.artefacts(), &self.private.path().join(SERVERS), &folder));
        let lan = self.lan.as_ref().map(|(_, lan)| lan.artefacts()).unwrap_or_default();
        draft.files.extend(self.keep(lan, &self.private.path().join(LAN), &folder));
    }

    /// DHCP and DNS where the device needs them: a board with a network card, or one that has to learn of a NAT64.
    async fn serve_lan(&mut self, plan: &Plan) -> anyhow::Result<()> {
        let network = plan.device.network;
        let serves = (network, self.lab.lan().map(|lan| lan.leases.0));
        let needed = self.lab.device_host() == DeviceHost::Lan || network == Network::Nat64;
        if !needed {
            self.lan = None;
        } else if self.lan.as_ref().is_none_or(|(served, _)| *served != serves) {
            // The old one first: both want the same ports.
            self.lan = None;
            let folder = self.private.path().join(LAN);
            self.lan = Some((serves, LanServer::start(&self.lab, &plan.device, &folder).await?));
        }
        Ok(())
    }

    /// After a run that went wrong: was it the rig? And what went over the lines? `failed`: the agent did not start.
    async fn look_back(&mut self, plan: &Plan, draft: &mut Draft, failed: Option<String>) {
        let mut rig = std::mem::take(&mut draft.outcome.rig_faults);
        let board = std::mem::take(&mut draft.outcome.board_faults);
        rig.extend(self.servers.alive().err().map(|error| error.to_string()));
        let outcome = &draft.outcome;
        let unfailed = failed.is_none() && rig.is_empty() && board.is_empty();
        if unfailed {
            let verdict = judge(plan, &draft.checks, &[], &outcome.steps, &outcome.seen);
            if verdict.outcome == Outcome::Passed {
                draft.verdict = Some(verdict);
                return;
            }
        }
        self.keep_lab(draft);
        let (device, viewer) = sides_after(plan, draft.outcome.steps.len());
        // An allocation takes five round trips: over a line with losses it may fail, and a device's fault is not to be
        // taken for the rig's.
        let lines = [&device, &viewer].into_iter().flat_map(|side| [side.uplink.up, side.uplink.down]);
        let sure = lines.into_iter().all(|line| line.loss == Loss::NONE);
        draft.checks_after = self.check(&device, &viewer, sure).await;
        let (checks, after, outcome) = (&draft.checks, &draft.checks_after, &draft.outcome);
        let verdict = match &failed {
            None => judge(plan, checks, after, &outcome.steps, &outcome.seen),
            Some(_) => judge_checks(checks, after),
        };
        draft.verdict = Some(weigh(verdict, rig, board.into_iter().chain(failed).collect()));
    }

    /// Measures the lab, and asks the servers: with relays, all that may have failed the device.
    async fn check(&self, device: &Side, viewer: &Side, relays: bool) -> Vec<Check> {
        // Measuring waits on threads of its own: other labs go on meanwhile.
        let own = tokio::task::block_in_place(|| self.lab.self_probe());
        let servers = if relays {
            self.servers.check(&self.lab, device, viewer).await
        } else {
            self.servers.check_reachable(&self.lab, device, viewer).await
        };
        [own, servers].concat()
    }

    async fn plant(&mut self, plan: &Plan) {
        match plan.plant {
            Some(Plant::WrongNat) => self.lab.plant_wrong_nat(),
            Some(Plant::DeadStun) => self.servers.kill(ServerName::Turn).await,
            Some(Plant::NoReflexive) | None => {}
        }
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
        };
        self.verdict = Some(Verdict { outcome, measured: Measured::default(), reasons: vec![reason] });
    }
}

fn remove(folder: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A record for a plan whose station could not even be built.
pub fn not_built(plan: &Plan, options: &Options, cell: Option<Cell>, why: &anyhow::Error) -> Record {
    let reasons = vec![format!("{why:#}")];
    record(
        plan,
        options,
        cell,
        Verdict { outcome: Outcome::RigFault, measured: Measured::default(), reasons },
    )
}

/// A record of nothing but a verdict.
fn record(plan: &Plan, options: &Options, cell: Option<Cell>, verdict: Verdict) -> Record {
    Record {
        scenario: plan.name.clone(),
        about: plan.about.clone(),
        cell,
        board: options.board.to_string(),
        slower: options.slower,
        seed: plan.seed,
        began: seconds_since_1970(SystemTime::now()),
        took_ms: 0.0,
        checks: Vec::new(),
        steps: Vec::new(),
        viewers: Vec::new(),
        lines: Vec::new(),
        files: Vec::new(),
        verdict,
    }
}

fn seconds_since_1970(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Paths as the report names them.
fn relative(files: Vec<Artefact>, folder: &Path) -> Vec<Artefact> {
    let strip = |path: PathBuf| path.strip_prefix(folder).map(Path::to_owned).unwrap_or(path);
    files.into_iter().map(|file| Artefact { path: strip(file.path), ..file }).collect()
}
