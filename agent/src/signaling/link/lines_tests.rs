//! Tests of the framing by lines and of a link over it.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use proptest::prelude::*;
use tokio::{
    io::{AsyncBufReadExt, BufReader, DuplexStream, ReadHalf, WriteHalf, duplex, split},
    time::timeout,
};

use super::*;
use crate::signaling::{
    link::{Link, QUEUE, pair},
    message::{Body, Bye, Envelope, SessionId, read},
};

const PATIENCE: Duration = Duration::from_secs(10);

fn line(text: &str) -> Frame {
    Frame::Line(Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn lines_are_cut_wherever_the_chunks_end() {
    let mut framer = Framer::new();
    assert_eq!(framer.push(b"{\"a\""), []);
    assert_eq!(framer.push(b":1}\n\n  \r\n{}\r\n["), [line("{\"a\":1}"), line("{}\r")]);
    assert_eq!(framer.finish(), Some(line("[")));
    assert_eq!(framer.finish(), None);
}

#[test]
fn a_line_too_long_is_told_once_and_skipped_to_its_end() {
    let mut framer = Framer::new();
    let chunk = vec![b'x'; 100 * 1024];
    let told: Vec<Frame> = (0..10).flat_map(|_| framer.push(&chunk)).collect();
    assert_eq!(told, [Frame::TooLong]);
    assert_eq!(framer.push(b"xx\n{}\n"), [line("{}")]);
}

#[test]
fn a_line_of_just_the_limit_is_taken() {
    let mut framer = Framer::new();
    let mut text = vec![b'x'; MAX_MESSAGE];
    text.push(b'\n');
    assert!(matches!(framer.push(&text).as_slice(), [Frame::Line(l)] if l.len() == MAX_MESSAGE));
}

proptest! {
    #[test]
    fn chunks_do_not_matter(text in "[ab\n\r ]{0,60}", cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let mut whole = Framer::new();
        let mut expected = whole.push(text.as_bytes());
        expected.extend(whole.finish());

        let mut cuts: Vec<usize> = cuts.iter().map(|c| c.index(text.len() + 1)).chain([0, text.len()]).collect();
        cuts.sort_unstable();
        let mut framer = Framer::new();
        let mut frames: Vec<Frame> = cuts.windows(2).flat_map(|w| framer.push(&text.as_bytes()[w[0]..w[1]])).collect();
        frames.extend(framer.finish());
        prop_assert_eq!(frames, expected);
    }
}

/// A served link, and the far side of it.
struct Scene {
    link: Link,
    lines: BufReader<ReadHalf<DuplexStream>>,
    input: WriteHalf<DuplexStream>,
}

async fn scene() -> Scene {
    let (near, far) = duplex(4096);
    let (reader, writer) = split(near);
    let (mut link, carrier) = pair("test");
    tokio::spawn(serve(reader, writer, carrier, LinkMetrics::default()));
    assert_eq!(link.events.recv().await, Some(LinkEvent::Up));
    let (lines, input) = split(far);
    Scene { link, lines: BufReader::new(lines), input }
}

impl Scene {
    async fn say(&mut self, text: &str) {
        timeout(PATIENCE, self.input.write_all(text.as_bytes())).await.unwrap().unwrap();
    }

    async fn event(&mut self) -> Option<LinkEvent> {
        timeout(PATIENCE, self.link.events.recv()).await.unwrap()
    }

    /// The next line that came out; `None` at the end.
    async fn written(&mut self) -> Option<Envelope> {
        let mut text = String::new();
        timeout(PATIENCE, self.lines.read_line(&mut text)).await.unwrap().unwrap();
        (!text.is_empty()).then(|| read(text.as_bytes()).unwrap())
    }
}

fn bye(session: &str) -> Envelope {
    Envelope::new(SessionId::new(session).unwrap(), Body::Bye(Bye { reason: "done".into() }))
}

fn code_of(envelope: Option<Envelope>) -> String {
    match envelope.unwrap().body {
        Body::Error(error) => error.code,
        other => panic!("an error, not {other:?}"),
    }
}

#[tokio::test]
async fn messages_go_both_ways() {
    let mut scene = scene().await;
    scene.say(&format!("{}\n", bye("a").to_json())).await;
    assert_eq!(scene.event().await, Some(LinkEvent::Message(bye("a"))));
    scene.link.outbox.send(bye("b")).await.unwrap();
    assert_eq!(scene.written().await, Some(bye("b")));
}

#[tokio::test]
async fn rubbish_and_long_lines_are_answered_and_the_link_lives_on() {
    let mut scene = scene().await;
    scene.say("hello\n").await;
    assert_eq!(code_of(scene.written().await), code::MALFORMED);
    scene.say(&"x".repeat(MAX_MESSAGE + 1)).await;
    assert_eq!(code_of(scene.written().await), code::TOO_LARGE);
    scene.say(&format!("xxx\n{}\n", bye("a").to_json())).await;
    assert_eq!(scene.event().await, Some(LinkEvent::Message(bye("a"))));
}

#[tokio::test]
async fn the_end_of_the_input_ends_the_link_after_its_last_line_was_read_and_answered() {
    let mut scene = scene().await;
    scene.say(&format!("rubbish\n{}", bye("a").to_json())).await;
    scene.input.shutdown().await.unwrap();
    assert_eq!(scene.event().await, Some(LinkEvent::Message(bye("a"))));
    assert_eq!(code_of(scene.written().await), code::MALFORMED);
    assert_eq!(scene.event().await, None);
}

#[tokio::test]
async fn goodbyes_go_out_before_a_dropped_link_ends() {
    let scene = scene().await;
    for n in 0..20 {
        scene.link.outbox.send(bye(&format!("s{n}"))).await.unwrap();
    }
    let Scene { link, mut lines, input: _input } = scene;
    let reader = tokio::spawn(async move {
        let mut text = String::new();
        timeout(PATIENCE, lines.read_to_string(&mut text)).await.unwrap().unwrap();
        text.lines().count()
    });
    link.close(PATIENCE).await;
    assert_eq!(reader.await.unwrap(), 20);
}

#[tokio::test]
async fn sessions_are_not_held_up_by_a_reader_that_reads_nothing() {
    let scene = scene().await;
    // Far more than the queue and the pipe hold.
    for n in 0..QUEUE * 8 {
        timeout(PATIENCE, scene.link.outbox.send(bye(&format!("s{n}")))).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_flood_is_refused_a_few_times_and_others_are_heard() {
    let mut scene = scene().await;
    let flood = format!("{}\n", bye("loud").to_json()).repeat(1000);
    let events = async {
        scene.input.write_all(flood.as_bytes()).await.unwrap();
        scene.input.write_all(format!("{}\n", bye("quiet").to_json()).as_bytes()).await.unwrap();
    };
    let mut loud = 0;
    let hear = async {
        while let Some(LinkEvent::Message(message)) = scene.link.events.recv().await {
            if message == bye("quiet") {
                break;
            }
            loud += 1;
        }
    };
    let (mut errors, mut text) = (0, String::new());
    let read_errors = async {
        while scene.lines.read_line(&mut text).await.unwrap() > 0 {
            errors += usize::from(text.contains(code::TOO_MANY_MESSAGES));
            text.clear();
        }
    };
    timeout(PATIENCE, async {
        tokio::select! { _ = async { tokio::join!(events, hear) } => (), () = read_errors => () }
    })
    .await
    .unwrap();
    // The burst and what the passing time adds.
    assert!((200..900).contains(&loud), "{loud}");
    assert!((1..=100).contains(&errors), "{errors}");
}
