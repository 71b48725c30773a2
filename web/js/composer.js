// Writing: a text field that grows, what is answered or edited, mentions, emoji, and a draft per room.

import { toast } from './announce.js';
import { explain } from './codes.js';
import { el, icon, iconButton } from './dom.js';
import { NOTHING } from './drafts.js';
import { find } from './fold.js';
import { Mentions } from './mentions.js';
import { palette } from './menu.js';
import { restriction } from './permissions.js';
import { nameIn } from './people.js';
import { summary } from './text.js';

/** Unicode scalar values of one message, as the server counts them. */
const CHARS_MAX = 10_000;
const COUNT_FROM = 9_000;

export class Composer {
  /** The draft that the text field shows. @type {import('./drafts.js').Draft} */
  #shown = NOTHING;
  /** The message that is answered or changed, as it was known last. @type {import('./types.js').Message|null} */
  #about = null;
  /** What the strip shows. @type {any[]} */
  #strip = [];

  /** @param {import('./client.js').Client} client @param {number} room @param {{ sent: () => void, editLast: () => void }} events */
  constructor(client, room, events) {
    Object.assign(this, { client, room, events });
    this.input = el('textarea', { rows: '1', 'aria-label': 'Message', placeholder: 'Write a message', dir: 'auto', enterkeyhint: 'send', autocapitalize: 'sentences' });
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
    this.#show();
    this.#restore();
    requestAnimationFrame(() => this.#grow());
  }

  /** What is being written, in whichever view of the room. */
  get #draft() {
    return this.client.drafts.now(this.room);
  }

  render() {
    const room = this.client.state.rooms[this.room];
    const text = restriction(this.client, room)?.text ?? '';
    if (this.closed.textContent !== text) {
      this.closed.textContent = text;
      this.#close(Boolean(text));
    }
    this.#show();
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
    } else if (event.key === 'Escape' && (this.#draft.reply || this.#draft.edit)) {
      event.preventDefault();
      this.cancel();
    } else if (event.key === 'ArrowUp' && !this.input.value && !this.#draft.edit) {
      event.preventDefault();
      this.events.editLast();
    }
  }

