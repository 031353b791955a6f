// What the page does about each error code of the wire (docs/protocol.md) and of the microphone; codes not named here end the session in words.

/** What each error code of the wire is called on this page. */
export const ERRORS = {
  'no-path': 'noPath',
  'no-common-codec': 'noCodec',
  'too-many-sessions': 'tooMany',
};
/** Errors after which another session may well do: the device restarted, or lost a message. */
export const TRY_AGAIN = new Set(['unknown-session', 'wrong-state', 'duplicate-session']);
/** Errors about one message; the session goes on. */
export const HARMLESS = new Set(['bad-candidate', 'too-many-messages', 'malformed', 'too-large']);
/** What is said about a microphone that cannot be had, after the names that getUserMedia gives. */
export const MICROPHONE = { NotFoundError: 'micMissing', NotAllowedError: 'micDenied' };
