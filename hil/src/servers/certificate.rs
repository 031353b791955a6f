//! The certificate of the lab's TURN server over TLS: self-signed, good for its addresses and its name.

use std::{
    fs,
    io::{self, Write},
    net::IpAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::{ServerError, TURN_NAME};

/// The files, and the certificate's text.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) file: PathBuf,
    pub(super) key_file: PathBuf,
    pub(super) pem: String,
}

impl Certificate {
    /// Makes one for the name and the addresses, and writes it into the folder.
    pub(super) fn make(folder: &Path, addresses: &[IpAddr]) -> Result<Self, ServerError> {
        let names: Vec<String> =
            addresses.iter().map(ToString::to_string).chain([TURN_NAME.to_owned()]).collect();
        let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other);
        let made = made.map_err(ServerError::failed("no certificate for TURN can be made"))?;
        let (file, key_file) = (folder.join("turn.pem"), folder.join("turn-key.pem"));
        let pem = made.cert.pem();
        fs::write(&file, &pem).map_err(ServerError::file(&file))?;
        write_private(&key_file, &made.signing_key.serialize_pem())?;
        Ok(Self { file, key_file, pem })
    }
}

/// Writes a file that only its owner can read, whatever was there.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), ServerError> {
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(ServerError::file(path))
}
