// One viewer session: the peer connection, made and offered before it is needed.

/** The servers of a `connect`, in the browser's form. */
function iceServers({ stun, iceServers = [] } = {}) {
  const servers = iceServers.map(({ urls, username, credential }) => ({ urls, username, credential }));
  const hasStun = servers.some(({ urls }) => [urls].flat().some((url) => /^stuns?:/.test(url)));
  if (stun?.ip && !hasStun) {
    const host = stun.ip.includes(':') ? `[${stun.ip}]` : stun.ip;
    servers.push({ urls: `stun:${host}:${stun.port ?? 3478}` });
  }
  return servers;
}

// An answer that takes so many times as long as the first one was lost, but not earlier and not later than this.
const ANSWERS = 3;
const ANSWER_MS = [200, 1000];

export class Session {
  id = null;
  startedAt = null;
  firstPictureMs = null;
  /** What the camera said of the path, in its words. */
  verdict = '';
  stream = new MediaStream();
  #offer;
  #ready;
  #outbox = [];
  #inbox = [];
  #chain = Promise.resolve();
  /** When the last offer went out, and how long the first answer took. */
  #offeredAt = null;
  #restarting = false;
  #answerMs = null;

  /**
   * options: { relayOnly, withoutH264 }; hooks: send(envelope), track(), changed(), broke(error).
   */
  constructor(options, hooks) {
    this.hooks = hooks;
    this.base = {
      bundlePolicy: 'max-bundle',
      iceTransportPolicy: options.relayOnly ? 'relay' : 'all',
    };
    const pc = (this.pc = new RTCPeerConnection(this.base));
    const video = pc.addTransceiver('video', { direction: 'recvonly' });
    // Sending is agreed on from the start, so that the talk button needs no new offer.
    this.audio = pc.addTransceiver('audio', { direction: 'sendrecv' });
    if (options.withoutH264) {
      const codecs = RTCRtpReceiver.getCapabilities('video').codecs;
      video.setCodecPreferences?.(codecs.filter(({ mimeType }) => !/h264/i.test(mimeType)));
    }
    for (const { receiver } of [video, this.audio]) {
      // A camera is watched as it happens: no buffering beyond what the network needs.
      try {
        receiver.playoutDelayHint = 0;
        receiver.jitterBufferTarget = 0;
      } catch {
        // Browsers without these keep their own idea.
      }
    }
    pc.ontrack = ({ track }) => {
      this.stream.addTrack(track);
      this.hooks.track();
    };
    pc.onicecandidate = ({ candidate }) => {
      const body = candidate && {
        candidate: candidate.candidate,
        sdpMLineIndex: candidate.sdpMLineIndex,
        sdpMid: candidate.sdpMid,
      };
      this.#say({ candidate: body?.candidate ? body : null });
    };
    pc.onconnectionstatechange = () => this.hooks.changed();
    this.#offer = pc.createOffer();
    this.#offer.catch(() => {});
  }

  get isStarted() {
    return this.startedAt !== null;
  }

  get isConnected() {
    return this.pc.connectionState === 'connected';
  }

  /** Takes the hub's id and servers, and gathers candidates; nothing is sent yet. */
  prepare(id, connect) {
    this.id = id;
    this.#ready = (async () => {
      this.renew(connect);
      await this.pc.setLocalDescription(await this.#offer);
      return { type: 'offer', sdp: this.pc.localDescription.sdp };
    })();
    this.#ready.catch((error) => this.hooks.broke(error));
  }

  /** Takes newer servers and credentials; they are used when candidates are gathered next. */
  renew(connect) {
    try {
      this.pc.setConfiguration({ ...this.base, iceServers: iceServers(connect) });
    } catch (error) {
      console.warn('the hub named a server that this browser does not take:', error.message);
    }
  }

  /** Sends what is prepared. `since`: when the viewer asked for it, on the clock of performance.now(). */
  async start(since) {
    this.startedAt = since;
    // First of all, so that the device gathers while this side still writes its offer.
    this.hooks.send({ session: this.id, connect: {} });
    const description = await this.#ready;
    this.hooks.send({ session: this.id, description });
    this.#offeredAt = performance.now();
    const waiting = this.#outbox;
    this.#outbox = null;
    waiting.forEach((body) => this.hooks.send({ session: this.id, ...body }));
  }

  /** A message of the device; in order, for each step waits for the one before. */
  receive({ description, candidate }) {
    this.#chain = this.#chain
      .then(() => (description ? this.#describe(description) : this.#add(candidate)))
      .catch((error) => this.hooks.broke(error));
  }

  async #describe(description) {
    const { pc } = this;
    if (pc.signalingState === 'closed') return;
    // An answer that no offer waits for; an offer of the device (ICE restart) is always taken, ours is rolled back.
    if (description.type === 'answer' && pc.signalingState !== 'have-local-offer') return;
    if (description.type === 'answer') this.#answerMs ??= performance.now() - this.#offeredAt;
    await pc.setRemoteDescription(description);
    if (description.type === 'offer') {
      await pc.setLocalDescription();
      this.#say({ description: { type: 'answer', sdp: pc.localDescription.sdp } });
    }
    for (const candidate of this.#inbox.splice(0)) await this.#add(candidate);
  }

  async #add(candidate) {
    if (this.pc.signalingState === 'closed') return;
    if (!this.pc.remoteDescription) {
      if (this.#inbox.length < 64) this.#inbox.push(candidate);
      return;
    }
    try {
      await this.pc.addIceCandidate(candidate?.candidate ? candidate : undefined);
    } catch (error) {
      // One bad candidate; the others may do.
      console.warn('candidate not taken:', error.message);
    }
  }

  get isUnanswered() {
    return this.#restarting || this.pc.signalingState === 'have-local-offer';
  }

  /** Time in which the answer to an offer that is out may still come; 0 if there is none, or it was lost. */
  get patienceMs() {
    if (!this.isUnanswered) return 0;
    const [least, most] = ANSWER_MS;
    const allowed = Math.min(Math.max(ANSWERS * (this.#answerMs ?? most), least), most);
    return Math.max(this.#offeredAt + allowed - performance.now(), 0);
  }

  /** New candidates over the same session, after a network change. An offer that has no answer yet is taken back. */
  restart() {
    // From now on: two that are asked for at once are one.
    this.#offeredAt = performance.now();
    this.#restarting = true;
    const done = this.#chain.then(() => this.#restart()).finally(() => (this.#restarting = false));
    this.#chain = done.catch(() => {});
    return done;
  }

  async #restart() {
    const { pc } = this;
    if (pc.signalingState === 'closed') return;
    if (pc.signalingState === 'have-local-offer') await pc.setLocalDescription({ type: 'rollback' });
    await pc.setLocalDescription(await pc.createOffer({ iceRestart: true }));
    this.#offeredAt = performance.now();
    this.#say({ description: { type: 'offer', sdp: pc.localDescription.sdp } });
  }

  /** Packets of picture and sound so far. */
  async packets() {
    let count = 0;
    for (const figure of (await this.pc.getStats()).values()) {
      if (figure.type === 'inbound-rtp') count += figure.packetsReceived ?? 0;
    }
    return count;
  }

  talk(track) {
    return this.audio.sender.replaceTrack(track);
  }

  #say(body) {
    if (this.#outbox) this.#outbox.push(body);
    else this.hooks.send({ session: this.id, ...body });
  }

  close() {
    this.pc.ontrack = this.pc.onicecandidate = this.pc.onconnectionstatechange = null;
    this.pc.close();
    this.hooks = { send() {}, track() {}, changed() {}, broke() {} };
  }
}
