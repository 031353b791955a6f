//! coturn as STUN and TURN server on loopback.

use std::{
    net::UdpSocket,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{free_port, require};

/// A running `turnserver`, ended when dropped.
pub struct Coturn {
    child: Child,
    pub port: u16,
    pub secret: String,
    _folder: tempfile::TempDir,
}

impl Coturn {
    /// Starts it with `use-auth-secret`. A port that was free may be taken a moment later: it ends then, and another one is
    /// tried.
    pub fn start() -> Self {
        (0..5).find_map(|_| Self::try_start()).expect("turnserver answers")
    }

    fn try_start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let secret = "only for this test".to_owned();
        let child = Command::new(require("turnserver"))
            .args(["-n", "--no-cli", "--no-tls", "--no-dtls", "--allow-loopback-peers", "--fingerprint"])
            .args(["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "--realm=p2pcam.example"])
            .args(["--use-auth-secret", &format!("--static-auth-secret={secret}")])
            .arg(format!("--listening-port={port}"))
            .arg(format!("--userdb={}", folder.path().join("turndb").display()))
            .arg(format!("--pidfile={}", folder.path().join("pid").display()))
            .args(["--log-file=stdout", "--simple-log"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("turnserver starts");
        let mut server = Self { child, port, secret, _folder: folder };
        server.is_ready().then_some(server)
    }

    /// Asks with a STUN binding request until it answers or has ended.
    fn is_ready(&mut self) -> bool {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        let request = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let _ = socket.send_to(&request, ("127.0.0.1", self.port));
            if socket.recv(&mut [0; 512]).is_ok() {
                return true;
            }
            if self.child.try_wait().expect("its state").is_some() {
                return false;
            }
            assert!(Instant::now() < deadline, "turnserver does not answer");
        }
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
