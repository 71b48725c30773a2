// What to do after an error or a closed connection: the table of docs/protocol.md in a few lines.

/** An error that the server named. */
export class FaultError extends Error {
  /** @param {import('./types.js').Fault} fault */
  constructor(fault) {
    super(fault.detail || fault.code);
    this.name = 'FaultError';
    this.code = fault.code;
    this.retry = fault.retry;
    this.retryAfterMs = fault.retry_after_ms;
  }
}

/** The connection ended before an answer came; nobody knows whether the request was done. */
export class Disconnected extends Error {
  constructor() {
    super('The connection was lost.');
    this.name = 'Disconnected';
  }
}

/** There is no connection, and what was wanted is nothing to be done at some later time. */
export class Offline extends Error {
  constructor() {
    super('You are not connected at the moment. Try again once you are.');
    this.name = 'Offline';
  }
}

/**
 * What a closed connection asks for: a new token, staying away, or coming back with a growing pause.
 * @param {number} code @returns {'authenticate'|'stop'|'back'}
 */
export function afterClose(code) {
  if (code === 4401) return 'authenticate';
  if (code >= 4400 && code < 4500) return 'stop';
  return 'back';
}

const SENTENCES = {
  bad_credentials: 'Wrong username or password.',
  exists: 'This is already taken.',
  forbidden: 'You are not allowed to do this.',
  banned: 'You are banned from this room.',
  muted: 'You are muted in this room.',
  not_found: 'This was not found. It may be gone, or you may not have access to it.',
  already: 'This has been done already.',
  room_full: 'The room is full: nobody else can join it.',
  archived: 'The room is archived: nobody can write in it.',
  stale: 'The message was changed in the meantime. Look at it again first.',
  deleted: 'The message was deleted.',
  invite_gone: 'This invite has expired, was withdrawn, or was used up. Ask for another one.',
  too_large: 'This is too long. Shorten it.',
  rate_limited: 'You did too much at once. Wait a moment, then try again.',
  store_unavailable: 'The server can’t store anything at the moment. Try again in a minute.',
  restarting: 'The server is restarting. Try again in a moment.',
  busy: 'The server is busy. Try again in a moment.',
  internal: 'Something went wrong on the server. Try again; if it happens again, tell its operator.',
};

/** A fault's detail as a sentence. @param {string} text */
export const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;

/** A sentence for people. @param {any} error */
export function explain(error) {
  if (error instanceof FaultError) return SENTENCES[error.code] ?? sentence(error.message);
  if (error instanceof Disconnected) return 'The connection was lost before the server answered. Try again.';
  if (error?.name === 'TimeoutError') return 'The server did not answer in time. Try again.';
  if (error?.name === 'QuotaExceededError') return 'This browser has no room left for what this site has to keep. Delete some of its data, or some files, then try again.';
  if (error instanceof TypeError) return 'The server can’t be reached. Check your connection, then try again.';
  return error?.message ?? 'Something went wrong. Try again.';
}

/** Milliseconds before try number `attempt` (from 0): doubling up to 30 s, the upper half of it by chance. */
export function backoff(attempt, random = Math.random) {
  const whole = Math.min(30_000, 500 * 2 ** Math.min(attempt, 10));
  return Math.round(whole / 2 + (whole / 2) * random());
}
