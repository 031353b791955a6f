//! `p2pcam-hil run`: scenarios, one after the other.

use std::{path::PathBuf, process::ExitCode};

use p2pcam_hil::{
    record::Record,
    runner::{Options, Station, not_built},
    scenario::plan::{Plan, Plant},
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
    for plan in plans {
        bar.set_message(plan.name.clone());
        let record = tokio::select! {
            record = run_one(plan, options) => record,
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

async fn run_one(plan: &Plan, options: &Options) -> Record {
    // Two rigs on one machine are told apart by their process.
    let name = format!("{}-1", std::process::id());
    match Station::build(&name, plan, options).await {
        Ok(mut station) => station.run(plan, options, None).await,
        Err(error) => not_built(plan, options, None, &error),
    }
}
