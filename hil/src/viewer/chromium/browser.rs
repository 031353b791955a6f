//! Chromium without a window, in a namespace, driven through chromedriver.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use fantoccini::{Client, ClientBuilder, wd::WebDriverCompatibleCommand};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::http::Method;
use url::{ParseError, Url};

use super::connector::Inside;
use crate::{
    lab::namespace::Namespace,
    process::{Program, Spec, find},
};

/// Chromium takes 1 s where the machine is idle; several start at once in a matrix.
const STARTED: Duration = Duration::from_secs(40);
/// How often it is looked whether chromedriver answers.
const LOOK: Duration = Duration::from_millis(100);
/// chromedriver ends its browser when it is asked to end.
const STOPPED: Duration = Duration::from_secs(3);
/// A page of a hub that answers is there at once; without a path the browser waits long.
const PAGE_LOADED: Duration = Duration::from_secs(15);

/// A browser with one window. Dropping it kills it.
#[derive(Debug)]
pub struct Browser {
    driver: Program,
    client: Client,
    // After the driver: nobody writes into it any more when it is removed.
    _files: Files,
}

/// The browser's profile and what it leaves about, removed when dropped.
#[derive(Debug)]
struct Files(PathBuf);

impl Files {
    fn create(folder: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self(folder.to_owned()))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // A process that just now ended may have left a file meanwhile: then some kilobytes stay in the run's folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How it is started.
#[derive(Debug)]
pub struct Start<'a> {
    /// Where; `None`: the rig's own network.
    pub namespace: Option<&'a Namespace>,
    /// Where chromedriver's words and, while it runs, the profile are.
    pub folder: &'a Path,
    /// File name of the words.
    pub log: &'a str,
    /// Takes any certificate, as that of a lab's `turns:` server. The page comes by plain HTTP.
    pub any_certificate: bool,
    /// A script that runs in each page before its own.
    pub before: &'a str,
}

impl Browser {
    /// Starts both; what is missing, in words, if it cannot.
    pub async fn start(start: Start<'_>) -> Result<Self, String> {
        let words = |error: crate::process::ProcessError| error.to_string();
        let driver = find("chromedriver", "chromium-driver").map_err(words)?;
        let chromium = find("chromium", "chromium").map_err(words)?;
        let port =
            free_port(start.namespace).map_err(|error| format!("no port for chromedriver: {error}"))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let files = Files::create(&start.folder.join(format!("{}.d", start.log)));
        let files = files.map_err(|error| format!("no folder for the browser: {error}"))?;
        let spec = Spec {
            what: "chromedriver",
            program: &driver,
            args: vec![format!("--port={port}").into()],
            env: vec![("TMPDIR".into(), files.0.clone().into_os_string())],
            namespace: start.namespace,
            log: &start.folder.join(start.log),
            pipe_stdout: false,
        };
        let mut driver = Program::start(spec).map_err(words)?;
        let profile = files.0.join("profile");
        let capabilities = capabilities(&chromium, profile.as_os_str().to_owned(), start.any_certificate);
        let Value::Object(capabilities) = capabilities else { return Err("no capabilities".into()) };
        let deadline = Instant::now() + STARTED;
        let client = loop {
            let mut builder = ClientBuilder::new(Inside::new(start.namespace, address));
            builder.capabilities(capabilities.clone());
            match builder.connect(&format!("http://{address}")).await {
                Ok(client) => break client,
                Err(error) if Instant::now() >= deadline => return Err(format!("no browser: {error}")),
                Err(_) => sleep(LOOK).await,
            }
            if let Some(error) = driver.ended_early() {
                return Err(error.to_string());
            }
        };
        let browser = Self { driver, client, _files: files };
        browser.command("Page.addScriptToEvaluateOnNewDocument", json!({"source": start.before})).await?;
        Ok(browser)
    }

    /// Opens a page; returns when it is loaded, or when that takes too long.
    pub async fn open(&self, url: &str) -> Result<(), String> {
        match tokio::time::timeout(PAGE_LOADED, self.client.goto(url)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("nothing came within {} s", PAGE_LOADED.as_secs())),
        }
    }

    /// The value of an expression in the page.
    pub async fn value(&self, expression: &str) -> Result<Value, String> {
        self.client.execute(&format!("return {expression};"), Vec::new()).await.map_err(|e| e.to_string())
    }

    /// Closes the window as a person does, and ends both.
    pub async fn stop(mut self) {
        let _ = tokio::time::timeout(STOPPED, self.client.close()).await;
        self.driver.stop(STOPPED).await;
    }

    /// A command of the Chrome DevTools Protocol.
    async fn command(&self, name: &str, params: Value) -> Result<Value, String> {
        let command = DevTools { body: json!({"cmd": name, "params": params}).to_string() };
        self.client.issue_cmd(command).await.map_err(|error| format!("{name}: {error}"))
    }
}

/// Like a person's browser, but for what a machine without screen, sound and internet lacks. Host candidates stay hidden
/// behind mDNS names, as they are for a person.
fn capabilities(chromium: &Path, profile: OsString, any_certificate: bool) -> Value {
    let mut args = vec![
        "--headless".to_owned(),
        "--no-sandbox".into(),
        "--disable-gpu".into(),
        "--disable-dev-shm-usage".into(),
        "--disable-quic".into(),
        "--no-first-run".into(),
        "--disable-background-networking".into(),
        "--disable-component-update".into(),
        "--disable-sync".into(),
        "--lang=en-US".into(),
        "--autoplay-policy=no-user-gesture-required".into(),
        format!("--user-data-dir={}", profile.to_string_lossy()),
    ];
    args.extend(any_certificate.then(|| "--ignore-certificate-errors".into()));
    json!({
        "browserName": "chrome",
        // A page that waits for a hub which is away must not hold up the rig.
        "pageLoadStrategy": "eager",
        "goog:chromeOptions": {"binary": chromium, "args": args},
    })
}

/// A port of the loopback that nobody has now.
fn free_port(namespace: Option<&Namespace>) -> std::io::Result<u16> {
    let find = || std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr().map(|own| own.port());
    match namespace {
        Some(namespace) => namespace.run(find),
        None => find(),
    }
}

/// chromedriver's own extension of WebDriver.
#[derive(Debug)]
struct DevTools {
    body: String,
}

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.clone()))
    }
}
