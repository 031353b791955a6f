//! What the driver says to a sender and hears of it: one JSON object a line.

use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};

/// From the driver.
#[derive(Debug, Deserialize)]
pub struct Request {
    /// Names the viewer.
    pub id: String,
    /// A viewer's offer, with all candidates.
    pub offer: Option<String>,
    /// Where a viewer without a connection receives, for a sender that makes none.
    pub sink: Option<String>,
    /// The viewer is gone.
    #[serde(default)]
    pub bye: bool,
}

/// To the driver.
#[derive(Debug, Serialize)]
pub struct Reply {
    /// Names the viewer.
    pub id: String,
    /// The answer, with all candidates.
    pub answer: String,
}

/// Calls with each line of standard input until it ends.
pub fn read<T: for<'a> Deserialize<'a>>(mut with: impl FnMut(T)) -> anyhow::Result<()> {
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if !line.trim().is_empty() {
            with(serde_json::from_str(&line)?);
        }
    }
    Ok(())
}

/// Writes a line to standard output.
pub fn write(value: &impl Serialize) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}
