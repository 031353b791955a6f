//! Tests of the link over a Unix socket.
#![allow(clippy::unwrap_used)]

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    time::timeout,
};

use super::*;
use crate::signaling::message::{Body, Bye, SessionId, read};

const PATIENCE: Duration = Duration::from_secs(10);

struct Scene {
    link: Link,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

async fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("signalling.sock");
    let link = listen(&path, LinkMetrics::default()).await.unwrap();
    Scene { link, path, _dir: dir }
}

impl Scene {
    async fn client(&self) -> BufReader<UnixStream> {
        BufReader::new(UnixStream::connect(&self.path).await.unwrap())
    }

    async fn event(&mut self) -> Option<LinkEvent> {
        timeout(PATIENCE, self.link.events.recv()).await.unwrap()
    }
}

async fn line(client: &mut BufReader<UnixStream>) -> Option<Envelope> {
    let mut text = String::new();
    timeout(PATIENCE, client.read_line(&mut text)).await.unwrap().unwrap();
    (!text.is_empty()).then(|| read(text.as_bytes()).unwrap())
}

fn bye(session: &str) -> Envelope {
    Envelope::new(SessionId::new(session).unwrap(), Body::Bye(Bye::default()))
}

/// Waits until the link's task has let go of the file.
async fn gone(path: &Path) {
    timeout(PATIENCE, async {
        while path.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn only_the_owner_may_connect() {
    let scene = scene().await;
    assert_eq!(fs::metadata(&scene.path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_client_goes_and_comes_back_and_gets_what_waited() {
    let mut scene = scene().await;
    let mut client = scene.client().await;
    assert_eq!(scene.event().await, Some(LinkEvent::Up));
    client.get_mut().write_all(format!("{}\n", bye("a").to_json()).as_bytes()).await.unwrap();
    assert_eq!(scene.event().await, Some(LinkEvent::Message(bye("a"))));
    drop(client);
    assert_eq!(scene.event().await, Some(LinkEvent::Down));

    scene.link.outbox.send(bye("b")).await.unwrap();
    let mut client = scene.client().await;
    assert_eq!(scene.event().await, Some(LinkEvent::Up));
    assert_eq!(line(&mut client).await, Some(bye("b")));
}

#[tokio::test]
async fn a_second_client_is_told_and_closed_and_the_first_goes_on() {
    let mut scene = scene().await;
    let mut first = scene.client().await;
    assert_eq!(scene.event().await, Some(LinkEvent::Up));
    let mut second = scene.client().await;
    let Some(Envelope { body: Body::Error(error), .. }) = line(&mut second).await else { panic!("an error") };
    assert_eq!(error.code, code::LINK_BUSY);
    assert_eq!(line(&mut second).await, None);
    scene.link.outbox.send(bye("a")).await.unwrap();
    assert_eq!(line(&mut first).await, Some(bye("a")));
}

#[tokio::test]
async fn the_file_goes_with_the_link() {
    let Scene { link, path, _dir } = scene().await;
    drop(link);
    gone(&path).await;
}

#[tokio::test]
async fn a_socket_left_from_before_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    listen(&path, LinkMetrics::default()).await.unwrap();
}

#[tokio::test]
async fn a_socket_that_answers_and_a_file_that_is_none_are_left_alone() {
    let scene = scene().await;
    let error = listen(&scene.path, LinkMetrics::default()).await.err().unwrap().to_string();
    assert!(error.contains("another program listens"), "{error}");
    let file = scene.path.with_extension("txt");
    fs::write(&file, "precious").unwrap();
    let error = listen(&file, LinkMetrics::default()).await.err().unwrap().to_string();
    assert!(error.contains("no socket"), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}
