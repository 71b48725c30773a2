// Logging in and registering.

import { FaultError, sentence } from './codes.js';
import { form } from './dialog.js';
import { el, field } from './dom.js';
import { PASSWORD_HINT, weakness } from './password.js';

/**
 * @param {HTMLElement} root @param {import('./session.js').Session} session
 * @param {{ register?: boolean, note?: string }} [options]
 */
export function showAuth(root, session, { register = false, note = '' } = {}) {
  document.title = register ? 'Create an account · parlance' : 'Log in · parlance';
  const username = field(register ? 'Username' : 'Username or e-mail', {
    name: 'username', autocomplete: 'username', required: true, autocapitalize: 'none', spellcheck: 'false', maxlength: register ? 50 : 254,
  });
  const fullName = field('Display name (optional)', { name: 'full_name', autocomplete: 'name', maxlength: 100 });
  const email = field('E-mail (optional)', { name: 'email', type: 'email', autocomplete: 'email', maxlength: 254 });
  const password = field('Password', {
    name: 'password', type: 'password', required: true, maxlength: 256, autocomplete: register ? 'new-password' : 'current-password',
  }, register ? PASSWORD_HINT : undefined);
  const weak = () => weakness(password.input.value, [username, fullName, email].map((f) => f.input.value.trim()));
  // Said once one has finished writing it, not with the first letter.
  if (register) password.input.addEventListener('change', () => password.input.value && password.error(weak()));
  const fields = register ? [username, fullName, email, password] : [username, password];
  const node = form({
    label: register ? 'Create account' : 'Log in', children: fields.map((f) => f.box),
    submit: () => (missing(username, password, register ? weak : null) ? undefined : send()),
    failed: (error) => place(error, { username, fullName, email, password }, register),
  });

  async function send() {
    if (!register) return session.signIn(username.input.value.trim(), password.input.value);
    const body = { username: username.input.value.trim(), password: password.input.value };
    if (email.input.value.trim()) body.email = email.input.value.trim();
    if (fullName.input.value.trim()) body.full_name = fullName.input.value.trim();
    return session.register(body);
  }

  const other = el('button.text-button', { type: 'button', onclick: () => showAuth(root, session, { register: !register }) },
    register ? 'Log in' : 'Create an account');
  root.replaceChildren(el('main.auth', {},
    el('div.auth-card', {},
      el('div.auth-brand', {}, el('img', { src: '/icon.svg', alt: '', width: 48, height: 48 }), el('span', {}, 'parlance')),
      el('h1', {}, register ? 'Create an account' : 'Welcome back'),
      note ? el('p.auth-note', { role: 'status' }, note) : null,
      node,
      el('p.auth-other', {}, register ? 'Have an account already? ' : 'New here? ', other))));
  username.input.focus();
}

/** @param {(() => string)|null} weak Null where one logs in. */
function missing(username, password, weak) {
  if (!username.input.value.trim()) return show(username, weak ? 'Please enter a username.' : 'Please enter your username or e-mail address.');
  if (!password.input.value) return show(password, 'Please enter a password.');
  const why = weak?.();
  return why ? show(password, why) : false;
}

function show(where, text) {
  where.error(text);
  where.input.focus();
  return true;
}

/** Shows a fault at the field that it is about. */
function place(error, { username, fullName, email, password }, register) {
  if (!(error instanceof FaultError)) return false;
  if (error.code === 'bad_credentials') return show(password, 'Wrong username or password.');
  if (!register) return false;
  const about = /password/i.test(error.message) ? password
    : /e-?mail|address/i.test(error.message) ? email
      : /full.?name/i.test(error.message) ? fullName : username;
  if (error.code === 'exists') return show(about === email ? email : username, about === email ? 'This e-mail address is taken.' : 'This username is taken.');
  if (error.code === 'invalid') return show(about, sentence(error.message));
  return false;
}
