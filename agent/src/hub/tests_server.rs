//! The hub's HTTP side from outside: page, headers, TLS.
#![allow(clippy::unwrap_used)]

use std::fs;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::testing::{TestHub, config, trusting};
use crate::config::HubConfig;

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    answer.lines().take_while(|l| !l.is_empty()).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

#[tokio::test]
async fn the_page_comes_with_the_headers_that_keep_it_to_itself() {
    let hub = TestHub::start(config());
    let page = hub.get("/", "").await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert_eq!(header(&page, "content-type"), Some("text/html; charset=utf-8"));
    let csp = header(&page, "content-security-policy").unwrap();
    for part in [
        "default-src 'none'",
        "script-src 'self';",
        "style-src 'self';",
        "connect-src 'self' ws://cam.local:8080 wss://cam.local:8080;",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    ] {
        assert!(csp.contains(part), "{part} is missing in {csp}");
    }
    assert!(!csp.contains("unsafe"), "{csp}");
    assert_eq!(header(&page, "x-content-type-options"), Some("nosniff"));
    assert_eq!(header(&page, "referrer-policy"), Some("no-referrer"));
    assert!(header(&page, "permissions-policy").unwrap().contains("microphone=(self)"));
}

#[tokio::test]
async fn the_page_refers_to_files_that_are_there_and_has_nothing_inline() {
    let hub = TestHub::start(config());
    let page = hub.get("/", "").await;
    let mut files = 0;
    for part in page.split('"') {
        if part.starts_with('/') && part.contains('.') && !part.contains('<') {
            assert!(hub.get(part, "").await.starts_with("HTTP/1.1 200"), "{part}");
            files += 1;
        }
    }
    assert!(files >= 3, "style, script, icon");
    for inline in ["<style", " style=", " onclick=", "javascript:"] {
        assert!(!page.contains(inline), "{inline} would be stopped by the policy");
    }
}

#[tokio::test]
async fn a_file_that_the_browser_has_is_not_sent_again() {
    let hub = TestHub::start(config());
    let first = hub.get("/main.js", "").await;
    assert_eq!(header(&first, "cache-control"), Some("no-cache"));
    let tag = header(&first, "etag").unwrap().to_owned();
    let second = hub.get("/main.js", &format!("If-None-Match: {tag}\r\n")).await;
    assert!(second.starts_with("HTTP/1.1 304"), "{second}");
    assert!(hub.get("/main.js", "If-None-Match: \"old\"\r\n").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn what_is_not_there_is_a_plain_404_with_the_same_headers() {
    let hub = TestHub::start(config());
    for path in ["/nothing", "/../Cargo.toml", "/v1/", "/page/main.js"] {
        let answer = hub.get(path, "").await;
        assert!(answer.starts_with("HTTP/1.1 404") && answer.ends_with("not found\n"), "{path}: {answer}");
        assert!(header(&answer, "content-security-policy").is_some());
        assert_eq!(header(&answer, "cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn the_hubs_own_certificate_is_good_for_a_client_that_trusts_it() {
    let hub = TestHub::start(HubConfig { https: "127.0.0.1:0".into(), ..config() });
    let https = hub.https.unwrap();
    let pem = fs::read_to_string(hub.state.path().join("tls-certificate.pem")).unwrap();
    for name in ["localhost", "127.0.0.1"] {
        let tcp = TcpStream::connect(https).await.unwrap();
        let mut tls = trusting(&pem).connect(name.try_into().unwrap(), tcp).await.unwrap();
        let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
        tls.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tls.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let tcp = TcpStream::connect(https).await.unwrap();
    assert!(trusting(&pem).connect("elsewhere.example".try_into().unwrap(), tcp).await.is_err());
    let info = hub.get("/v1/info", "").await;
    assert!(info.ends_with(&format!("{{\"httpsPort\":{}}}", https.port())), "{info}");
}

#[tokio::test]
async fn a_hub_without_any_address_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let (secrets, _) = super::secrets::load_or_create(state.path()).unwrap();
    let nowhere = HubConfig { http: String::new(), https: String::new(), ..HubConfig::default() };
    let hub = super::Hub::new(&nowhere, secrets, &crate::telemetry::metrics::Metrics::new()).unwrap();
    let error = hub.bind().err().unwrap().to_string();
    assert!(error.contains("hub.http") && error.contains("hub.https"), "{error}");
}
