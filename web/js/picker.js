// Finding people: a search field, what it found, and who was chosen.

import { explain } from './codes.js';
import { el, field } from './dom.js';
import { avatar, nameIn, nameOf } from './people.js';
import * as store from './store.js';

/**
 * @param {import('./client.js').Client} client
 * @param {{ label: string, many?: boolean, without?: number[], chosen?: (user: number) => void }} options
 */
export function picker(client, { label, many = false, without = [], chosen = () => {} }) {
  const search = field(label, { type: 'search', autocomplete: 'off', spellcheck: 'false', placeholder: 'Name or username' });
  const results = el('ul.picks', { 'aria-label': 'People found' });
  const chips = el('div.chips');
  const note = el('p.field-note', { role: 'status' });
  const users = new Set();
  let asked = 0;
  let timer;
  /** What the people shown were looked for by. */
  let shown = '';

  function chip(id) {
    const node = el('button.chip', { type: 'button', 'aria-label': `Remove ${nameOf(client.state, id)}`, onclick: () => {
      users.delete(id);
      node.remove();
      search.input.focus();
    } }, el('bdi', {}, nameOf(client.state, id)), el('span', { 'aria-hidden': 'true' }, '×'));
    chips.append(node);
  }

  /** What is being looked for counts no more. */
  function over() {
    clearTimeout(timer);
    asked += 1;
  }

  function choose(user) {
    client.set(store.withUsers(client.state, [user]));
    if (many && !users.has(user.id)) {
      users.add(user.id);
      chip(user.id);
      search.input.value = '';
      over();
      results.replaceChildren();
      note.textContent = `${nameIn(client.state, user.id)} will be added.`;
      search.input.focus();
    }
    chosen(user.id);
  }

  async function find() {
    const text = search.input.value.trim();
    over();
    const turn = asked;
    if (!text) {
      note.textContent = '';
      return results.replaceChildren();
    }
    try {
      const found = (await client.api.search(text)).filter((u) => u.is_active && u.id !== client.me && !without.includes(u.id) && !users.has(u.id));
      if (turn !== asked) return undefined;
      shown = text;
      client.set(store.withUsers(client.state, found));
      note.textContent = found.length ? `${found.length} ${found.length === 1 ? 'person' : 'people'} found.` : 'Nobody was found.';
      return results.replaceChildren(...found.slice(0, 20).map((user) => el('li', {}, el('button.pick', { type: 'button', onclick: () => choose(user) },
        avatar(client.state, user.id, false), el('bdi.pick-name', {}, nameOf(client.state, user.id)), el('bdi.pick-user', {}, `@${user.username}`)))));
    } catch (error) {
      if (turn !== asked) return undefined;
      note.textContent = explain(error);
      return results.replaceChildren();
    }
  }

  search.input.addEventListener('input', () => {
    over();
    timer = setTimeout(find, 200);
  });
  search.input.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.isComposing) return;
    // Enter takes the first one found, and never sends the form around it; who was found by other letters isn't taken.
    event.preventDefault();
    if (search.input.value.trim() === shown) results.querySelector('button')?.click();
    else find();
  });
  return { box: el('div.picker', {}, search.box, chips, note, results), input: search.input, users };
}
