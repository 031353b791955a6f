//! `p2pcam-hil clean`.

use std::process::ExitCode;

use p2pcam_hil::{
    lab::leftovers::{Cleaned, clean},
    runner::private,
};

/// Removes what killed rigs left over.
pub fn run() -> anyhow::Result<ExitCode> {
    let Cleaned { removed, in_use, failed, given_back } = clean(None);
    let folders = private::clean();
    if removed.is_empty() && failed.is_empty() && folders.is_empty() {
        println!("Nothing is left over.");
    }
    for leftover in &removed {
        println!("removed {}", leftover.namespace);
        for (id, name) in &leftover.processes {
            println!("  ended {name} ({id})");
        }
    }
    for folder in folders {
        println!("removed {}", folder.display());
    }
    for name in given_back {
        println!("gave {name} back to this machine");
    }
    for leftover in in_use {
        let owner = leftover.owner.map_or_else(String::new, |owner| format!(" (process {owner})"));
        println!("left {}: its rig runs{owner}", leftover.namespace);
    }
    for (name, why) in &failed {
        println!("could not remove {name}: {why}");
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
