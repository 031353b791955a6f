//! `p2pcam-hil matrix`: all pairs of NAT kinds, several labs at once.

use std::{
    collections::VecDeque,
    fs,
    io::ErrorKind,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::Context;
use indicatif::ProgressBar;
use p2pcam_hil::{
    lab::nat::Kind,
    matrix::{Selection, plans},
    record::{Cell, Record},
    report::{nat_matrix_markdown, put_between_markers},
    runner::{Options, Station, not_built},
    scenario::plan::{BoardKind, Plan, Plant, Servers, ViewerKind},
};
use tokio::task::JoinSet;

use super::{
    session::{Session, SessionArgs, line, progress},
    stop::Stop,
};

/// Labs for each processor: nearly all of a cell's time is waiting.
const LABS_PER_CORE: usize = 2;
/// More labs than this only make the machine's own delays part of the measurement.
const MOST_LABS: usize = 16;

/// Which cells have TURN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Turn {
    With,
    Without,
    Both,
}

/// `matrix`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these kinds on both sides, as EIM/APDF,APDM/APDF. Left out: all eight.
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<Kind>,
    /// With TURN, without, or both.
    #[arg(long, value_enum, default_value = "both")]
    turn: Turn,
    /// Milliseconds from the device to the viewer and back.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(0..=2000))]
    round_trip: u64,
    /// Labs at once. Left out: two for each processor.
    #[arg(long)]
    labs: Option<NonZeroUsize>,
    /// The seed of the first cell; each has the next.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Who watches.
    #[arg(long, value_enum, default_value = "headless")]
    viewer: ViewerKind,
    /// How many milliseconds a connected cell is watched.
    #[arg(long, default_value_t = 1500)]
    settle: u64,
    /// Runs each cell so many times, for medians.
    #[arg(long, default_value = "1")]
    repeat: NonZeroUsize,
    /// Plant a fault in every cell, to see that the rig finds it.
    #[arg(long, value_enum)]
    plant: Option<Plant>,
    /// Writes the tables of docs/nat-matrix.md to this file.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    #[command(flatten)]
    session: SessionArgs,
}

/// Runs all cells.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let selection = Selection {
        kinds: args.kinds.clone(),
        turn: match args.turn {
            Turn::With => vec![true],
            Turn::Without => vec![false],
            Turn::Both => vec![true, false],
        },
        round_trip: Duration::from_millis(args.round_trip),
        seed: args.seed,
        viewer: args.viewer,
    };
    let mut cells = plans(&selection);
    for (_, plan) in &mut cells {
        plan.plant = args.plant;
    }
    let cells = repeated(cells, args.repeat.get());
    let options = args.session.options(Some(Duration::from_millis(args.settle)))?;
    let earlier = args.session.earlier()?;
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    // One board of the other kinds is one board.
    let labs = match options.board {
        BoardKind::Local => args.labs.map_or((cores * LABS_PER_CORE).min(MOST_LABS), NonZeroUsize::get),
        _ => 1,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut session = Session::begin(&options, args.seed);
    let count = cells.len();
    let mut stop = runtime.block_on(async { Stop::listen() })?;
    let records = runtime.block_on(run_all(cells, &options, labs, &mut stop));
    let done = session.conclude(&options, &records, earlier.as_ref())?;
    // Half a table is none.
    if let Some(path) = args.write.as_ref().filter(|_| records.len() == count) {
        write_tables(path, &nat_matrix_markdown(&session.info, &records))?;
    }
    Ok(stop.exit_code(done))
}

/// Puts the tables into a page, between its markers; a page that is not there yet is made.
fn write_tables(path: &Path, tables: &str) -> anyhow::Result<()> {
    let page = match fs::read_to_string(path) {
        Ok(page) => page,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
    };
    let page = put_between_markers(&page, tables).with_context(|| path.display().to_string())?;
    fs::write(path, page).with_context(|| format!("{} cannot be written", path.display()))
}

/// Each cell as often as wanted; the repetitions have seeds and names of their own.
fn repeated(cells: Vec<(Cell, Plan)>, times: usize) -> VecDeque<(Cell, Plan)> {
    let count = cells.len() as u64;
    let mut all = VecDeque::new();
    for turn in 0..times {
        for (cell, plan) in &cells {
            let mut plan = plan.clone();
            plan.seed += count * turn as u64;
            if turn > 0 {
                plan.name += &format!("-{}", turn + 1);
            }
            all.push_back((cell.clone(), plan));
        }
    }
    all
}

/// What the labs share.
struct Work {
    todo: Mutex<VecDeque<(Cell, Plan)>>,
    done: Mutex<Vec<Record>>,
    bar: ProgressBar,
    options: Options,
}

impl Work {
    fn next(&self) -> Option<(Cell, Plan)> {
        self.todo.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    fn finish(&self, record: Record) {
        self.bar.suspend(|| println!("{}", line(&record)));
        self.bar.inc(1);
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }
}

/// Until all have run, or somebody stops it: what has run by then is reported.
async fn run_all(
    cells: VecDeque<(Cell, Plan)>,
    options: &Options,
    labs: usize,
    stop: &mut Stop,
) -> Vec<Record> {
    let bar = progress(cells.len());
    let (todo, done) = (Mutex::new(cells), Mutex::new(Vec::new()));
    let work = Arc::new(Work { todo, done, bar, options: options.clone() });
    let mut workers = JoinSet::new();
    for n in 0..labs {
        workers.spawn(run_lab(work.clone(), format!("{}-{n}", std::process::id())));
    }
    tokio::select! {
        () = async { while workers.join_next().await.is_some() {} } => {}
        () = stop.asked() => work.bar.println("Stopped; what has run is reported."),
    }
    // Labs end with their workers.
    workers.shutdown().await;
    work.bar.finish_and_clear();
    let mut records = std::mem::take(&mut *work.done.lock().unwrap_or_else(PoisonError::into_inner));
    records.sort_by_key(|record| record.seed);
    records
}

/// One lab: a cell after the other. Coturn and hub serve all cells with the same servers.
async fn run_lab(work: Arc<Work>, name: String) {
    let options = &work.options;
    let mut station: Option<(Station, Servers)> = None;
    while let Some((cell, plan)) = work.next() {
        // What was planted must not grow in the next cell.
        let kept = station.take().filter(|(_, servers)| *servers == plan.servers && plan.plant.is_none());
        let (mut ready, servers) = match kept {
            Some(kept) => kept,
            None => match Station::build(&name, &plan, options).await {
                Ok(built) => (built, plan.servers.clone()),
                Err(error) => {
                    work.finish(not_built(&plan, options, Some(cell), &error));
                    continue;
                }
            },
        };
        work.finish(ready.run(&plan, options, Some(cell)).await);
        station = Some((ready, servers));
    }
}
