//! JSON lines: one envelope a line, over anything that can be read and written.
//!
//! A line ends with LF or CRLF. A raw line break inside a JSON string, which other links forgive, ends the line here.

use std::{collections::VecDeque, time::Instant};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{
    Carrier, LinkEvent, LinkMetrics,
    backlog::Backlog,
    carry::{Ear, End, Heard, Pen, converse, tell},
    intake::Intake,
};
use crate::signaling::message::{MAX_MESSAGE, Refusal, code};

/// Bytes read at once.
const CHUNK: usize = 16 * 1024;

/// Carries a link over `reader` and `writer` until the input ends, an output fails or the sessions let go. Then the link
/// is over for good.
pub async fn serve(
    reader: impl AsyncRead + Unpin + Send,
    writer: impl AsyncWrite + Unpin + Send,
    mut carrier: Carrier,
    metrics: LinkMetrics,
) {
    let mut backlog = Backlog::new(metrics.clone());
    let mut intake = Intake::new(metrics.clone(), Instant::now());
    if tell(&mut carrier, &mut backlog, LinkEvent::Up).await.is_none() {
        return;
    }
    metrics.up.set(1);
    let (mut ear, mut pen) = (LineEar::new(reader), LinePen::new(writer));
    let end = converse(&mut ear, &mut pen, &mut carrier, &mut backlog, &mut intake).await;
    metrics.up.set(0);
    match end {
        End::Eof => tracing::info!("the input of the signalling link ended, and so does the link"),
        End::Lost(why) => tracing::warn!("the signalling link broke: {why}"),
        End::Released => {}
    }
}

/// A piece of a stream of lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A line without its end; never blank.
    Line(Bytes),
    /// A line longer than [`MAX_MESSAGE`]; the rest of it is skipped.
    TooLong,
}

/// Cuts a stream of bytes into lines. Pure; fuzzed as `lines`. Keeps at most one line.
#[derive(Debug, Default)]
pub struct Framer {
    line: BytesMut,
    skipping: bool,
}

impl Framer {
    /// At the start of a line.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the stream; gives the lines that end in them, and [`Frame::TooLong`] at once.
    pub fn push(&mut self, chunk: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        for piece in chunk.split_inclusive(|b| *b == b'\n') {
            let (text, ended) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            if !self.skipping {
                if self.line.len() + text.len() > MAX_MESSAGE {
                    self.line = BytesMut::new();
                    self.skipping = true;
                    frames.push(Frame::TooLong);
                } else {
                    self.line.extend_from_slice(text);
                }
            }
            if ended {
                self.skipping = false;
                frames.extend(self.finish());
            }
        }
        frames
    }

    /// The last line, if the stream ended without a line end.
    pub fn finish(&mut self) -> Option<Frame> {
        let line = self.line.split().freeze();
        (!line.trim_ascii().is_empty()).then_some(Frame::Line(line))
    }
}

/// Hears the lines of a reader.
pub(super) struct LineEar<R> {
    reader: R,
    framer: Framer,
    ready: VecDeque<Frame>,
    chunk: BytesMut,
    ended: Option<End>,
}

impl<R> LineEar<R> {
    pub(super) fn new(reader: R) -> Self {
        let (ready, chunk) = (VecDeque::new(), BytesMut::with_capacity(CHUNK));
        Self { reader, framer: Framer::new(), ready, chunk, ended: None }
    }
}

impl<R: AsyncRead + Unpin + Send> Ear for LineEar<R> {
    async fn hear(&mut self) -> Heard {
        loop {
            match self.ready.pop_front() {
                Some(Frame::Line(line)) => return Heard::Message(line),
                Some(Frame::TooLong) => {
                    let message =
                        format!("a line has more than {MAX_MESSAGE} bytes (256 KiB); it was skipped");
                    return Heard::Refused(Refusal::new(code::TOO_LARGE, message));
                }
                None => {}
            }
            if let Some(end) = self.ended.take() {
                return Heard::Over(end);
            }
            self.chunk.clear();
            self.chunk.reserve(CHUNK);
            match self.reader.read_buf(&mut self.chunk).await {
                Ok(0) => {
                    self.ready.extend(self.framer.finish());
                    self.ended = Some(End::Eof);
                }
                Ok(_) => self.ready.extend(self.framer.push(&self.chunk)),
                Err(e) => self.ended = Some(End::Lost(format!("reading failed: {e}"))),
            }
        }
    }
}

/// Writes lines.
pub(super) struct LinePen<W> {
    writer: W,
    /// What is left of the line that is being written.
    rest: Bytes,
    begun: bool,
}

impl<W> LinePen<W> {
    pub(super) fn new(writer: W) -> Self {
        Self { writer, rest: Bytes::new(), begun: false }
    }
}

impl<W: AsyncWrite + Unpin + Send> Pen for LinePen<W> {
    async fn write(&mut self, json: &str) -> Result<(), String> {
        if !std::mem::replace(&mut self.begun, true) {
            self.rest = Bytes::from(format!("{json}\n"));
        }
        let failed = |e| format!("writing failed: {e}");
        while self.rest.has_remaining() {
            if self.writer.write_buf(&mut self.rest).await.map_err(failed)? == 0 {
                return Err("writing failed: nothing is taken any more".into());
            }
        }
        self.writer.flush().await.map_err(failed)?;
        self.begun = false;
        Ok(())
    }

    async fn close(&mut self) {
        // Nobody is left to be told if this fails.
        let _ = self.writer.shutdown().await;
    }
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
