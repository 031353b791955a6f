//! Chromium, driven through chromedriver, on the viewer page.

use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use super::{eventually, free_port, require};

/// Frequency of the fake microphone in hertz: away from the agent's own 440 Hz tone.
pub const MICROPHONE_HZ: f64 = 1000.0;

/// One browser window, ended when dropped.
pub struct Browser {
    driver: Child,
    pub client: Client,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts headless Chromium with a fake microphone that gives [`MICROPHONE_HZ`].
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with further arguments.
    pub async fn start_with(more: &[String]) -> Self {
        let profile = tempfile::tempdir().expect("a temporary folder");
        let microphone = profile.path().join("microphone.wav");
        write_tone(&microphone, MICROPHONE_HZ);
        let port = free_port();
        let driver = Command::new(require("chromedriver"))
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Its browser's processes join its group and end with it.
            .process_group(0)
            .spawn()
            .expect("chromedriver starts");
        let mut args = vec![
            "--headless".to_owned(),
            "--no-sandbox".into(),
            "--disable-gpu".into(),
            "--disable-quic".into(),
            "--no-first-run".into(),
            "--disable-background-networking".into(),
            "--disable-component-update".into(),
            "--disable-sync".into(),
            "--use-fake-device-for-media-stream".into(),
            "--use-fake-ui-for-media-stream".into(),
            format!("--use-file-for-fake-audio-capture={}", microphone.display()),
            "--autoplay-policy=no-user-gesture-required".into(),
            format!("--user-data-dir={}", profile.path().join("profile").display()),
        ];
        args.extend_from_slice(more);
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": require("chromium"), "args": args },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("an object literal") };
        let address = format!("http://127.0.0.1:{port}");
        let client = eventually("chromedriver gives a browser", Duration::from_secs(30), || {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            builder.capabilities(capabilities.clone());
            let address = address.clone();
            async move { builder.connect(&address).await.ok() }
        })
        .await;
        Self { driver, client, _profile: profile }
    }

    /// Opens a page; a change of the fragment alone would not load it again.
    pub async fn open(&self, url: &str) {
        self.client.goto("about:blank").await.expect("a blank page");
        self.client.goto(url).await.expect("the page loads");
    }

    /// Evaluates an expression in the page.
    pub async fn eval(&self, expression: &str) -> Value {
        let script = format!("return {expression};");
        self.client.execute(&script, Vec::new()).await.unwrap_or_else(|e| panic!("{expression}: {e}"))
    }

    /// Runs a body that calls `done(value)`.
    pub async fn eval_async(&self, body: &str) -> Value {
        let script = format!("const done = arguments[arguments.length - 1]; {body}");
        self.client.execute_async(&script, Vec::new()).await.unwrap_or_else(|e| panic!("{body}: {e}"))
    }

    /// Waits until an expression is true.
    pub async fn wait(&self, what: &str, expression: &str, within: Duration) {
        let script = format!("return !!({expression});");
        eventually(what, within, || async {
            let value = self.client.execute(&script, Vec::new()).await;
            value.ok().and_then(|v| v.as_bool()).filter(|ok| *ok)
        })
        .await;
    }

    /// Waits for the first decoded picture.
    pub async fn wait_picture(&self) {
        self.wait(
            "a picture",
            "window.p2pcam && window.p2pcam.firstPictureMs != null",
            Duration::from_secs(20),
        )
        .await;
    }

    /// A value of the receiver's statistics: `kind` is `video` or `audio`, `key` a W3C inbound-rtp member.
    pub async fn inbound(&self, kind: &str, key: &str) -> f64 {
        self.report("inbound-rtp", kind, key).await.as_f64().unwrap_or_default()
    }

    /// Any member of the first report of a type (and kind).
    pub async fn report(&self, report: &str, kind: &str, key: &str) -> Value {
        let body = format!(
            "const pc = window.p2pcam.peerConnection; if (!pc) return done(null);
             pc.getStats().then(all => {{
               for (const r of all.values())
                 if (r.type === '{report}' && (!'{kind}' || r.kind === '{kind}') && '{key}' in r) return done(r['{key}']);
               done(null);
             }}, () => done(null));"
        );
        self.eval_async(&body).await
    }

    /// MIME type of what is decoded.
    pub async fn video_codec(&self) -> String {
        let body = "const pc = window.p2pcam.peerConnection;
            pc.getStats().then(all => {
              const video = [...all.values()].find(r => r.type === 'inbound-rtp' && r.kind === 'video');
              done(video && video.codecId ? all.get(video.codecId).mimeType : '');
            }, () => done(''));";
        self.eval_async(body).await.as_str().unwrap_or_default().to_owned()
    }

    /// Mean and variance of the luma of the picture on the page.
    pub async fn luma(&self) -> (f64, f64) {
        let body = "const v = document.querySelector('video'); const c = document.createElement('canvas');
            c.width = 160; c.height = 90; const g = c.getContext('2d'); g.drawImage(v, 0, 0, 160, 90);
            const d = g.getImageData(0, 0, 160, 90).data; let s = 0, q = 0, n = d.length / 4;
            for (let i = 0; i < d.length; i += 4) { const y = .299*d[i] + .587*d[i+1] + .114*d[i+2]; s += y; q += y*y; }
            done([s / n, q / n - (s / n) * (s / n)]);";
        let value = self.eval_async(body).await;
        (value[0].as_f64().unwrap_or_default(), value[1].as_f64().unwrap_or_default())
    }

    /// Picture size on the page.
    pub async fn size(&self) -> (u64, u64) {
        let v = self
            .eval("[document.querySelector('video').videoWidth, document.querySelector('video').videoHeight]")
            .await;
        (v[0].as_u64().unwrap_or_default(), v[1].as_u64().unwrap_or_default())
    }

    /// Waits until `count` more pictures are decoded.
    pub async fn wait_frames(&self, count: f64) {
        let before = self.inbound("video", "framesDecoded").await;
        eventually("pictures go on", Duration::from_secs(15), || async {
            (self.inbound("video", "framesDecoded").await >= before + count).then_some(())
        })
        .await;
    }

    /// Lets the sound play; a page begins muted.
    pub async fn unmute(&self) {
        self.eval("(document.querySelector('video').muted = false, true)").await;
    }

    /// Closes the window as a person does.
    pub async fn close(self) {
        let _ = self.client.clone().close().await;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = format!("-{}", self.driver.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.driver.wait();
    }
}

/// A WAV file with ten seconds of a tone: 48 kHz, mono, 16 bit.
fn write_tone(path: &Path, hertz: f64) {
    const RATE: u32 = 48_000;
    let samples = (0..RATE * 10).map(|i| {
        let phase = f64::from(i) * hertz * std::f64::consts::TAU / f64::from(RATE);
        (phase.sin() * 12_000.0) as i16
    });
    let data: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
    let mut file = Vec::with_capacity(data.len() + 44);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(data.len() as u32 + 36).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16u32.to_le_bytes());
    file.extend_from_slice(&1u16.to_le_bytes());
    file.extend_from_slice(&1u16.to_le_bytes());
    file.extend_from_slice(&RATE.to_le_bytes());
    file.extend_from_slice(&(RATE * 2).to_le_bytes());
    file.extend_from_slice(&2u16.to_le_bytes());
    file.extend_from_slice(&16u16.to_le_bytes());
    file.extend_from_slice(b"data");
    file.extend_from_slice(&(data.len() as u32).to_le_bytes());
    file.extend_from_slice(&data);
    std::fs::write(path, file).expect("the temporary folder is writable");
}
