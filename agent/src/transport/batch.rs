//! Consecutive packets of a session that leave in one call: those of a picture, all of one length but the last.

use std::sync::Arc;

use bytes::BytesMut;

use super::{
    candidate::{Path, Protocol},
    demux::{Packet, classify},
    endpoint::Endpoint,
    sockets::{MAX_TRAIN, Socket},
};

/// Packets on their way out. Those that can leave together wait for the next one; dropped, it sends what waits.
pub struct Batch<'a> {
    endpoint: &'a Endpoint,
    waiting: Option<(Arc<Socket>, Train)>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(endpoint: &'a Endpoint) -> Self {
        Self { endpoint, waiting: None }
    }

    /// Sends a datagram as [`Endpoint::send`] does, after all those before it.
    pub fn push(&mut self, path: Path, data: BytesMut) {
        if let Some((socket, train)) = &mut self.waiting
            && train.takes(path, &data, socket.wire.max_segments())
        {
            train.append(&data);
            return;
        }
        self.flush();
        match self.endpoint.socket(path) {
            Some(socket) if matches!(classify(&data), Packet::Media) => {
                self.waiting = Some((socket, Train::new(path, data)));
            }
            _ => self.endpoint.send(path, &data),
        }
    }

    fn flush(&mut self) {
        if let Some((_, train)) = self.waiting.take() {
            self.endpoint.send_media(train.path, &train.data, train.segment);
        }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Datagrams for one remote, one behind the other in memory.
pub(super) struct Train {
    pub path: Path,
    pub data: BytesMut,
    /// The length of each; only the last may be shorter.
    pub segment: usize,
    pub count: usize,
}

impl Train {
    fn new(path: Path, data: BytesMut) -> Self {
        Self { path, segment: data.len(), data, count: 1 }
    }

    /// Whether `data` may be the next.
    fn takes(&self, path: Path, data: &[u8], max: usize) -> bool {
        let is_complete = self.data.len() < self.segment * self.count;
        path.protocol == Protocol::Udp
            && path == self.path
            && !is_complete
            && self.count < max
            && (1..=self.segment).contains(&data.len())
            && self.data.len() + data.len() <= MAX_TRAIN
            && matches!(classify(data), Packet::Media)
    }

    fn append(&mut self, data: &[u8]) {
        if self.count == 1 {
            // A picture has tens of packets; room for some of them at once spares most of the moves.
            self.data.reserve((15 * self.segment).min(MAX_TRAIN));
        }
        self.data.extend_from_slice(data);
        self.count += 1;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn path(port: u16) -> Path {
        Path::udp("192.0.2.1:5000".parse().unwrap(), ([192, 0, 2, 2], port).into())
    }

    fn media(length: usize) -> BytesMut {
        BytesMut::from(&vec![0x80; length][..])
    }

    #[test]
    fn equal_packets_to_one_remote_join_and_a_shorter_one_ends_it() {
        let mut train = Train::new(path(1), media(100));
        assert!(train.takes(path(1), &media(100), 64));
        assert!(!train.takes(path(2), &media(100), 64));
        assert!(!train.takes(path(1), &media(101), 64));
        assert!(!train.takes(path(1), &media(0), 64));
        train.append(&media(100));
        train.append(&media(40));
        assert_eq!((train.count, train.data.len()), (3, 240));
        assert!(!train.takes(path(1), &media(40), 64));
    }

    #[test]
    fn neither_the_kernels_segments_nor_the_longest_datagram_are_exceeded() {
        let mut train = Train::new(path(1), media(30_000));
        assert!(!train.takes(path(1), &media(30_000), 1));
        train.append(&media(30_000));
        assert!(!train.takes(path(1), &media(30_000), 64));
    }

    #[test]
    fn checks_and_handshakes_do_not_join() {
        let train = Train::new(path(1), media(100));
        assert!(!train.takes(path(1), &[22, 254, 253, 0], 64));
        assert!(!train.takes(path(1), &[0, 1, 0, 0], 64));
    }
}
