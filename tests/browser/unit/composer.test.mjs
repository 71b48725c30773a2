// Writing: an answer and a change stay until they are sent or given up, wherever one looks meanwhile.

import assert from 'node:assert/strict';
import test from 'node:test';
import { FaultError } from '../../../web/js/codes.js';
import { Drafts } from '../../../web/js/drafts.js';
import { newRoom } from '../../../web/js/fold.js';
import { fakePage } from '../support/page.mjs';

const page = fakePage();
const { endNotes } = await import('../../../web/js/announce.js');
const { Composer } = await import('../../../web/js/composer.js');

const ME = 1;
const settled = async () => {
  for (let i = 0; i < 4; i += 1) await new Promise((done) => setImmediate(done));
};
const message = (seq, by, text, more = {}) => ({ seq, by, revision: 0, content: { text }, mentions: [], ...more });

/** A room with a message of somebody else (1) and one of one's own (2). */
function rig({ kept = new Map(), items = [message(1, 2, 'question'), message(2, ME, 'mine')] } = {}) {
  const r = { kept, sent: [], edits: [], asked: [], refuse: null };
  const persistence = {
    drafts: async (_, room) => (kept.has(room) ? [{ tab: 'gone', at: 1, draft: kept.get(room) }] : []),
    saveDraft: (_, tab, room, draft) => kept.set(room, draft), takeDraft: async () => true,
  };
  r.client = {
    me: ME, session: { login: { user: { role: 'user' } } }, drafts: new Drafts(persistence, 'a', { id: 'here', alive: async () => false }, [0]),
    state: { me: ME, users: { 2: { id: 2, username: 'ben', full_name: '' } }, rooms: { 5: { ...newRoom(5), view: {}, loaded: true, items, members: [{ user: ME }] } } },
    history: { quote: (room, seq) => r.asked.push(seq) }, roster: { needMembers: () => {} }, typing: () => {}, touch: () => {},
    send: (room, fields) => r.sent.push(fields),
    edit: async (room, { seq, revision }, text) => {
      r.edits.push({ seq, revision, text });
      if (r.refuse) throw r.refuse;
    },
  };
  r.change = (change) => { r.client.state.rooms[5] = { ...r.client.state.rooms[5], ...change }; };
  r.open = () => {
    const composer = new Composer(r.client, 5, { sent: () => {}, editLast: () => {} });
    page.body.append(composer.node);
    composer.render();
    return composer;
  };
  return r;
}
const type = (composer, text) => {
  composer.input.value = text;
  composer.input.dispatch('input');
};
const submit = (composer) => composer.bar.dispatch('submit');
/** Changes one's own message. */
const submitChange = (r, composer) => {
  composer.edit(item(r, 2));
  type(composer, 'mine, better');
  submit(composer);
};
const strip = (composer) => (composer.strip.hidden ? null : composer.strip.textContent);
const item = (r, seq) => r.client.state.rooms[5].items.find((m) => m.seq === seq);

test('whom a draft answers is known when one comes back, and in the next tab', async () => {
  const r = rig();
  const composer = r.open();
  type(composer, 'yes');
  composer.reply(item(r, 1));
  for (const next of [r.open(), rig({ kept: r.kept }).open()]) {
    await settled();
    assert.deepEqual([next.input.value, strip(next)], ['yes', 'Reply to benquestion']);
  }
  const last = r.open();
  submit(last);
  assert.deepEqual(r.sent, [{ text: 'yes', reply_to: 1 }]);
  await settled();
  assert.deepEqual([last.input.value, strip(last), r.kept.get(5)], ['', null, { text: '', reply: null, edit: null }]);
});

test('a change that is being written is there when one comes back, and in the next tab, with the draft behind it', async () => {
  const r = rig();
  const composer = r.open();
  type(composer, 'a draft');
  composer.reply(item(r, 1));
  composer.edit(item(r, 2));
  type(composer, 'mine, better');
  for (const next of [r.open(), rig({ kept: r.kept }).open()]) {
    await settled();
    assert.deepEqual([next.input.value, strip(next)], ['mine, better', 'Edit messagemine']);
  }
  const last = r.open();
  submit(last);
  await settled();
  assert.deepEqual(r.edits, [{ seq: 2, revision: 0, text: 'mine, better' }]);
  assert.deepEqual([last.input.value, strip(last)], ['a draft', 'Reply to benquestion']);
});

test('what is answered or changed is loaded where it lies outside of the window', async () => {
  const r = rig({ kept: new Map([[5, { text: 'yes', reply: 7, edit: null }]]) });
  const composer = r.open();
  await settled();
  assert.equal(strip(composer), 'Reply');
  assert.ok(r.asked.length > 0 && r.asked.every((seq) => seq === 7));
  r.change({ extras: { 7: message(7, 2, 'long ago') } });
  composer.render();
  assert.equal(strip(composer), 'Reply to benlong ago');
});

test('a refused change is put back to be written again, with the reason', async () => {
  const r = rig();
  const composer = r.open();
  r.refuse = new FaultError({ code: 'stale', detail: '', retry: 'refresh' });
  submitChange(r, composer);
  assert.equal(composer.input.value, '');
  r.change({ items: [item(r, 1), message(2, ME, 'changed elsewhere', { revision: 1 })] });
  await settled();
  assert.deepEqual([composer.input.value, strip(composer)], ['mine, better', 'Edit messagechanged elsewhere']);
  assert.match(composer.error.textContent, /^Not changed: The message was changed/);
  r.refuse = null;
  submit(composer);
  await settled();
  assert.deepEqual([r.edits.at(-1), composer.input.value, composer.error.textContent], [{ seq: 2, revision: 1, text: 'mine, better' }, '', '']);
});

