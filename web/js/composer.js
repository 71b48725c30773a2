// Writing: a text field that grows, what is answered or edited, mentions, emoji, and a draft per room.

import { toast } from './announce.js';
import { explain } from './codes.js';
import { el, icon, iconButton } from './dom.js';
import { Mentions } from './mentions.js';
import { palette } from './menu.js';
import { restriction } from './permissions.js';
import { nameIn } from './people.js';
import { summary } from './text.js';

/** Unicode scalar values of one message, as the server counts them. */
const CHARS_MAX = 10_000;
const COUNT_FROM = 9_000;

export class Composer {
  #reply = null;
  #edit = null;

  /** @param {import('./client.js').Client} client @param {number} room @param {{ sent: () => void, editLast: () => void }} events */
  constructor(client, room, events) {
    Object.assign(this, { client, room, events });
    this.input = el('textarea', { rows: '1', 'aria-label': 'Message', placeholder: 'Write a message', dir: 'auto', enterkeyhint: 'send', autocapitalize: 'sentences' });
    this.input.value = client.drafts.now(room);
    this.#restore();
    this.mentions = new Mentions(client, room, this.input);
    this.strip = el('div.strip', { hidden: true });
    this.count = el('span.count', { 'aria-live': 'polite' });
    this.error = el('p.form-error', { role: 'alert' });
    const emoji = iconButton('smile', 'Emoji', () => palette(emoji, 'Emoji', (e) => this.#insert(e)), { 'aria-haspopup': 'menu', 'aria-expanded': 'false' });
    this.button = el('button.send', { type: 'submit', 'aria-label': 'Send', title: 'Send' }, icon('send'));
    this.bar = el('form.composer-bar', {}, emoji, this.input, this.count, this.button);
    this.closed = el('p.composer-closed', { role: 'status' });
    this.node = el('footer.composer', {}, this.mentions.list, this.strip, this.error, this.bar, this.closed);
    this.bar.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.input.addEventListener('input', () => this.#changed());
    this.input.addEventListener('keydown', (event) => this.#key(event));
    this.input.addEventListener('blur', () => client.typing(room, false));
    requestAnimationFrame(() => this.#grow());
  }

  render() {
    const room = this.client.state.rooms[this.room];
    const text = restriction(this.client, room)?.text ?? '';
    if (this.closed.textContent === text) return;
    this.closed.textContent = text;
    this.#close(Boolean(text));
  }

  /** What is hidden loses the focus; it comes back to where one was writing, unless one went on elsewhere. */
  #close(closed) {
    const had = this.bar.contains(document.activeElement);
    if (closed) this.mentions.close();
    this.bar.hidden = closed;
    if (had && closed) {
      this.closed.tabIndex = -1;
      this.closed.focus({ preventScroll: true });
    }
    if (closed) return;
    // What was hidden had no height to measure.
    this.#grow();
    if (document.activeElement === this.closed) this.input.focus();
    this.closed.removeAttribute('tabindex');
  }

  #key(event) {
    if (event.isComposing || this.mentions.key(event)) return;
    const coarse = matchMedia('(pointer: coarse)').matches;
    if (event.key === 'Enter' && !event.shiftKey && !coarse) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === 'Escape' && (this.#reply || this.#edit)) {
      event.preventDefault();
      this.cancel();
    } else if (event.key === 'ArrowUp' && !this.input.value && !this.#edit) {
      event.preventDefault();
      this.events.editLast();
    }
  }

  #changed() {
    this.#grow();
    const chars = [...this.input.value].length;
    this.count.textContent = chars > COUNT_FROM ? `${Math.abs(CHARS_MAX - chars)} characters ${chars > CHARS_MAX ? 'too many' : 'left'}` : '';
    this.count.classList.toggle('over', chars > CHARS_MAX);
    this.error.textContent = '';
    if (this.#edit) return;
    this.client.drafts.write(this.room, this.input.value);
    this.client.typing(this.room, this.input.value.trim() !== '');
  }

  /** Takes what was kept of an earlier tab, unless one has begun to write. */
  async #restore() {
    const before = this.input.value;
    const text = await this.client.drafts.read(this.room);
    if (this.#edit || this.input.value !== before || text === before) return;
    this.#set(text);
  }

  #grow() {
    if (this.bar.hidden) return;
    this.input.style.height = 'auto';
    this.input.style.height = `${Math.min(this.input.scrollHeight, 200)}px`;
  }

  #insert(text) {
    this.input.focus();
    this.input.setRangeText(text, this.input.selectionStart, this.input.selectionEnd, 'end');
    this.#changed();
  }

  #set(text) {
    this.input.value = text;
    this.input.setSelectionRange(text.length, text.length);
    this.#changed();
  }

  async #submit() {
    const text = this.input.value.trim();
    if (!text || [...text].length > CHARS_MAX) return;
    if (this.#edit) return this.#save(this.#edit, text);
    this.client.send(this.room, { text, reply_to: this.#reply?.seq });
    this.#strip(null);
    this.#set('');
    return this.events.sent();
  }

  async #save(message, text) {
    this.cancel();
    if (text === message.content.text) return;
    try {
      await this.client.edit(this.room, message, text);
    } catch (error) {
      toast(`Not changed: ${explain(error)}`, { label: 'Edit again', run: () => this.edit(message, text) });
    }
  }

  /** Answers a message. */
  reply(message) {
    this.#leaveEdit();
    this.#reply = message;
    this.#strip(`Reply to ${nameIn(this.client.state, message.by)}`, message);
    this.input.focus();
  }

  /** Changes one's own message. @param {any} message @param {string} [text] */
  edit(message, text = message.content.text) {
    this.#reply = null;
    this.#edit = message;
    this.#strip('Edit message', message);
    this.#set(text);
    this.input.focus();
  }

  /** Gives an answer or a change up; the draft comes back. */
  cancel() {
    this.#leaveEdit();
    this.#strip(null);
    this.input.focus();
  }

  #leaveEdit() {
    if (!this.#edit) return;
    this.#edit = null;
    this.#set(this.client.drafts.now(this.room));
  }

  #strip(title, message) {
    if (!title) this.#reply = null;
    this.strip.hidden = !title;
    this.button.setAttribute('aria-label', this.#edit ? 'Save' : 'Send');
    if (!title) return this.strip.replaceChildren();
    return this.strip.replaceChildren(el('div.strip-text', {}, el('strong', {}, title), el('span', { dir: 'auto' }, summary(message.content))),
      iconButton('close', 'Cancel', () => this.cancel()));
  }
}
