// Dialogs that open a room: a new group, a direct chat, or an invite's code.

import { explain, FaultError } from './codes.js';
import { form, openDialog } from './dialog.js';
import { el, field } from './dom.js';
import { picker } from './picker.js';

const go = (room) => {
  location.hash = `#/rooms/${room}`;
};

/** @param {import('./client.js').Client} client */
export function newGroup(client) {
  const { body, close } = openDialog('New group');
  const name = field('Name', { name: 'name', required: true, maxlength: 100, autocomplete: 'off' });
  const people = picker(client, { label: 'Add people (optional)', many: true });
  const history = field('New members can read', { tag: 'select', name: 'history' });
  history.input.append(el('option', { value: 'all' }, 'everything'), el('option', { value: 'since_joined' }, 'what was sent since they joined'));
  body.append(form({
    label: 'Create group', children: [name.box, people.box, history.box],
    submit: async () => {
      const title = name.input.value.trim();
      if (!title) {
        name.error('Please give the group a name.');
        return name.input.focus();
      }
      const room = await client.create(title, [...people.users], history.input.value);
      close();
      return go(room);
    },
  }));
  name.input.focus();
}

/** @param {import('./client.js').Client} client */
export function newDirect(client) {
  const { body, close } = openDialog('Direct chat');
  const error = el('p.form-error', { role: 'alert' });
  const people = picker(client, {
    label: 'Whom do you want to write to?',
    chosen: (user) => client.direct(user).then((room) => {
      close();
      go(room);
    }).catch((problem) => { error.textContent = explain(problem); }),
  });
  body.append(people.box, error);
  people.input.focus();
}

/** @param {import('./client.js').Client} client @param {string} [code] From a link. */
export function joinRoom(client, code = '') {
  const { body, close } = openDialog('Join with an invite');
  const input = field('Invite code or link', { name: 'code', required: true, autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none', value: code });
  body.append(form({
    label: 'Join', children: [input.box],
    submit: async () => {
      const text = input.input.value.trim().replace(/^.*#\/join\//, '');
      if (!text) {
        input.error('Please enter the code or the link.');
        return input.input.focus();
      }
      const room = await client.join(text);
      close();
      return go(room);
    },
    failed: (error) => {
      if (!(error instanceof FaultError) || error.retry !== 'never') return false;
      input.error({ not_found: 'There is no such invite. Check the link, or ask for another one.', invalid: 'This is not an invite. Check the link.', already: 'You are already a member of this room.' }[error.code] ?? explain(error));
      return true;
    },
  }));
  (code ? body.querySelector('button[type=submit]') : input.input).focus();
}
