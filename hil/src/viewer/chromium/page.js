// Runs in the hub's page before its own scripts: writes down what a viewer there sees, as the events of viewer/mod.rs.
// Times are those of performance.now(): the page asks to connect as soon as it is loaded.
(() => {
  // Reloaded frames and the blank page have nothing to watch.
  if (window.p2pcamRig || !location.protocol.startsWith('http')) return;

  const FREEZE_MS = 500;
  const SECOND_MS = 1000;
  // Reading the strip costs a copy of a part of the picture.
  const STRIP_MS = 250;
  // The rig fetches events every quarter of a second; more than this is never there.
  const MAX_EVENTS = 4096;
  // What a state of the page means on the wire (docs/protocol.md), or to a viewer.
  const ERRORS = {
    noPath: 'no-path', noCodec: 'no-common-codec', tooMany: 'too-many-sessions', noPicture: 'no-picture',
    failed: 'internal', tokenWrong: 'token-refused', tokenSlow: 'token-refused', token: 'token-refused',
    hubLost: 'hub-unreachable', offline: 'device-offline', noWebrtc: 'no-webrtc',
  };
  // States that pass by themselves are told only if they last: a socket that breaks is opened again at once.
  const PASSING = ['hubLost', 'offline'];
  const LASTS_MS = 1000;
  // States that only a click leaves.
  const FINAL = ['noPath', 'noCodec', 'tooMany', 'noPicture', 'failed', 'tokenWrong', 'tokenSlow', 'token', 'ended', 'noWebrtc'];

  const events = [];
  const now = () => performance.now();
  const tell = (event, fields, ms = now()) => {
    if (events.length < MAX_EVENTS) events.push({ event, ms, ...fields });
  };

  // --- the connection ---

  let current = null;
  const Native = window.RTCPeerConnection;
  class Watched extends Native {
    constructor(...args) {
      super(...args);
      // The page makes one ahead of need: only the one that it offers with is told of.
      this.addEventListener('connectionstatechange', () => this === current && tell('state', { state: this.connectionState }));
      this.addEventListener('icecandidate', ({ candidate }) => {
        if (candidate?.candidate) (this.early ??= []).push([now(), candidate.candidate]), this === current && flush(this);
      });
    }
    async setRemoteDescription(description) {
      current = this;
      flush(this);
      if (description?.type === 'answer') tell('answer', {});
      return super.setRemoteDescription(description);
    }
    async addIceCandidate(candidate) {
      current = this;
      if (candidate?.candidate) tell('candidate', { remote: true, candidate: candidate.candidate });
      return super.addIceCandidate(candidate);
    }
    close() {
      if (this === current && this.connectionState !== 'closed') tell('state', { state: 'closed' });
      return super.close();
    }
  }
  function flush(pc) {
    for (const [ms, candidate] of (pc.early ?? []).splice(0)) tell('candidate', { remote: false, candidate }, ms);
  }
  if (Native) window.RTCPeerConnection = Watched;

  // --- pictures ---

  let first = null;
  let last = null;
  let longest = 0;
  let shown = 0;
  let stripAt = 0;
  let strip = null;
  let missing = 0;
  let glass = [0, 0];
  const canvas = document.createElement('canvas');

  function picture(at, { width, height, presentedFrames }) {
    if (first === null) {
      first = at;
      tell('first-picture', { width, height }, at);
    } else {
      longest = Math.max(longest, at - last);
      if (at - last > FREEZE_MS) tell('freeze', { lasted_ms: at - last }, last);
    }
    last = at;
    shown++;
    if (at - stripAt < STRIP_MS) return;
    stripAt = at;
    const read = readStrip(document.querySelector('video'));
    if (!read) return;
    glass[0] += Date.now() - read.timeMs;
    glass[1]++;
    if (strip) {
      const numbers = (read.frame - strip.frame) | 0;
      const seen = presentedFrames - strip.presented;
      // A device or an element that started again counts anew.
      if (numbers > 0 && seen > 0) missing += Math.max(0, numbers - seen);
    }
    strip = { frame: read.frame, presented: presentedFrames };
  }

  // docs/test-pattern.md
  function readStrip(video) {
    const width = video.videoWidth, cell = Math.floor(width / 40), margin = Math.floor(cell / 4);
    if (cell < 2) return null;
    canvas.width = width;
    canvas.height = cell * 3;
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(video, 0, 0);
    const { data } = context.getImageData(0, 0, width, cell * 3);
    const bytes = new Uint8Array(15);
    for (let bit = 0; bit < 120; bit++) {
      const left = (bit % 40) * cell, top = Math.floor(bit / 40) * cell;
      let sum = 0, count = 0;
      for (let y = top + margin; y < top + cell - margin; y++)
        for (let x = left + margin; x < left + cell - margin; x++, count++) sum += data[(y * width + x) * 4 + 1];
      if (sum / count >= 128) bytes[bit >> 3] |= 0x80 >> (bit & 7);
    }
    let crc = 0xffff;
    for (const byte of bytes.subarray(2, 13)) {
      crc ^= byte << 8;
      for (let i = 0; i < 8; i++) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff;
    }
    const view = new DataView(bytes.buffer);
    if (view.getUint16(0) !== 0xb5c3 || bytes[2] !== 1 || view.getUint16(13) !== crc) return null;
    return { frame: view.getUint32(3), timeMs: view.getUint16(7) * 2 ** 32 + view.getUint32(9) };
  }

  // --- once a second ---

  // Headers of UDP (8) and IPv4 (20).
  const LOWER_HEADERS = 28;
  const wire = (s) => (s ? s.bytesReceived + s.headerBytesReceived + s.packetsReceived * LOWER_HEADERS : 0);
  let before = null;
  let path = '';
  async function second() {
    const at = now();
    const pc = window.p2pcam?.peerConnection;
    const report = pc && pc.connectionState !== 'closed' ? await pc.getStats().catch(() => null) : null;
    const all = report ? [...report.values()] : [];
    const inbound = (kind) => all.find((s) => s.type === 'inbound-rtp' && s.kind === kind);
    const [video, audio] = [inbound('video'), inbound('audio')];
    const reading = { at, id: video?.id, bytes: video?.bytesReceived ?? 0, sound: audio?.packetsReceived ?? 0, wire: wire(video) + wire(audio), pc };
    // Another session begins at nought.
    const base = before && before.pc === pc ? before : { at: before?.at ?? 0, bytes: 0, sound: 0, wire: 0 };
    const lasting = last === null ? 0 : at - last;
    const played = [audio, video].map((s) => s?.estimatedPlayoutTimestamp);
    tell('second', {
      pictures: shown,
      kbps: Math.max(0, reading.bytes - base.bytes) * 8 / Math.max(1, at - base.at),
      longest_gap_ms: Math.max(longest, lasting),
      sound_packets: Math.max(0, reading.sound - base.sound),
      numbers_missing: missing,
      av_ms: played.every((t) => t > 0) ? played[0] - played[1] : null,
      glass_ms: glass[1] ? glass[0] / glass[1] : null,
      freeze_count: video?.freezeCount ?? null,
      frozen_ms: video?.totalFreezesDuration == null ? null : video.totalFreezesDuration * 1000,
      wire_kbps: Math.max(0, reading.wire - base.wire) * 8 / Math.max(1, at - base.at),
    }, at);
    before = reading;
    [shown, longest, glass] = [0, 0, [0, 0]];
    tellPath(report, all);
  }

  async function tellPathNow() {
    const report = await window.p2pcam?.peerConnection?.getStats().catch(() => null);
    if (report) tellPath(report, [...report.values()]);
  }

  function tellPath(report, all) {
    if (first === null) return;
    const selected = all.find((s) => s.type === 'transport')?.selectedCandidatePairId;
    const pair = report?.get(selected);
    const [local, remote] = [report?.get(pair?.localCandidateId), report?.get(pair?.remoteCandidateId)];
    const name = `${pair?.localCandidateId} ${pair?.remoteCandidateId}`;
    if (!local || !remote || name === path) return;
    path = name;
    const rtt = pair.currentRoundTripTime;
    const kind = (end) => end.candidateType + (end.protocol === 'tcp' && end.candidateType !== 'relay' ? ' tcp' : '');
    tell('path', { local: kind(local), remote: kind(remote), rtt_ms: rtt == null ? null : rtt * 1000 });
  }

  // --- the page ---

  let session = null;
  let shownState = '';
  let shownAt = 0;
  let told = false;
  function lookAtPage() {
    const page = window.p2pcam;
    const stage = document.getElementById('stage');
    if (!page || !stage) return;
    if (page.sessionId && page.sessionId !== session) {
      session = page.sessionId;
      current = page.peerConnection;
      tell('session', { id: session });
      flush(current);
    }
    const { state } = stage.dataset;
    if (state !== shownState) [shownState, shownAt, told] = [state, now(), false];
    if (told || !ERRORS[state] || (PASSING.includes(state) && now() - shownAt < LASTS_MS)) return;
    told = true;
    const text = (id) => document.getElementById(id)?.textContent.trim() ?? '';
    const words = [text('title'), text('detail'), text('reason')].filter(Boolean).join('. ');
    tell('error', { code: ERRORS[state], message: words }, shownAt);
  }

  document.addEventListener('DOMContentLoaded', () => {
    const video = document.querySelector('video');
    const stage = document.getElementById('stage');
    if (!video || !stage) return;
    const each = (at, metadata) => {
      picture(Math.max(at, last ?? 0), metadata);
      if (shown === 1 && !path) tellPathNow();
      video.requestVideoFrameCallback(each);
    };
    video.requestVideoFrameCallback(each);
    // Sound is played only if it is wanted, and only what is played can be compared.
    video.addEventListener('playing', () => (video.muted = false));
    new MutationObserver(lookAtPage).observe(stage, { attributes: true, attributeFilter: ['data-state'] });
    setInterval(second, SECOND_MS);
    setInterval(lookAtPage, 50);
  });

  window.p2pcamRig = Object.freeze({
    /** What happened since the last call, whether the page has given up, and in what state it is. */
    take() {
      lookAtPage();
      return { events: events.splice(0), final: FINAL.includes(shownState), state: shownState, ms: now(), seen: first !== null };
    },
    /** As a person who presses the button. */
    again() {
      window.p2pcam?.start();
    },
    /** A freeze that lasts. */
    end() {
      if (last !== null && now() - last > FREEZE_MS) tell('freeze', { lasted_ms: now() - last }, last);
      return this.take();
    },
  });
})();
