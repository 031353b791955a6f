//! `p2pcam-hil check` and `p2pcam-hil new`.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use p2pcam_hil::scenario::{self, plan::Plan};

/// `check`
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Scenario files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// `new`
#[derive(Debug, clap::Args)]
pub struct NewArgs {
    /// Where to write it; left out: to the standard output. A file that is there is not overwritten.
    file: Option<PathBuf>,
}

/// Tells every mistake in every file.
pub fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let mut wrong = false;
    for file in &args.files {
        match read(file) {
            Ok(plan) => println!("{}: \"{}\" is well-formed", file.display(), plan.name),
            Err(error) => {
                wrong = true;
                eprintln!("{error:#}");
            }
        }
    }
    Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Writes the example.
pub fn new(args: &NewArgs) -> anyhow::Result<ExitCode> {
    let Some(path) = &args.file else {
        print!("{}", scenario::example());
        return Ok(ExitCode::SUCCESS);
    };
    match File::create_new(path) {
        Ok(mut file) => file.write_all(scenario::example().as_bytes()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} is there already: name another file", path.display())
        }
        Err(error) => Err(error),
    }
    .with_context(|| format!("{} cannot be written", path.display()))?;
    println!("Wrote {}. Change it, then: p2pcam-hil check {0}", path.display());
    Ok(ExitCode::SUCCESS)
}

/// Reads a scenario file.
pub fn read(path: &Path) -> anyhow::Result<Plan> {
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    scenario::read(&text, &path.display().to_string()).map_err(|problems| anyhow::anyhow!("{problems}"))
}
