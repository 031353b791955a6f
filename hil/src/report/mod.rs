//! The report of a run: `report.json` holds all of it, `junit.xml` is for CI, `report.html` for people.
//!
//! It shows what others found; it judges nothing. How to read it: docs/reports.md.

mod candidate;
mod compare;
mod html;
mod json;
mod junit;
mod matrix;
mod matrix_table;
mod run;
mod units;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::record::Record;

pub use candidate::Candidate;
pub use compare::{Change, FigureChange, Trend, compare, label};
pub use json::{Report, ReportError, SCHEMA, read};
pub use matrix_table::{BEGIN, END, MarkerError, nat_matrix_markdown, put_between_markers};
pub use run::{Machine, RunInfo, git_describe};

/// File of the whole report, in the report's folder.
pub const JSON: &str = "report.json";
/// File for CI.
pub const JUNIT: &str = "junit.xml";
/// File for people.
pub const HTML: &str = "report.html";

/// Writes the three files into a folder, which is made if it is missing; the paths written. Logs that the records name
/// are read from the folder: they must be there before.
///
/// With an earlier report the page says what changed since.
///
/// # Errors
///
/// That the folder or a file cannot be written, with its path.
pub fn write(
    folder: &Path,
    run: &RunInfo,
    records: &[Record],
    earlier: Option<&Report>,
) -> io::Result<Vec<PathBuf>> {
    let named = |path: &Path, error: io::Error| {
        io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()))
    };
    fs::create_dir_all(folder).map_err(|error| named(folder, error))?;
    let mut written = Vec::new();
    let files: [(&str, Vec<u8>); 3] = [
        (JSON, json::text(run, records)?),
        (JUNIT, junit::text(run, records)?.into_bytes()),
        (HTML, html::page(folder, run, records, earlier).into_bytes()),
    ];
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(|error| named(&path, error))?;
        written.push(path);
    }
    Ok(written)
}
