// Oneself: status, name, password, logging out.

import { sentence } from './codes.js';
import { confirm, form, openDialog } from './dialog.js';
import { el, field } from './dom.js';
import { PASSWORD_HINT, weakness } from './password.js';
import { avatar, nameOf, statusWord } from './people.js';
import { toast } from './announce.js';

/** @param {import('./client.js').Client} client */
export async function openProfile(client) {
  const { body, close } = openDialog('Profile', { side: true });
  const { me, state } = client;
  body.append(
    el('div.profile-top', {}, avatar(state, me), el('div', {}, el('strong', {}, el('bdi', {}, nameOf(state, me))), el('span.soft', {}, el('bdi', {}, `@${state.users[me].username}`)))),
    statusChooser(client), nameForm(client), passwordForm(client),
    el('div.form-actions', {}, el('button.button', { type: 'button', onclick: () => logOut(client, close) }, 'Log out')));
}

/** Logs out; what wasn't sent yet would be lost, so that is asked first. */
async function logOut(client, close) {
  const out = async () => {
    close();
    await client.signOut();
  };
  if (!(await client.unsent())) return out();
  return confirm('Log out?', 'Some of what you wrote has not been sent. If you log out now, it is lost.', 'Log out', out);
}

function statusChooser(client) {
  const group = el('fieldset.choices', {}, el('legend', {}, 'Status'));
  for (const status of ['online', 'away', 'do_not_disturb']) {
    const input = el('input', { type: 'radio', name: 'status', value: status });
    input.checked = client.status === status;
    input.addEventListener('change', () => client.setStatus(status));
    group.append(el('label.choice', {}, input, el('span.dot', { class: status }), statusWord(status)));
  }
  group.append(el('p.field-note', {}, 'While you are online, you are shown as away after a few minutes without activity.'));
  return group;
}

/** What is to be changed: what was not touched is left as it is; an address that was cleared is removed. */
function changed(shown, { full_name, email }) {
  return { ...(full_name !== shown.full_name && { full_name }), ...(email !== shown.email && { email: email || null }) };
}

/** Name and address. @param {import('./client.js').Client} client */
export function nameForm(client) {
  const name = field('Display name', { name: 'full_name', maxlength: 100, autocomplete: 'name' });
  const email = field('E-mail', { name: 'email', type: 'email', maxlength: 254, autocomplete: 'email' }, 'Nobody else sees it.');
  let shown = { full_name: '', email: '' };
  let saved = false;
  // What was written here already stays.
  const show = (me) => {
    const next = { full_name: me.full_name, email: me.email ?? '' };
    if (name.input.value === shown.full_name) name.input.value = next.full_name;
    if (email.input.value === shown.email) email.input.value = next.email;
    shown = next;
  };
  const took = (me) => {
    client.knowMyself(me);
    show(me);
  };
  show(client.state.users[client.me]);
  // An answer that comes after a change may be from before it.
  client.api.me().then((me) => saved || took(me)).catch(() => {});
  return form({
    label: 'Save', children: [name.box, email.box],
    submit: async () => {
      const change = changed(shown, { full_name: name.input.value.trim(), email: email.input.value.trim() });
      if (Object.keys(change).length) {
        const me = await client.api.changeMe(change);
        saved = true;
        [name.input.value, email.input.value] = [me.full_name, me.email ?? ''];
        took(me);
      }
      toast('Saved.');
    },
    failed: (error) => {
      if (error.code !== 'exists') return false;
      email.error('This e-mail address is taken.');
      return true;
    },
  });
}

function passwordForm(client) {
  const old = field('Current password', { name: 'old', type: 'password', autocomplete: 'current-password', maxlength: 256 });
  const next = field('New password', { name: 'new', type: 'password', autocomplete: 'new-password', maxlength: 256 }, `${PASSWORD_HINT} You will be logged out everywhere else.`);
  const user = client.state.users[client.me];
  const weak = () => weakness(next.input.value, [user.username, user.full_name]);
  next.input.addEventListener('change', () => next.input.value && next.error(weak()));
  const username = el('input', { type: 'text', name: 'username', autocomplete: 'username', value: client.state.users[client.me].username, hidden: true });
  return el('details.fold', {}, el('summary', {}, 'Change the password'), form({
    label: 'Change password', children: [username, old.box, next.box],
    submit: async () => {
      const why = weak();
      if (why) {
        next.error(why);
        return next.input.focus();
      }
      await client.api.changePassword(old.input.value, next.input.value);
      old.input.value = next.input.value = '';
      return toast('The password was changed.');
    },
    failed: (error) => {
      if (error.code === 'bad_credentials') old.error('This is not your current password.');
      else if (error.code === 'invalid') next.error(sentence(error.message));
      else return false;
      return true;
    },
  }));
}
