//! What labgrid is told for one lab: where the board is, and that SSH to it starts in the lab's namespace.
//!
//! labgrid's client itself stays in the machine's network, where coordinator and exporter are. Only the program that it
//! calls for SSH to the board is another one (`tools` in labgrid's environment file).

use std::{
    fs, io,
    net::Ipv4Addr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Name of the resource and the driver that lead to the board.
pub const NAME: &str = "p2pcam-hil";

/// What the files say.
#[derive(Clone, Copy, Debug)]
pub struct Environment<'a> {
    /// The place.
    pub place: &'a str,
    /// The lab's namespace.
    pub namespace: &'a str,
    /// The board's address there.
    pub address: Ipv4Addr,
    /// Its user, who is root or can do as root.
    pub user: &'a str,
    /// The user's password, if there is no key.
    pub password: Option<&'a str>,
    /// SSH's port.
    pub port: u16,
    /// Private key; none: what SSH finds itself.
    pub key: Option<&'a Path>,
}

impl Environment<'_> {
    /// Writes them into a folder; the path of the environment file.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<PathBuf> {
        let ssh = folder.join("ssh");
        // labgrid starts it without PATH if there is a password, so the shell's own PATH must do.
        fs::write(&ssh, format!("#!/bin/sh\nexec ip netns exec {} ssh \"$@\"\n", self.namespace))?;
        fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755))?;
        let file = folder.join("labgrid.yaml");
        fs::write(&file, self.yaml(&ssh))?;
        // It may hold a password.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        Ok(file)
    }

    fn yaml(&self, ssh: &Path) -> String {
        let text = |value: &str| serde_json::Value::from(value).to_string();
        let path = |path: &Path| text(&path.to_string_lossy());
        let password = self.password.map(|password| format!("          password: {}\n", text(password)));
        let key = self.key.map(|key| format!("          keyfile: {}\n", path(key)));
        // A string of JSON is one of YAML (YAML 1.2.2, section 1.2).
        format!(
            "targets:\n  main:\n    resources:\n      - RemotePlace:\n          name: {place}\n      - NetworkService:\n          \
             name: {NAME}\n          address: {address}\n          port: {port}\n          username: {user}\n{password}    \
             drivers:\n      - SSHDriver:\n          name: {NAME}\n          bindings:\n            networkservice: {NAME}\n{key}tools:\n  \
             ssh: {ssh}\n",
            place = text(self.place),
            address = text(&self.address.to_string()),
            port = self.port,
            user = text(self.user),
            password = password.unwrap_or_default(),
            key = key.unwrap_or_default(),
            ssh = path(ssh),
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ssh_goes_through_the_labs_namespace_and_the_file_is_its_owners() {
        let folder = tempfile::tempdir().unwrap();
        let environment = Environment {
            place: "a \"b\"",
            namespace: "p2phil-x-dev",
            address: Ipv4Addr::new(192, 168, 1, 2),
            user: "root",
            password: Some("pi: yes"),
            port: 22,
            key: None,
        };
        let file = environment.write(folder.path()).unwrap();
        let yaml = fs::read_to_string(&file).unwrap();
        assert!(yaml.contains("name: \"a \\\"b\\\"\"") && yaml.contains("password: \"pi: yes\""), "{yaml}");
        assert!(
            yaml.ends_with(&format!("tools:\n  ssh: \"{}\"\n", folder.path().join("ssh").display())),
            "{yaml}"
        );
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let ssh = fs::read_to_string(folder.path().join("ssh")).unwrap();
        assert_eq!(ssh, "#!/bin/sh\nexec ip netns exec p2phil-x-dev ssh \"$@\"\n");
    }
}
