//! Hands the output of `git describe` to `--version`, where the source is a git checkout; a tarball has none.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

fn main() {
    // Without any such line cargo would run this again for every change in the package.
    println!("cargo::rerun-if-changed=build.rs");
    let manifest = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let Some(workspace) = manifest.parent() else { return };
    // A tarball may lie inside somebody else's repository.
    let Some(top) = git(workspace, &["rev-parse", "--show-toplevel"]) else { return };
    if Path::new(&top).canonicalize().ok() != workspace.canonicalize().ok() {
        return;
    }
    // A missing path would make cargo run this every time. HEAD's log changes with each commit and checkout.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(workspace, &["rev-parse", "--git-path", name]) {
            let path = workspace.join(path);
            if path.exists() {
                println!("cargo::rerun-if-changed={}", path.display());
            }
        }
    }
    if let Some(describe) = git(workspace, &["describe", "--tags", "--always"]) {
        let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
        println!("cargo::rustc-env=AGENT_VERSION={version} ({describe})");
    }
}

fn git(dir: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(dir).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
