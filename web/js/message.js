// One message, as a row of the timeline.

import { el, icon, iconButton } from './dom.js';
import { finder } from './names.js';
import { avatar, list, nameIn, nameOf } from './people.js';
import { jumbo, render, summary } from './text.js';
import { exact, timeOfDay } from './time.js';

/**
 * @typedef {object} Actions What a row's buttons do.
 * @property {(message: any) => void} reply
 * @property {(message: any, anchor: HTMLElement) => void} react
 * @property {(message: any, emoji: string) => void} toggle
 * @property {(message: any, anchor: HTMLElement) => void} more
 * @property {(seq: number) => void} jump
 * @property {(message: any) => void} history
 * @property {(id: string) => void} retry
 * @property {(id: string) => void} discard
 */

/** Whom `@name` points out, among those that the message names. */
function mentions(state, message) {
  const find = finder(message.mentions.map((id) => state.users[id]).filter(Boolean));
  return (name) => {
    const user = find(name);
    return user ? { me: user.id === state.me } : null;
  };
}

/** The message that is answered, as a button that goes there. */
function quote(state, message, quoted, actions) {
  const text = quoted ? summary(quoted.content) : 'An earlier message';
  return el('button.quote', { type: 'button', data: { part: 'quote' }, onclick: () => actions.jump(message.reply_to) },
    el('span.unseen', {}, 'In reply to '), quoted ? el('strong', { dir: 'auto' }, nameOf(state, quoted.by)) : null,
    el('span.quote-text', { dir: 'auto' }, text));
}

/** The time goes at the end of the last line, where there is room; read out or copied, it is a word of its own. @param {Element[]} body @param {Element} stamp */
function stamped(body, stamp) {
  const last = body.at(-1);
  if (!last?.classList.contains('para')) return [...body, stamp];
  last.append(' ', stamp);
  return body;
}

/** Those who may not write may still take back what they added, unless the room is closed to them altogether. */
function reactions(state, message, actions, restricted) {
  const chips = Object.entries(message.reactions).map(([emoji, users]) => {
    const mine = users.includes(state.me);
    const names = list(users.map((u) => (u === state.me ? 'you' : nameIn(state, u))));
    const idle = restricted !== null && !(restricted === 'muted' && mine);
    return el('button.reaction', {
      type: 'button', 'aria-pressed': String(mine), title: names, data: { part: `re-${emoji}` }, 'aria-disabled': idle ? 'true' : null,
      'aria-label': `${emoji} ${users.length}, by ${names}`, onclick: () => idle || actions.toggle(message, emoji),
    }, el('span', {}, emoji), el('span', {}, String(users.length)));
  });
  return chips.length ? el('div.reactions', {}, ...chips) : null;
}

/** Fills a row. @param {HTMLElement} node @param {any} state @param {any} message @param {{ first: boolean, quoted?: any, restricted: string|null }} context @param {Actions} actions */
export function fillMessage(node, state, message, { first, quoted, restricted }, actions) {
  const mine = message.by === state.me;
  const deleted = message.content === null;
  node.className = `message ${mine ? 'mine' : 'theirs'} ${first ? 'first' : ''} ${deleted ? 'deleted' : ''}`;
  node.dataset.seq = message.seq;
  const stamp = el('time', { dir: 'auto', datetime: new Date(message.at).toISOString(), title: exact(message.at) }, timeOfDay(message.at));
  const edited = message.edited_at && !deleted
    ? el('button.edited', { type: 'button', data: { part: 'edited' }, title: `Edited ${exact(message.edited_at)}`, onclick: () => actions.history(message) }, 'edited') : null;
  const body = deleted ? [el('p.para', {}, el('span.words.soft', {}, 'Message deleted'))] : render(message.content, mentions(state, message));
  node.replaceChildren(
    mine ? '' : first ? avatar(state, message.by) : el('span.disc-space'),
    el('div.column', {},
      el('div.author', { class: first && !mine ? '' : 'unseen' }, el('bdi', {}, mine ? 'You' : nameOf(state, message.by))),
      el('div.bubble', { class: !deleted && jumbo(message.content) ? 'jumbo' : '' },
        message.reply_to && !deleted ? quote(state, message, quoted, actions) : null, ...stamped(body, el('span.stamp', {}, edited, stamp))),
      reactions(state, message, actions, restricted)),
    deleted ? '' : tools(message, actions, restricted));
}

function tools(message, actions, restricted) {
  const react = iconButton('smile', 'React', () => actions.react(message, react), { data: { part: 'react' }, 'aria-haspopup': 'menu', 'aria-expanded': 'false' });
  const reply = iconButton('reply', 'Reply', () => actions.reply(message), { data: { part: 'reply' } });
  const more = iconButton('more', 'More', () => actions.more(message, more), { data: { part: 'more' }, 'aria-haspopup': 'menu', 'aria-expanded': 'false' });
  return el('div.tools', { role: 'group', 'aria-label': 'Message' }, ...(restricted ? [] : [react, reply]), more);
}

/** Fills the row of a message that isn't in the log yet. @param {HTMLElement} node @param {any} state @param {import('./outbox.js').Item} item @param {{ quoted?: any, first: boolean, restricted?: string|null }} context @param {Actions} actions */
export function fillPending(node, state, item, { quoted, first, restricted }, actions) {
  const { content, reply_to, mentions: named } = item.fields;
  const failed = item.state === 'failed';
  node.className = `message mine pending ${failed ? 'failed' : ''} ${first ? 'first' : ''}`;
  const status = failed
    ? el('div.unsent', { role: 'alert' }, el('span', {}, `Not sent: ${item.reason}`),
      restricted ? null : el('button.text-button', { type: 'button', data: { part: 'retry' }, onclick: () => actions.retry(item.client_id) }, 'Try again'),
      el('button.text-button', { type: 'button', data: { part: 'discard' }, onclick: () => actions.discard(item.client_id) }, 'Discard'))
    : null;
  node.replaceChildren(el('div.column', {},
    el('div.author.unseen', {}, 'You'),
    el('div.bubble', { class: jumbo(content) ? 'jumbo' : '' },
      reply_to ? quote(state, { reply_to }, quoted, actions) : null, ...stamped(render(content, mentions(state, { mentions: named ?? [] })),
      el('span.stamp', {}, failed ? null : el('span.sending', { title: 'Sending' }, icon('clock'), el('span.unseen', {}, 'Sending'))))),
    status));
}
