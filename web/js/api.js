// REST: accounts, and what the WebSocket has no operation for.

import { FaultError } from './codes.js';

/** Milliseconds after which an answer is given up. */
const ANSWER_MS = 20_000;

async function call(method, path, { body, token } = {}) {
  const headers = { accept: 'application/json' };
  if (body !== undefined) headers['content-type'] = 'application/json';
  if (token) headers.authorization = `Bearer ${token}`;
  const response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal: AbortSignal.timeout(ANSWER_MS) });
  const text = await response.text();
  let answer = null;
  try {
    answer = text ? JSON.parse(text) : null;
  } catch {
    // A proxy's error page is no JSON; its status says enough.
  }
  if (response.ok) return answer;
  if (answer?.code) throw new FaultError(answer);
  const retry = response.status >= 500 || response.status === 429 ? 'later' : 'never';
  throw new FaultError({ code: `http_${response.status}`, detail: `The server answered with an error that this page doesn’t know (${response.status}). Try again later.`, retry });
}

/** A POST without a token. @param {string} path @param {object} body */
export const post = (path, body) => call('POST', path, { body });

export class Api {
  /** @param {import('./session.js').Session} session */
  constructor(session) {
    this.session = session;
  }

  /** A call with the login's token; a refused token is renewed once. */
  async call(method, path, body) {
    const token = await this.session.token();
    try {
      return await call(method, path, { body, token });
    } catch (error) {
      if (error.code !== 'token_expired' && error.code !== 'unauthenticated') throw error;
      const fresh = await this.session.token({ not: token });
      if (!fresh) throw error;
      return call(method, path, { body, token: fresh });
    }
  }

  me = () => this.call('GET', '/v1/me');
  changeMe = (fields) => this.call('PATCH', '/v1/me', fields);
  changePassword = (old_password, new_password) => this.call('PUT', '/v1/me/password', { old_password, new_password });

  /** Users whose username or full name has `text`. @param {string} text */
  async search(text) {
    const answer = await this.call('GET', `/v1/users?q=${encodeURIComponent(text)}`);
    return Array.isArray(answer) ? answer : answer.users;
  }
}
