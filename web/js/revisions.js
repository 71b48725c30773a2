// What a message said before it was edited.

import { openDialog } from './dialog.js';
import { el } from './dom.js';
import { loading } from './loading.js';
import { render } from './text.js';
import { exact } from './time.js';

/** @param {import('./client.js').Client} client @param {import('./types.js').Message} message */
export async function openRevisions(client, message) {
  const { body } = openDialog('Edit history');
  const list = el('ol.revisions');
  const state = loading('The edits', load);
  body.append(state.node, list);
  return load();

  async function load() {
    state.show(true);
    state.show(await fill(client, message, list).catch((error) => error));
  }
}

async function fill(client, message, list) {
  const { revisions } = await client.connection.request('revisions', { room: message.room, seq: message.seq });
  list.replaceChildren(...revisions.toReversed().map((r) => el('li', {},
    el('div.soft', {}, r.revision === 0 ? 'As sent' : `Edit ${r.revision}`, ' · ', el('time', { dir: 'auto', datetime: new Date(r.at).toISOString() }, exact(r.at))),
    el('div.bubble', {}, ...(r.content ? render(r.content, () => null) : [el('p', {}, 'Erased')])))));
}
