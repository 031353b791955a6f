//! Logs in the page and links to what lies beside it.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use super::markup::{Html, link, put};
use crate::record::{Artefact, Outcome, Record};

/// Lines of a log's end that go into the page.
const LINES: usize = 200;
/// Bytes of a log's end at most, where something went wrong ...
const FAULT_BYTES: usize = 64 << 10;
/// ... and where nothing did: a matrix has hundreds of logs.
const PASSED_BYTES: usize = 6 << 10;

/// What all logs together may still take of the page.
pub struct Room(usize);

impl Default for Room {
    /// A browser opens a page of some megabytes at once, and mail servers still take it.
    fn default() -> Self {
        Self(6 << 20)
    }
}

/// The end of a log.
struct Tail {
    text: String,
    /// How much of it that is, if not all.
    cut: Option<String>,
}

/// Links to a record's files, with the ends of its logs.
pub fn write(page: &mut Html, folder: &Path, record: &Record, room: &mut Room) {
    if record.files.is_empty() {
        return;
    }
    put!(page; "<h4>Files</h4>");
    let limit = if record.verdict.outcome == Outcome::Passed { PASSED_BYTES } else { FAULT_BYTES };
    for artefact in &record.files {
        let Some(target) = link(&artefact.path) else {
            put!(page; "<p class=\"file\">" (artefact.what) ": " (artefact.path.display())
                " lies outside of the report</p>");
            continue;
        };
        if !is_log(artefact) {
            put!(page; "<p class=\"file\"><a href=\"" (target) "\">" (artefact.what) "</a> <span class=\"path\">"
                (artefact.path.display()) "</span></p>");
            continue;
        }
        match tail(&folder.join(&artefact.path), limit.min(room.0)) {
            Ok(Some(tail)) => {
                room.0 = room.0.saturating_sub(tail.text.len());
                put!(page; "<details class=\"log\"><summary>" (artefact.what) "</summary><p class=\"file\">");
                if let Some(cut) = &tail.cut {
                    put!(page; (cut) " of ");
                }
                put!(page; "<a href=\"" (target) "\">" (artefact.path.display()) "</a></p>");
                put!(page; "<pre tabindex=\"0\">" (tail.text) "</pre></details>");
            }
            Ok(None) => {
                put!(page; "<p class=\"file\"><a href=\"" (target) "\">" (artefact.what) "</a> <span class=\"path\">"
                    (artefact.path.display()) "</span></p>");
            }
            Err(error) => {
                put!(page; "<p class=\"file\">" (artefact.what) ": " (artefact.path.display()) " cannot be read: "
                    (error) "</p>");
            }
        }
    }
}

/// Whether its text belongs into the page; captures and core dumps do not, however they look inside.
fn is_log(artefact: &Artefact) -> bool {
    let extension =
        artefact.path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    !matches!(extension.as_deref(), Some("pcap" | "pcapng" | "core" | "gz" | "xz" | "zst" | "png" | "mp4"))
}

/// The last lines of a text file, of at most so many bytes; none if it is no text.
fn tail(path: &Path, limit: usize) -> io::Result<Option<Tail>> {
    // A pipe or a device would block.
    if !fs::metadata(path)?.is_file() {
        return Ok(None);
    }
    let mut file = File::open(path)?;
    let whole = file.metadata()?.len();
    let skipped = whole.saturating_sub(limit as u64);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(limit as u64).read_to_end(&mut bytes)?;
    if bytes.contains(&0) {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_end_matches('\n');
    let mut lines: Vec<&str> = text.split('\n').collect();
    if skipped > 0 && lines.len() > 1 {
        // Its beginning is missing.
        lines.remove(0);
    }
    let first = lines.len().saturating_sub(LINES);
    let cut = if limit == 0 && whole > 0 {
        Some("the page's room for logs is used up: nothing".to_owned())
    } else if skipped > 0 || first > 0 {
        let kept = lines.len() - first;
        Some(format!("the last {}", super::super::units::count(kept, "line")))
    } else {
        None
    };
    let text = lines.split_off(first).join("\n");
    Ok(Some(Tail { text, cut }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_cut_to_its_last_lines_and_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.log");
        let text: String = (0..1000).map(|line| format!("line {line}\n")).collect();
        fs::write(&path, &text).expect("written");
        let by_lines = tail(&path, 1 << 20).expect("read").expect("text");
        assert!(by_lines.text.starts_with("line 800\n") && by_lines.text.ends_with("line 999"));
        assert_eq!(by_lines.cut.as_deref(), Some("the last 200 lines"));
        let by_bytes = tail(&path, 30).expect("read").expect("text");
        assert_eq!(by_bytes.text, "line 997\nline 998\nline 999");
        let none = tail(&path, 0).expect("read").expect("text");
        assert!(none.text.is_empty() && none.cut.is_some_and(|words| words.contains("used up")));
    }

    #[test]
    fn what_is_no_text_is_only_linked() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("core");
        fs::write(&path, b"\x7fELF\0\0").expect("written");
        assert!(tail(&path, 1000).expect("read").is_none());
        assert!(tail(folder.path(), 1000).expect("read").is_none());
        assert!(tail(&folder.path().join("gone"), 1000).is_err());
    }
}
