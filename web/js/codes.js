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
  not_found: 'Not found.',
  already: 'It is so already.',
  room_full: 'The room is full.',
  archived: 'The room is archived.',
  stale: 'The message was changed in the meantime.',
  deleted: 'The message was deleted.',
  invite_gone: 'This invite has expired, was withdrawn or used up.',
  too_large: 'This is too long.',
  rate_limited: 'Too many requests; wait a moment.',
  store_unavailable: 'The server can’t store anything at the moment.',
  restarting: 'The server is restarting.',
  busy: 'The server is busy; try again.',
  internal: 'Something went wrong on the server.',
};

/** A fault's detail as a sentence. @param {string} text */
export const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;

/** A sentence for people. @param {any} error */
export function explain(error) {
  if (error instanceof FaultError) return SENTENCES[error.code] ?? sentence(error.message);
  if (error instanceof Disconnected) return 'The connection was lost before the server answered. Try again.';
  if (error?.name === 'TimeoutError') return 'The server did not answer in time. Try again.';
  if (error instanceof TypeError) return 'The server can’t be reached.';
  return error?.message ?? 'Something went wrong.';
}

/** Milliseconds before try number `attempt` (from 0): doubling up to 30 s, the upper half of it by chance. */
export function backoff(attempt, random = Math.random) {
  const whole = Math.min(30_000, 500 * 2 ** Math.min(attempt, 10));
  return Math.round(whole / 2 + (whole / 2) * random());
}
