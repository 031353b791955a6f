//! What `run` and `matrix` share: where programs and folders are, progress, the report at the end.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use p2pcam_hil::{
    record::{Outcome, Record},
    report::{self, Machine, Report, RunInfo, git_describe},
    runner::Options,
    servers::Programs,
};

use super::boards::BoardArgs;

/// Options of both commands.
#[derive(Clone, Debug, clap::Args)]
pub struct SessionArgs {
    #[command(flatten)]
    boards: BoardArgs,
    /// Where the report goes. What is there of an earlier one is replaced.
    #[arg(long, value_name = "FOLDER", default_value = "hil-report")]
    report: PathBuf,
    /// An earlier report.json to compare with. Left out: the one that the report's folder holds, if it does.
    #[arg(long, value_name = "FILE")]
    earlier: Option<PathBuf>,
    /// Goes on where the rig's checks of itself fail.
    #[arg(long)]
    ignore_checks: bool,
}

impl SessionArgs {
    /// Where everything is. Fails with advice if something is not.
    pub fn options(&self, settle: Option<Duration>) -> anyhow::Result<Options> {
        let viewer = env::current_exe().context("the rig does not find its own program")?;
        let folder = std::path::absolute(&self.report).context("the report's folder")?;
        let boards = self.boards.options(&viewer, &folder)?;
        Ok(Options {
            board: self.boards.board,
            slower: self.boards.slower(),
            programs: Programs { agent: boards.agent.clone() },
            boards,
            viewer,
            folder,
            settle,
            ignore_checks: self.ignore_checks,
        })
    }

    /// The report to compare with. It is read before the new one takes its place.
    pub fn earlier(&self) -> anyhow::Result<Option<Report>> {
        let Some(path) = &self.earlier else {
            return Ok(report::read(&self.report.join(report::JSON)).ok());
        };
        Ok(Some(report::read(path)?))
    }
}

/// A command while it runs.
#[derive(Debug)]
pub struct Session {
    /// What the report says of it.
    pub info: RunInfo,
    since: Instant,
}

impl Session {
    /// It begins now; all chance follows from the seed.
    pub fn begin(options: &Options, seed: u64) -> Self {
        let info = RunInfo {
            version: env!("CARGO_PKG_VERSION").into(),
            describe: git_describe(&options.boards.tree),
            agent: version(&options.programs.agent),
            machine: Machine::this(),
            command: env::args().collect(),
            seed,
            began: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            took_ms: 0.0,
        };
        Self { info, since: Instant::now() }
    }

    /// It is over: writes the report and says where it is. A failure if a run was one.
    pub fn conclude(
        &mut self,
        options: &Options,
        records: &[Record],
        earlier: Option<&Report>,
    ) -> anyhow::Result<ExitCode> {
        self.info.took_ms = self.since.elapsed().as_secs_f64() * 1e3;
        report::write(&options.folder, &self.info, records, earlier)?;
        let count = |outcome| records.iter().filter(|record| record.verdict.outcome == outcome).count();
        let [passed, failed, rig, skipped] =
            [Outcome::Passed, Outcome::DeviceFault, Outcome::RigFault, Outcome::Skipped].map(count);
        println!("{passed} passed, {failed} failed, {rig} faults of the rig, {skipped} skipped.");
        println!("Report: {}", options.folder.join(report::HTML).display());
        Ok(if failed + rig == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// What a program says its version is.
fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()).filter(|version| !version.is_empty())
}

/// A bar with an estimate, on terminals; elsewhere lines alone tell how it goes.
pub fn progress(count: usize) -> ProgressBar {
    let bar = ProgressBar::new(count as u64);
    // The template is this line's own.
    if let Ok(style) =
        ProgressStyle::with_template("{pos}/{len} [{wide_bar}] {elapsed_precise}, {eta_precise} to go, {msg}")
    {
        bar.set_style(style);
    }
    bar
}

/// A line for a run that is over.
pub fn line(record: &Record) -> String {
    let word = match record.verdict.outcome {
        Outcome::Passed => "passed ",
        Outcome::DeviceFault => "FAILED ",
        Outcome::RigFault => "RIG    ",
        Outcome::Skipped => "skipped",
    };
    let measured = &record.verdict.measured;
    let mut line = format!("{word} {} on {}", record.scenario, record.board);
    if let Some(path) = &measured.path {
        line += &format!(": {path}");
    }
    if let Some(pair) = &measured.pair {
        line += &format!(" ({pair})");
    }
    if let Some(first) = measured.first_picture_ms {
        line += &format!(", first picture after {first:.0} ms");
    }
    for reason in &record.verdict.reasons {
        line += &format!("\n        {reason}");
    }
    line
}
