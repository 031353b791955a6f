// What is seen and pressed: puts states into words and buttons. Knows no network.

import { language, t } from './words.js';

const $ = (id) => document.getElementById(id);

// For how long controls stay after the last movement while the picture runs.
const IDLE_MS = 3500;
const NOTICE_MS = 6000;
// The statistics of the browser write them as SDP does.
const CODECS = { H264: 'H.264', H265: 'H.265', opus: 'Opus' };
// So that the words about the secure page are not in the way again after they were read.
const TOLD_KEY = 'p2pcam-insecure-told';

/** Per state: a spinner, a tone, and the words of the button below, if any. */
const LOOKS = {
  linking: { busy: true },
  connecting: { busy: true },
  reconnecting: { busy: true },
  stalled: { busy: true },
  offline: { busy: true },
  hubLost: { busy: true, button: 'again', tone: 'bad' },
  ready: { button: 'start' },
  ended: { button: 'start' },
  token: { form: true },
  tokenWrong: { form: true, tone: 'bad' },
  tokenSlow: { form: true, tone: 'bad' },
  noPath: { button: 'again', tone: 'bad' },
  noCodec: { button: 'again', tone: 'bad' },
  tooMany: { button: 'again', tone: 'bad' },
  noPicture: { button: 'again', tone: 'bad' },
  failed: { button: 'again', tone: 'bad' },
  noWebrtc: { tone: 'bad' },
  live: {},
};

export class Ui {
  stage = $('stage');
  video = $('video');
  #noticeTimer = 0;
  #idleTimer = 0;
  #sticky = '';
  #waking = false;

