// Whether one is connected, said once it matters.

import { el } from './dom.js';

/** A blink of the connection is nobody's business. */
const QUIET_MS = 700;

export class Banner {
  #timer = null;
  #tick = null;

  /** @param {import('./client.js').Client} client */
  constructor(client) {
    this.client = client;
    this.text = el('span');
    this.button = el('button.text-button', { type: 'button', onclick: () => (client.connection.state.name === 'stopped' ? location.reload() : client.connection.nudge()) });
    this.node = el('div.banner', { role: 'status', hidden: true }, this.text, this.button);
    client.addEventListener('connection', (event) => this.#changed(event.detail));
    client.persistence.addEventListener('change', () => this.node.hidden || this.#show(client.connection.state));
  }

  #changed(state) {
    clearTimeout(this.#timer);
    clearInterval(this.#tick);
    if ((state.name === 'live' && !state.doubted) || state.name === 'idle') {
      this.node.hidden = true;
    } else if (this.node.hidden) {
      this.#timer = setTimeout(() => this.#show(this.client.connection.state), state.name === 'stopped' || !navigator.onLine ? 0 : QUIET_MS);
    } else {
      this.#show(state);
    }
  }

  /** Nothing is promised that this browser doesn't keep. */
  #promise() {
    return this.client.persistence.available ? 'What you write is kept and sent later.'
      : 'This browser can’t keep what you write: leave this tab open until it has been sent.';
  }

  #show(state) {
    this.node.hidden = false;
    this.node.classList.toggle('bad', state.name === 'stopped');
    this.button.hidden = state.name !== 'waiting' && state.name !== 'stopped';
    if (state.name === 'stopped') {
      this.text.textContent = `The server refused the connection (${state.code}). Reload the page to try again.`;
      this.button.textContent = 'Reload';
    } else if (state.name === 'waiting' || state.doubted) {
      const why = state.planned ? 'The server is restarting' : navigator.onLine ? 'Not connected' : 'You are offline';
      this.text.textContent = `${why}. ${this.#promise()}`;
      this.button.textContent = 'Try now';
    } else {
      this.text.textContent = 'Connecting…';
    }
  }
}
