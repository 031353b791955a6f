// libdatachannel as a sender: its own packetizer, sender reports and NACK responder for each viewer.
'use strict';

const fs = require('node:fs');
const readline = require('node:readline');
const datachannel = require('node-datachannel');

// Pictures of the clip begin with an access unit delimiter.
const DELIMITER = Buffer.from([0, 0, 0, 1, 9]);
// As in the viewers' offer.
const PAYLOAD_TYPE = 96;
const PROFILE = 'profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1';
const CLOCK = 90000;
// Packets kept for repetition: a second at 2 Mbit/s and more.
const HISTORY = 512;
const FRAGMENT = 1150;

const options = {};
for (let at = 2; at < process.argv.length; at += 2) {
  options[process.argv[at].slice(2)] = process.argv[at + 1];
}
const fps = Number(options.fps || 30);

function picturesOf(data) {
  const starts = [];
  for (let at = data.indexOf(DELIMITER); at >= 0; at = data.indexOf(DELIMITER, at + 1)) starts.push(at);
  return starts.map((start, index) => {
    const picture = data.subarray(start, starts[index + 1] ?? data.length);
    // An access unit with parameter sets is a key frame in this clip.
    return { data: picture, key: picture.includes(Buffer.from([0, 0, 0, 1, 0x67])) };
  });
}

const pictures = picturesOf(fs.readFileSync(options.clip));
const viewers = new Map();
let index = 0;
let ssrc = 1000;
let due = 0;
let timer = null;

function feed() {
  const picture = pictures[index % pictures.length];
  for (const viewer of viewers.values()) {
    if (!viewer.track.isOpen()) continue;
    viewer.started ||= picture.key;
    if (!viewer.started) continue;
    viewer.config.timestamp = (viewer.origin + Math.round((index * CLOCK) / fps)) >>> 0;
    viewer.track.sendMessageBinary(picture.data);
  }
  index += 1;
  due += 1000 / fps;
  timer = setTimeout(feed, Math.max(0, due - performance.now()));
}

function watch() {
  if (timer) return;
  index = 0;
  due = performance.now();
  feed();
}

function offer(id, sdp) {
  const connection = new datachannel.PeerConnection(id, { iceServers: [], disableAutoNegotiation: true });
  const mid = /^a=mid:(\S+)/m.exec(sdp)[1];
  const own = ssrc++;
  const video = new datachannel.Video(mid, 'SendOnly');
  video.addH264Codec(PAYLOAD_TYPE, PROFILE);
  video.addSSRC(own, 'bench', 'bench', 'video');
  const track = connection.addTrack(video);
  const config = new datachannel.RtpPacketizationConfig(own, 'bench', PAYLOAD_TYPE, CLOCK);
  const packetizer = new datachannel.H264RtpPacketizer('StartSequence', config, FRAGMENT);
  packetizer.addToChain(new datachannel.RtcpSrReporter(config));
  packetizer.addToChain(new datachannel.RtcpNackResponder(HISTORY));
  track.setMediaHandler(packetizer);
  track.onOpen(watch);
  viewers.set(id, { connection, track, config, started: false, origin: config.timestamp });
  connection.onGatheringStateChange((state) => {
    if (state !== 'complete') return;
    const answer = connection.localDescription().sdp;
    process.stdout.write(`${JSON.stringify({ id, answer })}\n`);
  });
  connection.setRemoteDescription(sdp, 'offer');
  connection.setLocalDescription('answer');
}

function bye(id) {
  const viewer = viewers.get(id);
  if (!viewer) return;
  viewers.delete(id);
  viewer.connection.close();
  if (viewers.size === 0) {
    clearTimeout(timer);
    timer = null;
  }
}

const lines = readline.createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const request = JSON.parse(line);
  if (request.offer) offer(request.id, request.offer);
  else if (request.bye) bye(request.id);
});
lines.on('close', () => process.exit(0));
