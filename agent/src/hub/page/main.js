// The page's course: hub, sessions, and what the viewer wants, brought together.

import { ERRORS, HARMLESS, MICROPHONE, TRY_AGAIN } from './errors.js';
import { Mending } from './mending.js';
import { Microphone } from './microphone.js';
import { Session } from './session.js';
import { Signaling } from './signaling.js';
import { Statistics } from './stats.js';
import { Ui } from './ui.js';
import { t } from './words.js';

const STATS_MS = 1000;
// No new picture for this long is told to the viewer.
const STALLED_MS = 2500;
// From the click to a path. Longer than ICE needs, shorter than patience.
const CONNECT_MS = 20_000;
// Pause before the next session after one that broke; doubled each time, up to the last.
const RETRY_MS = [500, 1000, 2000, 4000, 8000];

const options = new URLSearchParams(location.hash.slice(1));
const device = options.get('device') ?? '';
addEventListener('hashchange', () => location.reload());

const TOKEN_KEY = 'p2pcam-token';
let token = options.get('token') || sessionStorage.getItem(TOKEN_KEY) || '';

let state = 'linking';
let reason = '';
/** The viewer wants a picture. `wantedSince`: since when, on the clock of performance.now(). */
let wanted = options.get('autostart') !== '0';
let wantedSince = wanted ? 0 : null;
/** A session ended that the viewer had not stopped: the next chance is taken without a click. */
let interrupted = false;
/** The session that is made but not started, the one that runs, and the hub's offer for the next. */
let prepared = null;
let running = null;
let nextOffer = null;
/** Sessions in a row that broke, and whether the pause after the last one still runs. */
let failures = 0;
let pausing = false;
/** What the camera said of its privacy switch, in words; it stands as long as it holds. */
let privacy = '';
/** Looks after the path of the session that runs, from its first picture on. */
let mending = null;
const timers = {};
const statistics = new Statistics();
let latest = null;
let lastFrames = -1;
let lastFrameAt = 0;
let statsShown = false;

const ui = new Ui({ start, stop, talk, token: useToken, statsShown: (on) => ((statsShown = on), on && sample()) }, device);
const microphone = new Microphone((level) => ui.level(level));
let signaling = null;

function show(next, words = '') {
  state = next;
  reason = words;
  ui.show(state, { watching: wanted, reason });
}

function after(name, ms, action) {
  clearTimeout(timers[name]);
  timers[name] = setTimeout(action, ms);
}

function want() {
  wanted = true;
  wantedSince = performance.now();
}

function calm(...names) {
  for (const name of names) clearTimeout(timers[name]);
}

// --- the hub ---

function openHub() {
  signaling = new Signaling({
    device,
    token,
    hooks: {
      resume: () => (running?.isStarted && running.pc.connectionState !== 'closed' ? running.id : null),
      opened() {
        ui.notice(privacy, true);
        sessionStorage.setItem(TOKEN_KEY, token);
        if (interrupted || (wanted && state === 'hubLost')) want();
        // A hub that is full lets in and sends away again: what it said stays to be read.
        mending?.hubIsBack();
        if (!running && state !== 'tooMany') show(wanted ? 'linking' : 'ready');
      },
      message: onMessage,
      lost() {
        nextOffer = null;
        discardPrepared();
        if (running?.isConnected) ui.notice(t('hubLostNotice'), true);
        // Many a path comes back by itself, so the last picture stays until it is given up.
        else if (mending) show('reconnecting');
        else {
          endRunning();
          if (state !== 'tooMany') show('hubLost');
        }
      },
      refused(why) {
        endRunning();
        sessionStorage.removeItem(TOKEN_KEY);
        show(why === 'slow' ? 'tokenSlow' : token ? 'tokenWrong' : 'token');
      },
    },
  });
  signaling.open();
}

function useToken(word) {
  token = word;
  // One in the address would come first again when the page is loaded anew.
  options.delete('token');
  history.replaceState(null, '', `#${options}`);
  if (wanted) want();
  show('linking');
  if (!signaling) return openHub();
  signaling.token = token;
  signaling.open();
}

