// The own voice: asked for only when the talk button is pressed, with its level.

export class Microphone {
  track = null;
  #context = null;
  #frame = 0;

  /** level(0 to 1) is called while the microphone is open. */
  constructor(level) {
    this.level = level;
  }

  async open() {
    if (this.track) return this.track;
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 },
    });
    this.track = stream.getAudioTracks()[0];
    this.#meter(stream);
    return this.track;
  }

  /** Lets go of the microphone; null, for replaceTrack. */
  close() {
    cancelAnimationFrame(this.#frame);
    this.#context?.close();
    this.#context = null;
    this.track?.stop();
    this.track = null;
    return null;
  }

  #meter(stream) {
    this.#context = new AudioContext();
    const analyser = new AnalyserNode(this.#context, { fftSize: 512 });
    this.#context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const draw = () => {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, s) => sum + s * s, 0) / samples.length;
      // -50 dB is silence in a room, -10 dB is loud.
      const decibel = 10 * Math.log10(power + 1e-9);
      this.level(Math.min(1, Math.max(0, (decibel + 50) / 40)));
      this.#frame = requestAnimationFrame(draw);
    };
    draw();
  }
}