  #changed() {
    this.#measure();
    this.error.textContent = '';
    const { value } = this.input;
    const draft = this.#draft;
    this.#shown = this.client.drafts.write(this.room, draft.edit ? { ...draft, edit: { ...draft.edit, text: value } } : { ...draft, text: value });
    if (!draft.edit) this.client.typing(this.room, value.trim() !== '');
  }

  #measure() {
    this.#grow();
    const chars = [...this.input.value].length;
    this.count.textContent = chars > COUNT_FROM ? `${Math.abs(CHARS_MAX - chars)} characters ${chars > CHARS_MAX ? 'too many' : 'left'}` : '';
    this.count.classList.toggle('over', chars > CHARS_MAX);
  }

  /** Takes what a tab that is gone left, unless one has begun to write. */
  async #restore() {
    await this.client.drafts.restore(this.room);
    this.#show();
  }

  /** @param {import('./drafts.js').Draft} draft */
  #put(draft) {
    this.client.drafts.write(this.room, draft);
    this.#show();
  }

  /** Shows what is being written where that changed otherwise than by writing. */
  #show() {
    const draft = this.#draft;
    const text = draft.edit?.text ?? draft.text;
    if (draft !== this.#shown && text !== this.input.value) {
      this.input.value = text;
      this.input.setSelectionRange(text.length, text.length);
      this.#measure();
    }
    this.#shown = draft;
    this.#showStrip(draft);
  }

  #grow() {
    if (this.bar.hidden) return;
    this.input.style.height = 'auto';
    this.input.style.height = `${this.input.scrollHeight}px`;
  }

  #insert(text) {
    this.input.focus();
    this.input.setRangeText(text, this.input.selectionStart, this.input.selectionEnd, 'end');
    this.#changed();
  }

  #submit() {
    const text = this.input.value.trim();
    if (!text || [...text].length > CHARS_MAX) return;
    const { reply, edit } = this.#draft;
    if (edit) {
      this.#save(edit, text);
      return;
    }
    this.client.send(this.room, { text, reply_to: reply });
    this.#put(NOTHING);
    this.events.sent();
  }

  async #save(edit, text) {
    const message = this.#find(edit.seq);
    if (!message) {
      this.error.textContent = 'The message is not loaded yet. Try again in a moment.';
      return;
    }
    this.cancel();
    if (text === message.content?.text) return;
    try {
      await this.client.edit(this.room, { ...message, revision: edit.revision }, text);
    } catch (error) {
      this.#refused(edit, text, `Not changed: ${explain(error)}`);
    }
  }

  /** What was refused is there to be changed again, unless one is writing something else by now. */
  #refused({ seq, revision }, text, why) {
    const edit = { seq, revision: this.#find(seq)?.revision ?? revision, text };
    const draft = this.#draft;
    if (draft.edit || draft.text) {
      this.#offer(why, edit);
      return;
    }
    this.#put({ ...draft, edit });
    // Where one looks at something else, it is there when one comes back.
    if (this.node.isConnected) this.error.textContent = why;
    else toast(why);
    this.client.touch();
  }

  /** Says why a change isn't in the field any more, until it is taken up again, wherever one is by then. */
  #offer(why, edit) {
    toast(why, { label: 'Edit again', run: () => {
      this.#setAside();
      this.#put({ ...this.#draft, edit });
      this.client.touch();
      this.#come();
    } }, { stays: true, ofLogin: true });
  }

  /** Goes to where the room is written in, which may be another view of it by now. */
  #come() {
    const address = `#/rooms/${this.room}`;
    if (this.node.isConnected) this.input.focus();
    else if (location.hash !== address) location.hash = address;
    else document.querySelectorAll('.composer textarea')[0]?.focus();
  }

  /** A change that is being written is not thrown away for something else. */
  #setAside() {
    const { edit } = this.#draft;
    if (!edit?.text.trim() || edit.text === this.#find(edit.seq)?.content?.text) return;
    this.#offer('The change that you were writing was set aside.', edit);
  }

  /** Answers a message. */
  reply(message) {
    this.#setAside();
    this.#about = message;
    this.#put({ ...this.#draft, reply: message.seq, edit: null });
    this.input.focus();
  }

  /** Changes one's own message. @param {any} message */
  edit(message) {
    if (this.#draft.edit?.seq !== message.seq) {
      this.#setAside();
      this.#about = message;
      this.#put({ ...this.#draft, edit: { seq: message.seq, revision: message.revision, text: message.content.text } });
    }
    this.input.focus();
  }

  /** Gives a change up, so that the draft comes back, or an answer. */
  cancel() {
    const draft = this.#draft;
    this.error.textContent = '';
    this.#put(draft.edit ? { ...draft, edit: null } : { ...draft, reply: null });
    this.input.focus();
  }

  /** A message that is answered or changed, as far as it is known; else it is asked for. @param {number} seq */
  #find(seq) {
    const room = this.client.state.rooms[this.room];
    const found = room && find(room, seq);
    if (found) this.#about = found;
    else if (room && this.#about?.seq !== seq) this.client.history.quote(this.room, seq);
    return this.#about?.seq === seq ? this.#about : undefined;
  }

  /** What is answered or changed; hidden where one may not write. */
  #showStrip({ reply, edit, text }) {
    const seq = edit?.seq ?? reply;
    const message = seq ? this.#find(seq) : undefined;
    if (message && !message.content) {
      // It was deleted: there is nothing to answer or change any more.
      this.#put(edit ? { text: text || edit.text, reply, edit: null } : { text, reply: null, edit });
      return;
    }
    const title = edit ? 'Edit message' : !reply ? '' : message ? `Reply to ${nameIn(this.client.state, message.by)}` : 'Reply';
    this.strip.hidden = !title || this.bar.hidden;
    const shows = [title, message?.content];
    if (shows.every((part, i) => part === this.#strip[i])) return;
    this.#strip = shows;
    this.button.setAttribute('aria-label', edit ? 'Save' : 'Send');
    this.strip.replaceChildren(...(title ? [
      el('div.strip-text', {}, el('strong', {}, title), el('span', { dir: 'auto' }, message ? summary(message.content) : '')),
      iconButton('close', 'Cancel', () => this.cancel())] : []));
  }
}