function onMessage({ session: id, connect, description, candidate, restart, notice, error, bye }) {
  if (connect) {
    if (running && id === running.id) return running.renew(connect);
    nextOffer = { id, connect };
    // One that was prepared for an earlier offer has old servers or a session that is gone.
    if (prepared?.id) discardPrepared();
    prepare();
    if (state === 'offline') want();
    if (wanted && !running && !pausing) launch();
    else if (!wanted && !running && ['linking', 'tooMany'].includes(state)) show('ready');
    return;
  }
  if (error) return onError(id, error);
  if (!running || id !== running.id) return;
  if (notice) {
    // Codes that this page does not know are for others.
    if (/^privacy-/.test(notice.code)) tellPrivacy(notice.code === 'privacy-on');
    if (/^path-/.test(notice.code)) running.verdict = notice.message;
    if (notice.code === 'path-none' && state === 'connecting') show('connecting', notice.message);
    return;
  }
  if (restart) {
    console.info(`the camera asks for a new path: ${restart.reason}`);
    mending?.mend();
    return;
  }
  if (bye) {
    const seen = running.firstPictureMs !== null;
    endRunning();
    // A camera that restarts is waited for; one that was never seen would only be asked in a circle.
    if (seen) return relaunch(bye.reason, 'ended');
    interrupted = wanted;
    leave('ended', bye.reason);
  } else if (description || candidate !== undefined) running.receive({ description, candidate });
}

function tellPrivacy(on) {
  privacy = on ? t('privacyOn') : '';
  ui.notice(privacy, true);
}

function onError(id, { code, message = '' }) {
  console.warn(`${code}: ${message}`);
  if (HARMLESS.has(code)) return;
  // Of a session that is over here already.
  if (id && id !== running?.id) return;
  if (code === 'device-offline') {
    nextOffer = null;
    if (running?.isConnected && !id) return;
    endRunning();
    discardPrepared();
    if (interrupted) want();
    // Which device it is says the page already; a hub with several asks for a choice.
    if (wanted) show('offline', device ? '' : message);
    return;
  }
  // Without a session it is about this socket: the hub is full, or cannot make sessions.
  if (!id && running?.isConnected) return;
  if (TRY_AGAIN.has(code)) return running ? relaunch() : undefined;
  giveUp(ERRORS[code] ?? 'failed', message);
}

// --- sessions ---

function makeSession() {
  const session = new Session(
    { relayOnly: options.get('relay') === '1', withoutH264: options.get('codec') === 'vp8' },
    {
      send: (envelope) => signaling?.send(envelope),
      track: () => {
        if (ui.video.srcObject !== session.stream) ui.video.srcObject = session.stream;
        ui.video.play().catch(() => {});
      },
      changed: () => session === running && onConnection(session),
      broke: (error) => {
        console.error(error);
        if (session === running) giveUp('failed', error.message);
      },
    },
  );
  return session;
}

/** Makes what the next start needs, so that a click only has to send. */
function prepare() {
  prepared ??= makeSession();
  if (nextOffer && !prepared.id) prepared.prepare(nextOffer.id, nextOffer.connect);
}

function discardPrepared() {
  prepared?.close();
  prepared = null;
}

function launch() {
  prepare();
  if (!prepared.id) return;
  running = prepared;
  prepared = null;
  nextOffer = null;
  interrupted = false;
  const session = running;
  lastFrames = -1;
  show('connecting');
  ui.video.requestVideoFrameCallback?.(() => firstPicture(session));
  if (!ui.video.requestVideoFrameCallback) ui.video.onloadeddata = () => firstPicture(session);
  session.start(wantedSince ?? performance.now()).catch((error) => session === running && giveUp('failed', error.message));
  if (microphone.track) session.talk(microphone.track);
  awaitPicture(session);
}

function awaitPicture(session) {
  after('connect', CONNECT_MS, () => {
    if (session !== running || session.firstPictureMs !== null) return;
    // A page in the background paints no picture that could be noticed.
    if (session.isConnected && document.hidden) awaitPicture(session);
    else giveUp(...(session.isConnected ? ['noPicture'] : ['noPath', session.verdict]));
  });
}

function firstPicture(session) {
  if (session !== running || session.firstPictureMs !== null) return;
  session.firstPictureMs = performance.now() - session.startedAt;
  calm('connect');
  failures = 0;
  mending = new Mending(session, {
    canAsk: () => signaling.isOpen,
    mute: () => signaling.renew(),
    lost: () => session === running && relaunch(),
  });
  lastFrameAt = performance.now();
  ui.picture(true);
  show('live');
}

function onConnection(session) {
  switch (session.pc.connectionState) {
    case 'connected':
      lastFrameAt = performance.now();
      if (state === 'reconnecting') show(session.firstPictureMs === null ? 'connecting' : 'live');
      break;
    case 'disconnected':
    case 'failed':
      if (mending) {
        show('reconnecting');
        mending.mend();
      } else if (session.pc.connectionState === 'failed') giveUp('noPath', session.verdict);
      break;
    case 'closed':
      relaunch();
      break;
  }
}

