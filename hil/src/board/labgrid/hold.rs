//! A place that is held for the rig, and released however the rig ends.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{
    client::{ASK, Client},
    place::{Holder, Place},
};
use crate::board::BoardError;

/// What releases the place: a shell that waits for its input to end, which happens too when the rig is killed. A line
/// there says that the board was switched on and is to be switched off. Ctrl-C and the end of a terminal pass it by.
const GUARD: &str = r#"
trap "" INT TERM HUP
power=
while read -r word; do power=$word; done
[ -z "$power" ] || timeout 30 "$0" "$@" power off
timeout 30 "$0" "$@" release
"#;
/// How long the end of a run may wait for that; it goes on without being waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often the end is looked for.
const GLANCE: Duration = Duration::from_millis(50);

/// A held place. Dropping it switches the board off, if the rig switched it on, and releases the place.
#[derive(Debug)]
pub struct Hold {
    guard: Child,
    input: Option<ChildStdin>,
}

impl Hold {
    /// Acquires the place; it as it is then, with the resources that it got.
    ///
    /// # Errors
    /// Somebody else holds it, who is named; a resource is missing; no coordinator.
    pub async fn acquire(client: &Client, log: &Path) -> Result<(Self, Place), BoardError> {
        let before = client.show().await?;
        if let Some(holder) = &before.holder {
            return Err(held(&before.name, holder));
        }
        if let Err(error) = client.run(&["acquire"], ASK).await {
            // Somebody may have been faster.
            return Err(match client.show().await?.holder {
                Some(holder) => held(&before.name, &holder),
                None => error,
            });
        }
        let hold = Self::guarded(client, log).map_err(|error| {
            BoardError::Unavailable(format!("the shell that releases the place cannot be started: {error}"))
        });
        let hold = match hold {
            Ok(hold) => hold,
            Err(error) => {
                client.run(&["release"], ASK).await?;
                return Err(error);
            }
        };
        Ok((hold, client.show().await?))
    }

    fn guarded(client: &Client, log: &Path) -> io::Result<Self> {
        let (program, words) = client.call();
        let log = File::create(log)?;
        let mut command = Command::new("sh");
        command.arg("-c").arg(GUARD).arg(program).args(words).process_group(0);
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        command.envs(client.surroundings());
        let mut guard = command.spawn()?;
        let input = guard.stdin.take();
        Ok(Self { guard, input })
    }

    /// From now on the board is to be switched off at the end.
    ///
    /// # Errors
    /// The shell that would do it is gone.
    pub fn switch_off_at_end(&mut self) -> io::Result<()> {
        match &mut self.input {
            Some(input) => input.write_all(b"power\n"),
            None => Ok(()),
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        drop(self.input.take());
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.guard.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(GLANCE);
        }
    }
}

fn held(place: &str, holder: &Holder) -> BoardError {
    BoardError::Unavailable(format!(
        "the labgrid place {place} is held by {holder}. Wait until it is released; if it was left over from a rig that \
         was cut off, that user releases it with `labgrid-client -p {place} release`, anybody else with `release --kick`"
    ))
}
