// libwebrtc as a sender. It takes raw pictures only: a small busy one, so that its encoder has little to do and still
// fills the rate; each viewer has an encoder of its own.
'use strict';

const readline = require('node:readline');
const wrtc = require('@roamhq/wrtc');

// Pictures made before the first viewer comes; their order repeats.
const PICTURES = 60;

const options = {};
for (let at = 2; at < process.argv.length; at += 2) {
  options[process.argv[at].slice(2)] = process.argv[at + 1];
}
const fps = Number(options.fps || 30);
// With a rate to fill, the estimate alone decides, and pictures can be had at any rate. Else they are small, so that
// the encoder costs little, and the encoder is held where it makes the clip's 2 Mbit/s: it stays below its target.
const most = Math.round(Number(options.fill) / 1000);
const [WIDTH, HEIGHT, NOISE, rates] = options.fill
  ? [640, 360, 16, { start: 300, max: most }]
  : [160, 90, 64, { start: 2350, min: 2350, max: 2350 }];

// A pseudo-random sequence (xorshift) makes the same noise in every run.
let seed = 1;
function random() {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return seed >>> 0;
}

function noise(number) {
  const data = new Uint8ClampedArray((WIDTH * HEIGHT * 3) / 2);
  for (let y = 0; y < HEIGHT; y += 1) {
    for (let x = 0; x < WIDTH; x += 1) {
      data[y * WIDTH + x] = 64 + ((x + y + 4 * number) % 128) + (random() % NOISE);
    }
  }
  data.fill(128, WIDTH * HEIGHT);
  return { width: WIDTH, height: HEIGHT, data, rotation: 0 };
}

const pictures = Array.from({ length: PICTURES }, (_, number) => noise(number));
const source = new wrtc.nonstandard.RTCVideoSource();
const viewers = new Map();
let index = 0;
let due = 0;
let timer = null;

function feed() {
  source.onFrame(pictures[index % pictures.length]);
  index += 1;
  due += 1000 / fps;
  timer = setTimeout(feed, Math.max(0, due - performance.now()));
}

function limits(sdp) {
  const words = Object.entries(rates).map(([name, kbps]) => `x-google-${name}-bitrate=${kbps}`);
  return sdp.replace(/^a=rtpmap:(\d+) VP8\/90000\r?$/m, (line, type) => `${line.trim()}\r\na=fmtp:${type} ${words.join(';')}\r`);
}

async function offer(id, sdp) {
  const connection = new wrtc.RTCPeerConnection({ iceServers: [] });
  const track = source.createTrack();
  viewers.set(id, { connection, track });
  connection.addTrack(track);
  await connection.setRemoteDescription({ type: 'offer', sdp: limits(sdp) });
  await connection.setLocalDescription(await connection.createAnswer());
  if (connection.iceGatheringState !== 'complete') {
    await new Promise((resolve) => {
      connection.onicegatheringstatechange = () => connection.iceGatheringState === 'complete' && resolve();
    });
  }
  process.stdout.write(`${JSON.stringify({ id, answer: connection.localDescription.sdp })}\n`);
  if (!timer) {
    due = performance.now();
    feed();
  }
}

function bye(id) {
  const viewer = viewers.get(id);
  if (!viewer) return;
  viewers.delete(id);
  viewer.connection.close();
  viewer.track.stop();
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
