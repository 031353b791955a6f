//! `p2pcam-hil clean`.

use std::process::ExitCode;

use p2pcam_hil::lab::leftovers::{clean, leftovers};

/// Removes what killed rigs left over.
pub fn run() -> anyhow::Result<ExitCode> {
    let found = leftovers();
    if found.is_empty() {
        println!("Nothing is left over.");
    }
    let mut all = true;
    for name in found {
        match clean(&name) {
            Ok(()) => println!("removed {name}"),
            Err(why) => {
                all = false;
                println!("left {name}: {why}");
            }
        }
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
