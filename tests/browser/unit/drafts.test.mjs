// What is being written in a room: its words, whom it answers, and a change of an earlier message.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Drafts } from '../../../web/js/drafts.js';
import { Persistence } from '../../../web/js/persistence.js';

const EDIT = { seq: 3, revision: 1, text: 'better' };

/** Persistence that keeps rows in `rows`, as the browser's database would. */
function rig(rows = new Map()) {
  const persistence = {
    available: true, saved: [],
    draft: async (_, room) => rows.get(room) ?? { text: '', reply: null, edit: null },
    saveDraft: (_, room, draft) => { persistence.saved.push(draft); rows.set(room, structuredClone(draft)); },
  };
  return { rows, persistence, drafts: new Drafts(persistence, 'anna') };
}

test('a draft keeps whom it answers and what it changes, for the next tab too', async () => {
  const { rows, drafts } = rig();
  assert.deepEqual(drafts.now(5), { text: '', reply: null, edit: null });
  drafts.write(5, { text: 'yes', reply: 7, edit: null });
  drafts.write(5, { ...drafts.now(5), edit: EDIT });
  assert.deepEqual(drafts.now(5), { text: 'yes', reply: 7, edit: EDIT });
  assert.deepEqual(drafts.now(6), { text: '', reply: null, edit: null });
  assert.deepEqual(await rig(rows).drafts.read(5), { text: 'yes', reply: 7, edit: EDIT });
});

test('a draft that says the same is the same, and is not kept again', () => {
  const { persistence, drafts } = rig();
  const first = drafts.write(5, { text: 'yes', reply: null, edit: EDIT });
  assert.equal(drafts.write(5, { text: 'yes', reply: null, edit: { ...EDIT } }), first);
  assert.equal(drafts.now(5), first);
  assert.equal(persistence.saved.length, 1);
  for (const edit of [{ ...EDIT, text: 'best' }, { ...EDIT, seq: 4 }, { ...EDIT, revision: 2 }, null]) {
    drafts.write(5, { text: 'yes', reply: null, edit });
    assert.deepEqual(drafts.now(5).edit, edit);
  }
  assert.equal(persistence.saved.length, 5);
});

test('where nothing is kept, a tab goes by what it has', async () => {
  const { persistence, drafts } = rig();
  drafts.write(5, { text: 'yes', reply: 7, edit: null });
  persistence.available = false;
  persistence.draft = async () => ({ text: '', reply: null, edit: null });
  assert.deepEqual(await drafts.read(5), { text: 'yes', reply: 7, edit: null });
});

test('what an earlier version of the page kept is a draft without an answer, and nothing is kept of an empty one', async () => {
  const done = (result) => {
    const request = { result };
    queueMicrotask(() => request.onsuccess());
    return request;
  };
  const calls = [];
  const store = { get: () => done({ account: 'anna', room: 5, text: 'old' }), put: (row) => calls.push(['put', row]), delete: (key) => calls.push(['delete', key]) };
  const database = { transaction: () => {
    const transaction = { objectStore: () => store };
    setTimeout(() => transaction.oncomplete());
    return transaction;
  } };
  const persistence = new Persistence(() => ({ open: () => done(database) }));
  assert.deepEqual(await persistence.draft('anna', 5), { text: 'old', reply: null, edit: null });
  await persistence.saveDraft('anna', 5, { text: '', reply: null, edit: EDIT });
  await persistence.saveDraft('anna', 5, { text: '', reply: 7, edit: null });
  await persistence.saveDraft('anna', 5, { text: '', reply: null, edit: null });
  assert.deepEqual(calls, [
    ['put', { account: 'anna', room: 5, text: '', reply: null, edit: EDIT }], ['put', { account: 'anna', room: 5, text: '', reply: 7, edit: null }],
    ['delete', ['anna', 5]],
  ]);
});
