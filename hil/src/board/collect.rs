//! What is kept of a run on a board: files in the report's folder, each with a name for people.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::record::Artefact;

/// Files that were put into a folder.
#[derive(Debug)]
pub struct Collection {
    folder: PathBuf,
    files: Vec<Artefact>,
}

impl Collection {
    /// Into this folder, which is made with its first file.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), files: Vec::new() }
    }

    /// A text; an empty one is left out.
    pub fn text(&mut self, what: &str, name: &str, text: &str) {
        self.bytes(what, name, text.as_bytes());
    }

    /// Bytes; none are left out.
    pub fn bytes(&mut self, what: &str, name: &str, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.add(what, name, |path| fs::write(path, bytes));
        }
    }

    /// A copy of a file; one that is empty or not there is left out.
    pub fn copy(&mut self, what: &str, name: &str, from: &Path) {
        if from.metadata().is_ok_and(|meta| meta.is_file() && meta.len() > 0) {
            self.add(what, name, |path| fs::copy(from, path).map(drop));
        }
    }

    /// What it comes to.
    pub fn finish(self) -> Vec<Artefact> {
        self.files
    }

    fn add(&mut self, what: &str, name: &str, write: impl FnOnce(&Path) -> io::Result<()>) {
        let path = self.folder.join(name);
        let written = fs::create_dir_all(&self.folder).and_then(|()| write(&path));
        match written {
            Ok(()) => self.files.push(Artefact { what: what.to_owned(), path: name.into() }),
            // The run is judged all the same; who looks for the file learns why it is not there.
            Err(error) => eprintln!("{what} could not be kept as {}: {error}", path.display()),
        }
    }
}

/// Files of a folder whose names begin with `start`, by name; none if there is no such folder.
pub fn files_named(folder: &Path, start: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(start))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_kept_under_names_relative_to_the_folder_and_the_rest_is_left_out() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("core.1"), "core").unwrap();
        fs::write(place.path().join("empty"), "").unwrap();
        let folder = place.path().join("board");
        let mut collection = Collection::new(&folder);
        collection.text("the metrics", "metrics.txt", "up 1\n");
        collection.text("the journal", "journal.txt", "");
        collection.copy("a log", "log.txt", &place.path().join("empty"));
        for core in files_named(place.path(), "core") {
            collection.copy("a core dump", "core", &core);
        }
        let files = collection.finish();
        let names: Vec<_> =
            files.iter().map(|file| (file.what.as_str(), file.path.to_str().unwrap())).collect();
        assert_eq!(names, [("the metrics", "metrics.txt"), ("a core dump", "core")]);
        assert_eq!(fs::read_to_string(folder.join("core")).unwrap(), "core");
    }
}