test('a refused change takes nothing from what one is writing by then, and waits to be taken up', async () => {
  const r = rig();
  const composer = r.open();
  r.refuse = new FaultError({ code: 'internal', detail: '', retry: 'never' });
  submitChange(r, composer);
  type(composer, 'next');
  await settled();
  assert.equal(composer.input.value, 'next');
  page.activeElement = page.body;
  page.getElementById('toasts').button('Edit again').dispatch('click');
  assert.equal(composer.input.value, 'mine, better');
  assert.equal(page.activeElement, composer.input);
  composer.cancel();
  assert.equal(composer.input.value, 'next');
});

test('a change that is refused when one looks elsewhere is there when one comes back', async () => {
  const r = rig();
  const composer = r.open();
  r.refuse = new FaultError({ code: 'internal', detail: '', retry: 'never' });
  submitChange(r, composer);
  composer.node.remove();
  const next = r.open();
  await settled();
  next.render();
  assert.deepEqual([next.input.value, strip(next)], ['mine, better', 'Edit messagemine']);
});

test('what is deleted is neither answered nor changed any more; the words stay', async () => {
  const r = rig();
  const composer = r.open();
  composer.reply(item(r, 1));
  type(composer, 'yes');
  r.change({ items: [message(1, 2, '', { content: null }), item(r, 2)] });
  composer.render();
  assert.deepEqual([composer.input.value, strip(composer)], ['yes', null]);
  composer.edit(item(r, 2));
  type(composer, 'mine, better');
  r.change({ items: [message(2, ME, '', { content: null })] });
  composer.render();
  assert.deepEqual([composer.input.value, strip(composer)], ['yes', null]);
});

test('who is muted is shown nothing that is answered or changed, until the mute ends', async () => {
  const r = rig();
  const composer = r.open();
  composer.reply(item(r, 1));
  r.change({ members: [{ user: ME, muted_until: 0 }] });
  composer.render();
  assert.equal(strip(composer), null);
  r.change({ members: [{ user: ME }] });
  composer.render();
  assert.equal(strip(composer), 'Reply to benquestion');
});

test('a change that is being written is set aside for an answer or another change, and waits to be taken up', async () => {
  const toasts = page.getElementById('toasts');
  const again = () => toasts.all((node) => node.tag === 'button' && node.textContent === 'Edit again').at(-1);
  for (const go of [(c, r) => c.reply(item(r, 1)), (c, r) => c.edit(item(r, 3))]) {
    toasts.replaceChildren();
    const r = rig({ items: [message(1, 2, 'question'), message(2, ME, 'mine'), message(3, ME, 'mine too')] });
    const composer = r.open();
    composer.edit(item(r, 2));
    go(composer, r);
    assert.equal(again(), undefined, 'of what is as it was nothing is said');
    composer.edit(item(r, 2));
    type(composer, 'mine, better');
    composer.edit(item(r, 2));
    assert.deepEqual([composer.input.value, again()], ['mine, better', undefined]);
    go(composer, r);
    assert.notEqual(composer.input.value, 'mine, better');
    composer.edit(item(r, 3));
    type(composer, 'mine too, better');
    again().dispatch('click');
    assert.deepEqual([composer.input.value, strip(composer)], ['mine, better', 'Edit messagemine']);
    again().dispatch('click');
    assert.deepEqual([composer.input.value, strip(composer)], ['mine too, better', 'Edit messagemine too']);
  }
});

test('the member whom the arrows reach is scrolled to', () => {
  const r = rig();
  r.change({ members: [{ user: ME }, { user: 2 }, { user: 3 }] });
  r.client.state.users[3] = { id: 3, username: 'bea', full_name: '' };
  const composer = r.open();
  type(composer, '@b');
  composer.input.setSelectionRange(2, 2);
  composer.input.dispatch('input');
  const { list } = composer.mentions;
  assert.equal(list.children.length, 2);
  composer.input.dispatch('keydown', { key: 'ArrowDown' });
  assert.equal(page.scrolledTo, list.children[1]);
});

test('a change that is taken up again elsewhere takes one to its room, and waits no longer than the login', async () => {
  const toasts = page.getElementById('toasts');
  toasts.replaceChildren();
  for (const node of page.body.querySelectorAll('.composer')) node.remove();
  const offered = async () => {
    const r = rig();
    const composer = r.open();
    r.refuse = new FaultError({ code: 'internal', detail: '', retry: 'never' });
    submitChange(r, composer);
    type(composer, 'next');
    await settled();
    composer.node.remove();
    return r;
  };
  globalThis.location = { hash: '#/rooms/6' };
  const r = await offered();
  toasts.button('Edit again').dispatch('click');
  assert.deepEqual([globalThis.location.hash, r.client.drafts.now(5).edit.text], ['#/rooms/5', 'mine, better']);
  const next = (await offered()).open();
  page.activeElement = page.body;
  toasts.button('Edit again').dispatch('click');
  assert.equal(page.activeElement, next.input);
  await offered();
  endNotes();
  assert.equal(toasts.button('Edit again'), undefined);
});

test('a member is taken when the pointer is lifted, not when it comes to scroll; the field keeps the focus', () => {
  const r = rig();
  r.change({ members: [{ user: ME }, { user: 2 }] });
  const composer = r.open();
  type(composer, '@b');
  composer.input.setSelectionRange(2, 2);
  composer.input.dispatch('input');
  const { list } = composer.mentions;
  list.children[0].dispatch('pointerdown');
  assert.equal(composer.input.value, '@b');
  let kept = false;
  list.dispatch('mousedown', { preventDefault: () => { kept = true; } });
  assert.ok(kept);
  list.children[0].dispatch('click');
  assert.equal(composer.input.value, '@ben ');
});
