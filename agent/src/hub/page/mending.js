// Looks after the path of a session that had a picture: notices its silence, and asks for another one until it moves.

// How often packets are counted.
const LOOK_MS = 250;
// No packet for this long, where several came each second: the path is broken, whatever ICE thinks of it yet.
const SILENT_MS = 1000;
const BUSY_PER_SECOND = 5;
// Between ICE restarts while the path stays silent: each needs its answer and its checks.
const AGAIN_MS = [1500, 3000, 4000];
// Offers in a row that nothing answers, until another connection to the hub is tried.
const VAIN = 2;
// The camera keeps a session without a path this long.
const LOST_MS = 35_000;

export class Mending {
  #timers = [];
  #count = null;
  #countedAt = 0;
  #rate = 0;
  #heardAt = performance.now();
  #brokenAt = null;
  #tries = 0;
  #vain = 0;
  #stopped = false;

  /**
   * hooks: canAsk(): the hub carries an offer now; mute(): it does not answer; lost(): the path did not come back, and
   * will not.
   */
  constructor(session, hooks) {
    this.session = session;
    this.hooks = hooks;
    this.#timers.push(setInterval(() => this.#look(), LOOK_MS));
  }

  /** The path is broken, or will be: ask for another one, unless that was just done. */
  mend() {
    if (this.#stopped) return;
    this.#brokenAt ??= performance.now();
    if (!this.hooks.canAsk()) return;
    const { patienceMs } = this.session;
    clearTimeout(this.#timers[2]);
    if (patienceMs > 0) {
      this.#timers[2] = setTimeout(() => this.session.isUnanswered && this.mend(), patienceMs);
      return;
    }
    clearTimeout(this.#timers[1]);
    // Browsers do not show a page that its way to the hub is dead.
    if (this.session.isUnanswered && ++this.#vain % VAIN === 0) {
      this.hooks.mute();
      return;
    }
    this.session.restart().catch(() => this.hooks.lost());
    const pause = AGAIN_MS[Math.min(this.#tries++, AGAIN_MS.length - 1)];
    this.#timers[1] = setTimeout(() => this.#isMended || this.mend(), pause);
  }

  /** The way to the hub is back: what was said before may be lost. */
  hubIsBack() {
    if (!this.#isMended) this.mend();
  }

  stop() {
    this.#stopped = true;
    clearInterval(this.#timers[0]);
    clearTimeout(this.#timers[1]);
    clearTimeout(this.#timers[2]);
  }

  get #isSilent() {
    return performance.now() - this.#heardAt >= SILENT_MS;
  }

  /** Packets come, and no answer is waited for. */
  get #isMended() {
    return this.session.isConnected && !this.#isSilent && !this.session.isUnanswered;
  }

  async #look() {
    const count = await this.session.packets().catch(() => null);
    if (count === null || this.#stopped) return;
    const now = performance.now();
    const seconds = (now - this.#countedAt) / 1000;
    const came = this.#count === null ? 0 : count - this.#count;
    [this.#count, this.#countedAt] = [count, now];
    if (came > 0) {
      this.#heardAt = now;
      this.#rate += (came / seconds - this.#rate) / 4;
      if (this.#isMended) [this.#brokenAt, this.#tries, this.#vain] = [null, 0, 0];
      return;
    }
    const broken = this.#brokenAt !== null;
    if (broken && now - this.#brokenAt >= LOST_MS) this.hooks.lost();
    else if (!broken && this.#isSilent && this.#rate >= BUSY_PER_SECOND) this.mend();
  }
}
