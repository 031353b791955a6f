// The WebSocket to the hub: opens, reopens with back-off, tells a wrong token from a network fault.

const FIRST_RETRY_MS = 400;
// A camera that starts again should not be waited for much longer than it takes.
const LAST_RETRY_MS = 5_000;
// A hub that accepts TCP and then says nothing.
const OPEN_TIMEOUT_MS = 10_000;

export class Signaling {
  #socket = null;
  #retry = FIRST_RETRY_MS;
  #timer = 0;
  #stopped = false;

  /**
   * hooks: opened(), message(envelope), lost(), refused('wrong' | 'slow'); resume(): id of a live session or null.
   */
  constructor({ device, token, hooks }) {
    this.token = token;
    this.hooks = hooks;
    const query = device ? `?device=${encodeURIComponent(device)}` : '';
    this.path = `/v1/viewer${query}`;
    // The moments when a phone gets its network back.
    addEventListener('online', () => this.hurry());
    document.addEventListener('visibilitychange', () => document.hidden || this.hurry());
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  open() {
    clearTimeout(this.#timer);
    this.#stopped = false;
    const protocols = ['p2pcam.v1', `bearer.${this.token}`];
    const resume = this.hooks.resume();
    if (resume) protocols.push(`resume.${resume}`);
    let socket;
    try {
      socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}${this.path}`, protocols);
    } catch {
      // A token with characters that no header may have.
      this.hooks.refused('wrong');
      return;
    }
    this.#socket = socket;
    let opened = false;
    const slow = setTimeout(() => socket.close(), OPEN_TIMEOUT_MS);
    socket.onopen = () => {
      opened = true;
      clearTimeout(slow);
      this.hooks.opened();
    };
    socket.onmessage = ({ data }) => {
      let envelope;
      try {
        envelope = JSON.parse(data);
      } catch {
        return;
      }
      if (!envelope || typeof envelope !== 'object') return;
      // Only now: a hub that is full opens the socket too, and must not be asked again at once.
      if (envelope.connect) this.#retry = FIRST_RETRY_MS;
      this.hooks.message(envelope);
    };
    socket.onclose = async () => {
      clearTimeout(slow);
      if (this.#socket !== socket || this.#stopped) return;
      this.#socket = null;
      const refusal = opened ? null : await this.#whyRefused();
      if (this.#socket || this.#stopped) return;
      if (refusal) {
        this.#stopped = true;
        this.hooks.refused(refusal);
        return;
      }
      this.hooks.lost();
      this.#timer = setTimeout(() => this.open(), this.#retry * (0.7 + 0.6 * Math.random()));
      this.#retry = Math.min(this.#retry * 2, LAST_RETRY_MS);
    };
  }

  /** False if the hub is away; what would have been said is then lost. */
  send(envelope) {
    if (!this.isOpen) return false;
    this.#socket.send(JSON.stringify(envelope));
    return true;
  }

  /** Another connection in the place of one that may be dead: the hub gives it the sessions of the old one. */
  renew() {
    const old = this.#socket;
    this.#socket = null;
    old?.close();
    this.open();
  }

  /** Opens now if it was about to be opened later. */
  hurry() {
    if (!this.#stopped && !this.#socket) this.open();
  }

  // The browser hides the HTTP status of a refused WebSocket, so the same address is asked without one.
  async #whyRefused() {
    try {
      const answer = await fetch(this.path, {
        headers: { Authorization: `Bearer ${this.token}` },
        cache: 'no-store',
        signal: AbortSignal.timeout?.(OPEN_TIMEOUT_MS),
      });
      return { 401: 'wrong', 429: 'slow' }[answer.status] ?? null;
    } catch {
      return null;
    }
  }
}
