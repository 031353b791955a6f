//! `p2pcam-hil run`: scenarios, one after the other.

use std::{path::PathBuf, process::ExitCode};

use p2pcam_hil::{
    record::Record,
    runner::{Options, Station, not_built},
    scenario::plan::{BoardKind, Plan, Plant, Servers},
};

use super::{
    files,
    session::{Session, SessionArgs, line, progress},
    stop::Stop,
};

/// `run`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Scenario files; hil/scenarios has some.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Another seed for all chance than the files'; a report names the one to repeat it with.
    #[arg(long)]
    seed: Option<u64>,
    /// Plant a fault, to see that the rig finds it.
    #[arg(long, value_enum)]
    plant: Option<Plant>,
    #[command(flatten)]
    session: SessionArgs,
}

/// Reads all files, then runs them.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut plans = Vec::new();
    let mut wrong = Vec::new();
    for file in &args.files {
        match files::read(file) {
            Ok(plan) => plans.push(Plan {
                seed: args.seed.unwrap_or(plan.seed),
                plant: args.plant.or(plan.plant),
                ..plan
            }),
            Err(error) => wrong.push(format!("{error:#}")),
        }
    }
    anyhow::ensure!(wrong.is_empty(), "nothing was run:\n{}", wrong.join("\n"));
    let options = args.session.options(None)?;
    let earlier = args.session.earlier()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut session = Session::begin(&options, plans.first().map_or(0, |plan| plan.seed));
    let mut stop = runtime.block_on(async { Stop::listen() })?;
    let records = runtime.block_on(run_all(&plans, &options, &mut stop));
    session.conclude(&options, &records, earlier.as_ref()).map(|done| stop.exit_code(done))
}

/// Until all have run, or somebody stops it: what has run by then is reported.
async fn run_all(plans: &[Plan], options: &Options, stop: &mut Stop) -> Vec<Record> {
    let bar = progress(plans.len());
    let mut records = Vec::new();
    let mut kept = None;
    for plan in plans {
        bar.set_message(plan.name.clone());
        let record = tokio::select! {
            record = run_one(plan, options, &mut kept) => record,
            () = stop.asked() => {
                bar.println("Stopped; what has run is reported.");
                break;
            }
        };
        bar.suspend(|| println!("{}", line(&record)));
        records.push(record);
        bar.inc(1);
    }
    bar.finish_and_clear();
    records
}

/// Runs a scenario in a lab of its own. On a bench the next one may follow in the same lab, if it wants the same servers:
/// the board stays up.
async fn run_one(plan: &Plan, options: &Options, kept: &mut Option<(Station, Servers)>) -> Record {
    // What was planted must not grow in the next one.
    let last = kept.take().filter(|(_, servers)| *servers == plan.servers && plan.plant.is_none());
    let mut station = match last {
        Some((station, _)) => station,
        None => {
            // Two rigs on one machine are told apart by their process.
            let name = format!("{}-1", std::process::id());
            match Station::build(&name, plan, options).await {
                Ok(station) => station,
                Err(error) => return not_built(plan, options, None, &error),
            }
        }
    };
    let record = station.run(plan, options, None).await;
    *kept = Some((station, plan.servers.clone())).filter(|_| options.board == BoardKind::Labgrid);
    record
}
