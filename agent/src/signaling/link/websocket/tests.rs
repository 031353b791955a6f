//! Tests of the link to a remote hub, against a WebSocket server on a real socket.
#![allow(clippy::unwrap_used)]

use std::{net::SocketAddr, time::Duration};

use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        handshake::server::{ErrorResponse, Request, Response},
        http::StatusCode,
    },
};

use super::*;
use crate::signaling::message::{Body, Bye, Envelope, SessionId, read};

const PATIENCE: Duration = Duration::from_secs(20);
const TOKEN: &str = "secret-7";

fn options(url: String) -> WebSocketOptions {
    WebSocketOptions { url, device_id: "cam-1".into(), token: Token::new(TOKEN).unwrap(), ca_file: None }
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// The hub's end of a connection, after a request with the right path and token.
async fn welcome<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> WebSocketStream<S> {
    #[allow(clippy::result_large_err)]
    let check = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        assert_eq!(request.uri().to_string(), "/v1/device?id=cam-1");
        assert_eq!(request.headers()["authorization"], format!("Bearer {TOKEN}"));
        Ok(response)
    };
    accept_hdr_async(stream, check).await.unwrap()
}

async fn accept(listener: &TcpListener) -> WebSocketStream<TcpStream> {
    let (stream, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    welcome(stream).await
}

async fn event(link: &mut Link) -> LinkEvent {
    timeout(PATIENCE, link.events.recv()).await.unwrap().unwrap()
}

/// The next message that the hub gets; `None` at the end.
async fn got<S: AsyncRead + AsyncWrite + Unpin>(hub: &mut WebSocketStream<S>) -> Option<Envelope> {
    let next = async {
        loop {
            match hub.next().await {
                Some(Ok(Message::Text(text))) => return Some(read(text.as_bytes()).unwrap()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    };
    timeout(PATIENCE, next).await.unwrap()
}

fn bye(session: &str) -> Envelope {
    Envelope::new(SessionId::new(session).unwrap(), Body::Bye(Bye::default()))
}

#[tokio::test]
async fn messages_go_both_ways_and_bad_ones_are_answered() {
    let (listener, url) = listener().await;
    let mut link = connect(&options(url), LinkMetrics::default()).unwrap();
    let mut hub = accept(&listener).await;
    assert_eq!(event(&mut link).await, LinkEvent::Up);

    hub.send(Message::text(bye("a").to_json())).await.unwrap();
    assert_eq!(event(&mut link).await, LinkEvent::Message(bye("a")));
    hub.send(Message::binary(bye("b").to_json())).await.unwrap();
    assert_eq!(event(&mut link).await, LinkEvent::Message(bye("b")));
    link.outbox.send(bye("c")).await.unwrap();
    assert_eq!(got(&mut hub).await, Some(bye("c")));

    for (bad, code) in
        [("rubbish".to_owned(), code::MALFORMED), (" ".repeat(MAX_MESSAGE + 1), code::TOO_LARGE)]
    {
        hub.send(Message::text(bad)).await.unwrap();
        let Some(Envelope { body: Body::Error(error), session: None }) = got(&mut hub).await else {
            panic!("an error")
        };
        assert_eq!(error.code, code);
    }
}

#[tokio::test]
async fn a_lost_connection_comes_back_and_what_waited_is_sent() {
    let (listener, url) = listener().await;
    let metrics = LinkMetrics::default();
    let mut link = connect(&options(url), metrics.clone()).unwrap();
    let hub = accept(&listener).await;
    assert_eq!(event(&mut link).await, LinkEvent::Up);
    drop(hub);
    assert_eq!(event(&mut link).await, LinkEvent::Down);
    link.outbox.send(bye("a")).await.unwrap();
    let mut hub = accept(&listener).await;
    assert_eq!(event(&mut link).await, LinkEvent::Up);
    assert_eq!(got(&mut hub).await, Some(bye("a")));
    assert_eq!(metrics.reconnects.get(), 1);
}

#[tokio::test]
async fn a_hub_that_is_not_there_at_first_is_found_later() {
    let (listener, url) = listener().await;
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut link = connect(&options(url), LinkMetrics::default()).unwrap();
    for n in 0..super::super::QUEUE + 10 {
        timeout(PATIENCE, link.outbox.send(bye(&format!("s{n}")))).await.unwrap().unwrap();
    }
    let listener = TcpListener::bind(address).await.unwrap();
    let mut hub = accept(&listener).await;
    assert_eq!(event(&mut link).await, LinkEvent::Up);
    assert_eq!(got(&mut hub).await, Some(bye("s10")), "the ten oldest were dropped");
}

#[tokio::test]
async fn a_message_far_too_large_is_answered_after_reconnecting() {
    let (listener, url) = listener().await;
    let mut link = connect(&options(url), LinkMetrics::default()).unwrap();
    let mut hub = accept(&listener).await;
    assert_eq!(event(&mut link).await, LinkEvent::Up);
    // Fails at the hub when the device closes in the middle of it.
    let _ = timeout(PATIENCE, hub.send(Message::text(" ".repeat(MAX_MESSAGE * 5)))).await.unwrap();
    assert_eq!(event(&mut link).await, LinkEvent::Down);
    let mut hub = accept(&listener).await;
    let Some(Envelope { body: Body::Error(error), .. }) = got(&mut hub).await else { panic!("an error") };
    assert_eq!(error.code, code::TOO_LARGE);
}

#[tokio::test]
async fn a_silent_hub_counts_as_gone_and_one_that_answers_pings_does_not() {
    let (listener, url) = listener().await;
    let pace = Pace { ping: Duration::from_millis(100), dead: Duration::from_secs(2) };
    let mut link = connect_at(&options(url), LinkMetrics::default(), pace).unwrap();
    let mut hub = accept(&listener).await;
    assert_eq!(event(&mut link).await, LinkEvent::Up);
    // Reading answers the pings, for longer than it may be silent.
    let mut pings = 0;
    while pings < 25 {
        if matches!(timeout(PATIENCE, hub.next()).await.unwrap(), Some(Ok(Message::Ping(_)))) {
            pings += 1;
        }
    }
    assert!(link.events.try_recv().is_err(), "the link is still up");
    // From now on it reads nothing more, while its socket stays open.
    assert_eq!(event(&mut link).await, LinkEvent::Down);
}

#[tokio::test]
async fn goodbyes_go_out_before_a_dropped_link_ends() {
    let (listener, url) = listener().await;
    let mut link = connect(&options(url), LinkMetrics::default()).unwrap();
    let mut hub = accept(&listener).await;
    assert_eq!(event(&mut link).await, LinkEvent::Up);
    for n in 0..20 {
        link.outbox.send(bye(&format!("s{n}"))).await.unwrap();
    }
    drop(link);
    let mut count = 0;
    while got(&mut hub).await.is_some() {
        count += 1;
    }
    assert_eq!(count, 20);
}

#[tokio::test]
async fn a_refused_token_is_told_in_words_and_asked_about_slowly() {
    let (listener, url) = listener().await;
    let dialer = Dialer::new(&options(url)).unwrap();
    let refuse = async {
        let (stream, _) = listener.accept().await.unwrap();
        #[allow(clippy::result_large_err)]
        let deny = |_: &Request, _: Response| -> Result<Response, ErrorResponse> {
            let mut response = ErrorResponse::new(None);
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            Err(response)
        };
        accept_hdr_async(stream, deny).await.is_err()
    };
    let (result, refused) = tokio::join!(dialer.dial(), refuse);
    let failure = result.unwrap_err();
    assert!(refused && failure.denied);
    assert!(failure.words.contains("`token_file`"), "{}", failure.words);
}

#[tokio::test]
async fn a_certificate_of_the_hubs_own_is_trusted_when_named_and_only_then() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("hub.pem");
    std::fs::write(&ca_file, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (listener, _) = listener().await;
    let url = format!("wss://localhost:{}", listener.local_addr().unwrap().port());

    let trusting = WebSocketOptions { ca_file: Some(ca_file.clone()), ..options(url.clone()) };
    let mut link = connect(&trusting, LinkMetrics::default()).unwrap();
    let (stream, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    let mut hub = welcome(acceptor.accept(stream).await.unwrap()).await;
    assert_eq!(event(&mut link).await, LinkEvent::Up);
    link.outbox.send(bye("a")).await.unwrap();
    assert_eq!(got(&mut hub).await, Some(bye("a")));

    // Another certificate is trusted here, so that the test needs no authorities of the system.
    std::fs::write(&ca_file, rcgen::generate_simple_self_signed(["other".to_owned()]).unwrap().cert.pem())
        .unwrap();
    let wary = Dialer::new(&WebSocketOptions { ca_file: Some(ca_file), ..options(url) }).unwrap();
    let answer = async {
        let (stream, _) = listener.accept().await.unwrap();
        acceptor.accept(stream).await.is_err()
    };
    let (result, refused) = tokio::join!(wary.dial(), answer);
    assert!(refused);
    let words = result.unwrap_err().words;
    assert!(words.contains("`ca_file`"), "{words}");
}

#[tokio::test]
async fn a_doubt_asks_the_hub_at_once() {
    let (listener, url) = listener().await;
    let mut link = connect(&options(url), LinkMetrics::default()).unwrap();
    let mut hub = accept(&listener).await;
    assert_eq!(event(&mut link).await, LinkEvent::Up);
    link.doubt.raise();
    let ping = timeout(Duration::from_secs(5), hub.next()).await.unwrap();
    assert!(matches!(ping, Some(Ok(Message::Ping(_)))), "{ping:?}");
}

#[tokio::test]
async fn a_hub_that_does_not_answer_a_doubt_is_dialled_again_and_gets_what_was_held_back() {
    let (listener, url) = listener().await;
    let metrics = LinkMetrics::default();
    let mut link = connect(&options(url), metrics.clone()).unwrap();
    // Not read from any more: no pong comes.
    let _silent = accept(&listener).await;
    assert_eq!(event(&mut link).await, LinkEvent::Up);
    link.doubt.raise();
    // The doubt comes first, and what is said after it must not go into the old connection.
    tokio::task::yield_now().await;
    let mut hub = accept(&listener).await;
    link.outbox.send(bye("a")).await.unwrap();
    assert_eq!(event(&mut link).await, LinkEvent::Up);
    assert_eq!(got(&mut hub).await, Some(bye("a")));
    assert_eq!(metrics.reconnects.get(), 1);
}

#[tokio::test]
async fn a_hub_that_answers_a_doubt_keeps_its_connection_and_gets_what_was_held_back() {
    let (listener, url) = listener().await;
    let mut link = connect(&options(url), LinkMetrics::default()).unwrap();
    let mut hub = accept(&listener).await;
    assert_eq!(event(&mut link).await, LinkEvent::Up);
    link.doubt.raise();
    link.doubt.moved();
    link.outbox.send(bye("a")).await.unwrap();
    assert_eq!(got(&mut hub).await, Some(bye("a")));
}
