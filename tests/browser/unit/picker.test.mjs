// Finding people: what is shown, and taken, belongs to what is written in the field.

import assert from 'node:assert/strict';
import test from 'node:test';
import * as store from '../../../web/js/store.js';
import { fakePage } from '../support/page.mjs';

fakePage();
const { picker } = await import('../../../web/js/picker.js');

const settled = () => new Promise((done) => setImmediate(done));
const user = (id, username) => ({ id, username, full_name: '', is_active: true });

/** A picker over searches that are answered by hand: `answers[text](users)`. */
function rig(t) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const r = { answers: {}, refusals: {}, chosen: [] };
  r.client = { me: 1, state: store.initial(1), set: (state) => { r.client.state = state; }, api: {
    search: (text) => new Promise((resolve, reject) => Object.assign(r, { answers: { ...r.answers, [text]: resolve }, refusals: { ...r.refusals, [text]: reject } })),
  } };
  const picked = picker(r.client, { label: 'People', chosen: (id) => r.chosen.push(id) });
  r.note = picked.box.byClass('field-note').at(-1);
  r.found = () => picked.box.byClass('pick').length;
  r.write = (text) => {
    picked.input.value = text;
    picked.input.dispatch('input');
  };
  r.enter = () => picked.input.dispatch('keydown', { key: 'Enter' });
  r.answer = async (text, users) => {
    r.answers[text](users);
    await settled();
  };
  r.search = async (text, users) => {
    r.write(text);
    t.mock.timers.tick(200);
    await r.answer(text, users);
  };
  return r;
}

test('Enter takes nobody who was found by other letters', async (t) => {
  const r = rig(t);
  await r.search('an', [user(2, 'anna')]);
  r.write('ben');
  r.enter();
  assert.deepEqual(r.chosen, []);
  await r.answer('ben', [user(3, 'ben')]);
  r.enter();
  assert.deepEqual(r.chosen, [3]);
});

test('a search that fails late says nothing about the next one', async (t) => {
  const r = rig(t);
  r.write('an');
  t.mock.timers.tick(200);
  await r.search('ben', [user(3, 'ben')]);
  r.refusals.an(new Error('No.'));
  await settled();
  assert.deepEqual([r.note.textContent, r.found()], ['1 person found.', 1]);
});

test('a search that fails leaves nobody of the one before', async (t) => {
  const r = rig(t);
  await r.search('an', [user(2, 'anna')]);
  r.write('ann');
  t.mock.timers.tick(200);
  r.refusals.ann(new Error('No.'));
  await settled();
  assert.deepEqual([r.note.textContent, r.found()], ['No.', 0]);
});