  /** actions: start(), stop(), talk(on), token(word), statsShown(on) */
  constructor(actions, device) {
    this.actions = actions;
    document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
    for (const el of document.querySelectorAll('[data-t]')) el.textContent = t(el.dataset.t);
    for (const el of document.querySelectorAll('[data-label]')) this.#label(el, el.dataset.label);
    $('name').textContent = device || 'p2pcam';
    if (device) document.title = `${device} · p2pcam`;
    this.device = device;
    this.#label($('start'), 'start');
    this.#label($('mute'), 'unmute');
    this.#label($('talk'), 'talk');

    const startStop = () => (this.watching ? actions.stop() : actions.start());
    this.keys = {
      ' ': startStop,
      m: () => this.#toggleMute(),
      t: () => $('talk').disabled || actions.talk($('talk').ariaPressed !== 'true'),
      s: () => $('photo').disabled || this.#photo(),
      i: () => $('stats-toggle').disabled || this.#toggleStats(),
      f: () => this.#toggleFull(),
    };
    $('start').onclick = startStop;
    $('again').onclick = () => actions.start();
    $('mute').onclick = this.keys.m;
    $('talk').onclick = this.keys.t;
    $('photo').onclick = this.keys.s;
    $('stats-toggle').onclick = this.keys.i;
    $('full').onclick = this.keys.f;
    $('insecure-close').onclick = () => {
      $('insecure').hidden = true;
      sessionStorage.setItem(TOLD_KEY, '1');
    };
    $('token-form').onsubmit = (event) => {
      event.preventDefault();
      const word = $('token').value.trim();
      if (word) actions.token(word);
    };
    $('token-show').onclick = () => this.#showToken($('token').type === 'password');
    this.video.ondblclick = this.keys.f;
    // A button that took the focus from a click would take the next space, too.
    $('bar').onmousedown = (event) => event.preventDefault();
    // A tap that brings the controls back must not press the one that it happens to hit.
    addEventListener('pointerdown', () => (this.#waking = this.#isAsleep), true);
    $('bar').addEventListener('click', (event) => this.#waking && event.detail > 0 && event.stopPropagation(), true);
    addEventListener('keydown', (event) => this.#key(event));
    for (const kind of ['pointermove', 'pointerdown', 'keydown', 'focusin']) addEventListener(kind, () => this.#awake());
    document.addEventListener('fullscreenchange', () => this.#label($('full'), document.fullscreenElement ? 'fullOff' : 'full'));
    // iPhones have full screen for the video alone; where there is neither, no button.
    $('full').hidden = !this.stage.requestFullscreen && !this.video.webkitEnterFullscreen;
    this.video.onvolumechange = () => this.#showMute();
    this.#awake();
  }

  /** Shows a state. `reason`: words of the other side, shown as they are. */
  show(state, { watching, reason = '' } = {}) {
    const look = LOOKS[state];
    const { stage } = this;
    this.watching = watching;
    stage.dataset.state = state;
    stage.toggleAttribute('data-busy', Boolean(look.busy));
    stage.dataset.tone = look.tone ?? 'calm';
    $('bar').hidden = Boolean(look.form) || state === 'noWebrtc';
    $('title').textContent = t(state);
    $('detail').textContent = t(`${state}Detail`);
    $('reason').textContent = reason;
    const form = $('token-form');
    if (form.hidden === Boolean(look.form)) form.hidden = !look.form;
    if (look.form) {
      this.#showToken(false);
      $('token').focus();
      $('token').select();
    }
    $('again').hidden = !look.button;
    $('again').textContent = look.button ? t(look.button) : '';
    this.#icon($('start'), watching ? 'stop' : 'play');
    this.#label($('start'), watching ? 'stop' : 'start');
    this.#brief();
    this.#allow();
  }

  /** Whether there is a picture on the stage, if only a still one. */
  picture(there) {
    this.stage.toggleAttribute('data-picture', there);
    this.#allow();
  }

  /** A line at the top: for some seconds, or (`stays`) until it is replaced by ''. */
  notice(words, stays = false) {
    clearTimeout(this.#noticeTimer);
    if (stays) this.#sticky = words;
    const show = (text) => {
      $('notice').textContent = text;
      $('notice').hidden = !text;
    };
    show(words || this.#sticky);
    if (words && !stays) this.#noticeTimer = setTimeout(() => show(this.#sticky), NOTICE_MS);
    if (words) this.#awake();
  }

  talking(on) {
    this.stage.toggleAttribute('data-talking', on);
    $('talk').ariaPressed = String(on);
    this.#label($('talk'), on ? 'talkOff' : 'talk');
    this.#brief();
    if (!on) this.level(0);
  }

  /** Loudness of the own voice, 0 to 1. */
  level(value) {
    $('talk').style.setProperty('--level', value.toFixed(2));
  }

  /** Whether the viewer has read, and closed, the words about the secure page. */
  get toldInsecure() {
    return sessionStorage.getItem(TOLD_KEY) !== null;
  }

  /** Says that there is no microphone here, with the secure address if there is one. */
  insecure(url) {
    $('insecure-words').textContent = t('insecure');
    const link = $('insecure-link');
    link.hidden = !url;
    if (url) {
      link.href = url;
      link.textContent = t('insecureLink');
    }
    $('insecure').hidden = false;
    this.#awake();
  }

  statistics(s) {
    const n = (value, unit, digits = 0) => (value == null || Number.isNaN(value) ? '–' : `${value.toFixed(digits)} ${unit}`.trim());
    const rows = {
      sSize: s.width ? `${s.width} × ${s.height}` : '–',
      sFps: n(s.fps, t('sFpsUnit')),
      sBitrate: s.kbps > 1000 ? n(s.kbps / 1000, 'Mbit/s', 1) : n(s.kbps, 'kbit/s'),
      sRtt: s.rttMs != null && s.rttMs < 1 ? '< 1 ms' : n(s.rttMs, 'ms'),
      sPath: s.path ? `${t(s.path)} (${[s.path, s.protocol?.toUpperCase()].filter(Boolean).join(', ')})` : '–',
      sVerdict: s.verdict ?? '–',
      sLoss: n(s.lossPercent, '%', 1),
      sCodec: [s.videoCodec, s.audioCodec].filter(Boolean).map((name) => CODECS[name] ?? name).join(' · ') || '–',
      sBuffer: n(s.bufferMs, 'ms'),
      sFirst: n(s.firstPictureMs, 'ms'),
    };
    const panel = $('stats');
    panel.replaceChildren(
      ...Object.entries(rows).flatMap(([key, value]) => {
        const dt = document.createElement('dt');
        const dd = document.createElement('dd');
        dt.textContent = t(key);
        dd.textContent = value;
        return [dt, dd];
      }),
    );
  }

  /** What makes no sense without a picture is greyed. */
  #allow() {
    const picture = this.stage.hasAttribute('data-picture');
    for (const id of ['mute', 'talk', 'photo', 'stats-toggle']) $(id).disabled = !picture;
  }

  /** Beside the name: that it is live. Every other state has words of its own on the card. */
  #brief() {
    const { state } = this.stage.dataset;
    const talking = this.stage.hasAttribute('data-talking');
    $('brief').textContent = state === 'live' ? t(talking ? 'liveTalking' : 'live') : '';
  }

  #showToken(on) {
    $('token').type = on ? 'text' : 'password';
    $('token-show').ariaPressed = String(on);
    this.#label($('token-show'), on ? 'tokenHide' : 'tokenShow');
  }

  /** The controls have stepped back; the same rule is in page.css. */
  get #isAsleep() {
    const { stage } = this;
    return stage.hasAttribute('data-idle') && stage.dataset.state === 'live' && !stage.hasAttribute('data-talking');
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const target = event.target;
    if (target instanceof HTMLInputElement) return;
    // Space on a focused button presses that button.
    if (event.key === ' ' && target instanceof HTMLButtonElement) return;
    if ($('bar').hidden) return;
    const action = this.keys[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    action();
  }

  #awake() {
    this.stage.removeAttribute('data-idle');
    clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => this.stage.setAttribute('data-idle', ''), IDLE_MS);
  }

  #label(el, key) {
    const word = t(key);
    const shortcut = el.dataset.key;
    el.ariaLabel = word;
    if (shortcut) {
      el.title = `${word} (${shortcut === 'space' ? '␣' : shortcut.toUpperCase()})`;
      el.setAttribute('aria-keyshortcuts', shortcut === 'space' ? 'Space' : shortcut);
    }
  }

  #icon(el, name) {
    el.querySelector('use').setAttribute('href', `#i-${name}`);
  }

  #showMute() {
    this.#icon($('mute'), this.video.muted ? 'muted' : 'sound');
    this.#label($('mute'), this.video.muted ? 'unmute' : 'mute');
  }

  #toggleMute() {
    if ($('mute').disabled) return;
    this.video.muted = !this.video.muted;
    // Sound may have been what kept an earlier play() from starting.
    this.video.play().catch(() => {});
  }

  #toggleStats() {
    const on = $('stats').hidden;
    $('stats').hidden = !on;
    $('stats-toggle').ariaPressed = String(on);
    this.actions.statsShown(on);
  }

  #toggleFull() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (this.stage.requestFullscreen) this.stage.requestFullscreen().catch(() => {});
    else this.video.webkitEnterFullscreen?.();
  }

  #photo() {
    const { video } = this;
    if (!video.videoWidth) return;
    const canvas = document.createElement('canvas');
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext('2d').drawImage(video, 0, 0);
    canvas.toBlob((blob) => {
      if (!blob) return;
      const now = new Date();
      const local = new Date(now - now.getTimezoneOffset() * 60_000).toISOString().slice(0, 19).replaceAll(':', '-');
      const link = document.createElement('a');
      link.href = URL.createObjectURL(blob);
      link.download = `${this.device || 'p2pcam'}-${local}.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
      this.notice(t('photoSaved'));
    }, 'image/png');
  }
}
