// Figures of a session, made from two samples of getStats.

const rate = (now, before, seconds) => (before == null || now == null || seconds <= 0 ? null : (now - before) / seconds);

export class Statistics {
  #before = null;

  /** One sample; rates are over the time since the last call. */
  async sample(session) {
    const report = await session.pc.getStats();
    const all = [...report.values()];
    const inbound = (kind) => all.find((s) => s.type === 'inbound-rtp' && s.kind === kind);
    const video = inbound('video');
    const audio = inbound('audio');
    const transport = all.find((s) => s.type === 'transport');
    const pair =
      report.get(transport?.selectedCandidatePairId) ??
      all.find((s) => s.type === 'candidate-pair' && s.nominated && s.state === 'succeeded');
    const local = report.get(pair?.localCandidateId);
    const remote = report.get(pair?.remoteCandidateId);

    const now = {
      id: session.id,
      at: performance.now(),
      bytes: (video?.bytesReceived ?? 0) + (audio?.bytesReceived ?? 0),
      frames: video?.framesDecoded,
      received: video?.packetsReceived,
      lost: video?.packetsLost,
      delay: video?.jitterBufferDelay,
      emitted: video?.jitterBufferEmittedCount,
    };
    const before = this.#before?.id === session.id ? this.#before : null;
    this.#before = now;
    const seconds = before ? (now.at - before.at) / 1000 : 0;
    const received = before ? now.received - before.received : now.received;
    const lost = before ? now.lost - before.lost : now.lost;
    const emitted = before ? now.emitted - before.emitted : now.emitted;
    const delay = before ? now.delay - before.delay : now.delay;

    return {
      width: video?.frameWidth ?? null,
      height: video?.frameHeight ?? null,
      framesDecoded: video?.framesDecoded ?? 0,
      fps: rate(now.frames, before?.frames, seconds) ?? video?.framesPerSecond ?? null,
      kbps: before ? (rate(now.bytes, before.bytes, seconds) * 8) / 1000 : null,
      rttMs: pair?.currentRoundTripTime == null ? null : pair.currentRoundTripTime * 1000,
      // The weaker end names the path.
      path: ['relay', 'prflx', 'srflx', 'host'].find((k) => local?.candidateType === k || remote?.candidateType === k) ?? null,
      verdict: session.verdict || null,
      protocol: local?.relayProtocol ?? local?.protocol ?? null,
      lossPercent: received + lost > 0 ? (100 * Math.max(lost, 0)) / (received + lost) : null,
      videoCodec: report.get(video?.codecId)?.mimeType?.split('/')[1] ?? null,
      audioCodec: report.get(audio?.codecId)?.mimeType?.split('/')[1] ?? null,
      audioPackets: audio?.packetsReceived ?? 0,
      bufferMs: emitted > 0 ? (1000 * delay) / emitted : null,
      firstPictureMs: session.firstPictureMs,
    };
  }
}
