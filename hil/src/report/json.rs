//! `report.json`: written whole, and read again for the trend.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::RunInfo;
use crate::record::Record;

/// Version of the file's form. It grows when a reader of the form before would misunderstand it; fields that are added
/// do not change it.
pub const SCHEMA: u32 = 1;

/// What the field `kind` says, so that another program's JSON is not taken for a report.
const KIND: &str = "p2pcam-hil report";

/// A report of 1000 cells takes some 30 MB; what is much larger is no report.
const LARGEST: u64 = 512 << 20;

/// A report as read.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What ran.
    pub run: RunInfo,
    /// What was seen.
    pub records: Vec<Record>,
}

/// Why a report cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file cannot be read.
    #[error("cannot read the earlier report {path}: {error}", path = .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Another file.
    #[error("{path} is no report of p2pcam-hil ({why}): name a report.json that it wrote", path = .path.display())]
    Other {
        /// Which.
        path: PathBuf,
        /// How it was seen.
        why: String,
    },
    /// From a later version of p2pcam-hil.
    #[error(
        "{path} was written by a newer p2pcam-hil (form {found}; this one reads up to {SCHEMA}): compare with the \
         version that wrote it, or make the earlier report again with this one",
        path = .path.display()
    )]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its form.
        found: u32,
    },
    /// Cut off or edited.
    #[error("{path} is damaged: {why}; take another copy or make it again", path = .path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What and where.
        why: String,
    },
}

/// The file's beginning, which every version can read.
#[derive(Deserialize)]
struct Head {
    kind: Option<String>,
    schema: Option<u32>,
}

/// The whole file as it is written.
#[derive(Serialize)]
struct Written<'a> {
    kind: &'static str,
    schema: u32,
    run: &'a RunInfo,
    records: &'a [Record],
}

/// The same as it is read.
#[derive(Deserialize)]
struct Body {
    run: RunInfo,
    records: Vec<Record>,
}

/// The file's bytes.
pub(super) fn text(run: &RunInfo, records: &[Record]) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(&Written { kind: KIND, schema: SCHEMA, run, records })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads a `report.json`; given a folder, the one in it.
///
/// # Errors
///
/// See [`ReportError`].
pub fn read(path: &Path) -> Result<Report, ReportError> {
    let path = if path.is_dir() { path.join(super::JSON) } else { path.to_owned() };
    let mut bytes = Vec::new();
    File::open(&path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| ReportError::Io { path: path.clone(), error })?;
    if bytes.len() as u64 > LARGEST {
        return Err(ReportError::Other { path, why: format!("it is larger than {} MiB", LARGEST >> 20) });
    }
    parse(&path, &bytes)
}

/// The report in these bytes; the path is for the words of the error.
fn parse(path: &Path, bytes: &[u8]) -> Result<Report, ReportError> {
    let path = || path.to_owned();
    let damaged = |error: serde_json::Error| ReportError::Damaged { path: path(), why: error.to_string() };
    let head: Head = serde_json::from_slice(bytes).map_err(|error| {
        // A report that was cut off still begins like one.
        let begins = String::from_utf8_lossy(&bytes[..bytes.len().min(64)]).contains(KIND);
        if begins { damaged(error) } else { ReportError::Other { path: path(), why: error.to_string() } }
    })?;
    match (head.kind.as_deref(), head.schema) {
        (Some(KIND), Some(found)) if found > SCHEMA => Err(ReportError::Newer { path: path(), found }),
        (Some(KIND), Some(1..)) => {
            let Body { run, records } = serde_json::from_slice(bytes).map_err(damaged)?;
            Ok(Report { run, records })
        }
        _ => {
            Err(ReportError::Other { path: path(), why: format!("it has no kind \"{KIND}\" with a schema") })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> String {
        parse(Path::new("old.json"), text.as_bytes()).map(|_| ()).expect_err(text).to_string()
    }

    #[test]
    fn a_wrong_file_is_told_from_a_newer_and_a_damaged_one() {
        assert!(words("<html>").contains("no report of p2pcam-hil"));
        assert!(words("{}").contains("no report of p2pcam-hil"));
        assert!(words(r#"{"kind":"other","schema":1}"#).contains("no report of p2pcam-hil"));
        let newer = words(r#"{"kind":"p2pcam-hil report","schema":2,"records":"other"}"#);
        assert!(newer.contains("newer p2pcam-hil") && newer.contains("old.json"), "{newer}");
        assert!(words(r#"{"kind":"p2pcam-hil report","schema":1}"#).contains("damaged"));
        assert!(words(r#"{"kind":"p2pcam-hil report","sche"#).contains("damaged"));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = read(Path::new("/nowhere/report.json")).expect_err("there is none");
        assert!(error.to_string().contains("/nowhere/report.json"), "{error}");
    }
}
