//! The viewer page and its headers; all files are in the binary.

use std::sync::LazyLock;

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha1::{Digest, Sha1};

/// One file of the page.
struct Asset {
    path: &'static str,
    content_type: &'static str,
    body: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! asset {
    ($path:literal, $kind:expr, $file:literal) => {
        Asset { path: $path, content_type: $kind, body: include_str!(concat!("page/", $file)) }
    };
}

static ASSETS: [Asset; 12] = [
    asset!("/", HTML, "index.html"),
    asset!("/page.css", CSS, "page.css"),
    asset!("/icon.svg", SVG, "icon.svg"),
    asset!("/main.js", JS, "main.js"),
    asset!("/errors.js", JS, "errors.js"),
    asset!("/mending.js", JS, "mending.js"),
    asset!("/microphone.js", JS, "microphone.js"),
    asset!("/session.js", JS, "session.js"),
    asset!("/signaling.js", JS, "signaling.js"),
    asset!("/stats.js", JS, "stats.js"),
    asset!("/ui.js", JS, "ui.js"),
    asset!("/words.js", JS, "words.js"),
];

/// One tag for the whole page: its modules fit together only if they are of one version.
static ETAG: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha1::new();
    for asset in &ASSETS {
        hash.update(asset.body);
    }
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(hash.finalize()))
});

/// Routes of the page's files.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    ASSETS.iter().fold(Router::new(), |router, asset| {
        router.route(asset.path, get(move |headers: HeaderMap| async move { serve(asset, &headers) }))
    })
}

fn serve(asset: &'static Asset, headers: &HeaderMap) -> Response {
    // Kept, but asked for each time, which costs one small answer: a firmware update must not meet an old
    // page.
    let cache = [(header::CACHE_CONTROL, "no-cache"), (header::ETAG, ETAG.as_str())];
    let known = headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    if known.is_some_and(|tags| tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == *ETAG)) {
        return (StatusCode::NOT_MODIFIED, cache).into_response();
    }
    (cache, [(header::CONTENT_TYPE, asset.content_type)], asset.body).into_response()
}

/// Everything else.
pub(super) async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "not found\n").into_response()
}

/// Puts the headers that keep a page to itself on every answer.
pub(super) async fn security_headers(request: Request, next: Next) -> Response {
    let csp = content_security_policy(request.headers().get(header::HOST));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, csp);
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("permissions-policy"),
            "microphone=(self), fullscreen=(self), camera=(), geolocation=()",
        ),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The policy for a page that was asked for at `host`. Safari before 15.4 does not take `'self'` for
/// WebSockets, so the host is named for them; one with characters that no host has is left out.
fn content_security_policy(host: Option<&HeaderValue>) -> HeaderValue {
    let host = host
        .and_then(|host| host.to_str().ok())
        .filter(|host| !host.is_empty() && host.len() <= 255)
        .filter(|host| host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b)));
    let sockets = host.map(|host| format!(" ws://{host} wss://{host}")).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'{sockets}; \
         img-src 'self' blob: data:; media-src 'self' blob:; base-uri 'none'; frame-ancestors 'none'; \
         form-action 'none'"
    );
    HeaderValue::try_from(policy).expect("the host was checked to be plain ASCII")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_the_host_for_sockets_and_nothing_that_is_not_a_host() {
        let policy = |host: &'static str| {
            let value = HeaderValue::from_static(host);
            content_security_policy(Some(&value)).to_str().unwrap().to_owned()
        };
        assert!(policy("[::1]:8443").contains("connect-src 'self' ws://[::1]:8443 wss://[::1]:8443;"));
        for host in ["", "a; script-src *", "a b", "a,b"] {
            assert!(policy(host).contains("connect-src 'self';"), "{host}");
        }
    }
}