/** Ends what runs and takes the next chance by itself, later each time. */
function relaunch(words = '', look = 'reconnecting') {
  sayBye('broken');
  endRunning();
  want();
  pausing = true;
  show(signaling.isOpen ? look : 'hubLost', words);
  after('retry', RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)], () => {
    pausing = false;
    if (wanted && !running) launch();
  });
}

function giveUp(next, words = '') {
  sayBye(next);
  leave(next, words);
}

/** Ends the session for a reason that the viewer must hear; only a click, or the hub's return, starts the next. */
function leave(next, words) {
  endRunning();
  wanted = false;
  // Nobody expects to be heard by a camera that he does not see.
  if (microphone.track) talk(false);
  show(next, words);
}

function sayBye(why) {
  if (running) signaling.send({ session: running.id, bye: { reason: why } });
}

function endRunning() {
  calm('connect', 'retry');
  mending?.stop();
  mending = null;
  pausing = false;
  running?.close();
  running = null;
  latest = null;
  ui.video.srcObject = null;
  ui.picture(false);
  privacy = '';
  // It spoke of a picture that went on.
  ui.notice('', true);
}

// --- the viewer ---

function start() {
  if (running || (wanted && state === 'connecting')) return;
  want();
  failures = 0;
  pausing = false;
  if (!token) return show('token');
  if (signaling.isOpen) {
    launch();
    if (!running) show('offline');
  } else {
    show('hubLost');
    signaling.hurry();
  }
}

function stop() {
  wanted = false;
  interrupted = false;
  sayBye('viewer stopped');
  leave('ready', '');
  prepare();
}

async function talk(on) {
  if (on && !window.isSecureContext) return tellInsecure();
  try {
    const track = on ? await microphone.open() : microphone.close();
    // Stopped while the browser still asked for leave.
    if (on && !wanted) return microphone.close();
    // Unplugged, or leave taken back.
    if (track) track.onended = () => talk(false);
    await running?.talk(track);
    ui.talking(on);
  } catch (error) {
    microphone.close();
    ui.talking(false);
    ui.notice(t(MICROPHONE[error.name] ?? 'micBusy'));
  }
}

async function tellInsecure() {
  let url = null;
  try {
    const { httpsPort } = await (await fetch('/v1/info')).json();
    // On loopback only http is at hand; elsewhere the same machine answers on its secure port.
    const hash = new URLSearchParams(options);
    if (token) hash.set('token', token);
    if (httpsPort) url = `https://${location.hostname}:${httpsPort}/#${hash}`;
  } catch {
    // Then without a link.
  }
  ui.insecure(url);
}

async function sample() {
  const session = running;
  if (!session) return null;
  const figures = await statistics.sample(session);
  if (session !== running) return latest;
  latest = figures;
  if (statsShown) ui.statistics(figures);
  const now = performance.now();
  if (figures.framesDecoded !== lastFrames) {
    lastFrames = figures.framesDecoded;
    lastFrameAt = now;
    if (state === 'stalled') show('live');
  } else if (state === 'live' && !document.hidden && now - lastFrameAt > STALLED_MS) show('stalled');
  return figures;
}

// For tests, and for the curious at the console. Nothing can be changed through it but what the buttons do.
window.p2pcam = Object.freeze({
  get state() {
    return state;
  },
  get reason() {
    return reason;
  },
  get sessionId() {
    return running?.id ?? null;
  },
  get verdict() {
    return running?.verdict ?? null;
  },
  get peerConnection() {
    return running?.pc ?? null;
  },
  get firstPictureMs() {
    return running?.firstPictureMs ?? null;
  },
  clickToPictureMs: () => running?.firstPictureMs ?? null,
  async stats() {
    if (!running) return null;
    const fresh = await new Statistics().sample(running);
    // Rates need two samples, which the page takes every second.
    return { ...fresh, kbps: latest?.kbps ?? null, fps: latest?.fps ?? fresh.fps };
  },
  start,
  stop,
  talk,
});

if (!window.RTCPeerConnection) show('noWebrtc');
else {
  ui.picture(false);
  show('linking');
  // The peer connection and its offer are made while the socket opens.
  prepare();
  if (token) openHub();
  else show('token');
  if (!window.isSecureContext && !ui.toldInsecure) tellInsecure();
  setInterval(() => running && sample(), STATS_MS);
  // A page that goes away says so; one that the browser keeps in its cache starts again when it is shown.
  addEventListener('pagehide', stop);
  addEventListener('pageshow', (event) => event.persisted && location.reload());
}
