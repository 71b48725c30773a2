// What is being written in a room: its words, whom it answers, and a change of an earlier message.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Drafts } from '../../../web/js/drafts.js';
import { Persistence } from '../../../web/js/persistence.js';
import { Tabs } from '../../../web/js/tabs.js';
import { fakeDatabase } from '../support/database.mjs';

const EMPTY = { text: '', reply: null, edit: null };
const EDIT = { seq: 3, revision: 1, text: 'better' };
const says = (text, more = {}) => ({ ...EMPTY, text, ...more });
const written = () => new Promise((done) => setTimeout(done, 10));

/** A browser whose tabs share a database; `open` is a tab that is there until it is in `gone`. */
function browser() {
  const r = { database: fakeDatabase(), gone: new Set() };
  r.open = (id, pauses = [0]) => new Drafts(new Persistence(r.database.factory), 'anna', { id, alive: async (tab) => Boolean(tab) && !r.gone.has(tab) }, pauses);
  r.kept = () => r.database.drafts.map(({ room, text }) => [room, text]);
  return r;
}

test('a draft keeps whom it answers and what it changes, for the next tab too', async () => {
  const r = browser();
  const drafts = r.open('a');
  assert.deepEqual(drafts.now(5), EMPTY);
  drafts.write(5, says('yes', { reply: 7 }));
  drafts.write(5, { ...drafts.now(5), edit: EDIT });
  assert.deepEqual([drafts.now(5), drafts.now(6)], [says('yes', { reply: 7, edit: EDIT }), EMPTY]);
  await written();
  r.gone.add('a');
  const next = r.open('b');
  await next.restore(5);
  assert.deepEqual(next.now(5), says('yes', { reply: 7, edit: EDIT }));
  await written();
  assert.deepEqual(r.kept(), [[[5, 'b'], 'yes']]);
});

test('a draft that says the same is the same, and is not kept again', () => {
  const saved = [];
  const drafts = new Drafts({ saveDraft: (...row) => saved.push(row) }, 'anna', { id: 'a' });
  const first = drafts.write(5, says('yes', { edit: EDIT }));
  assert.equal(drafts.write(5, says('yes', { edit: { ...EDIT } })), first);
  assert.deepEqual([drafts.now(5) === first, saved.length], [true, 1]);
  for (const edit of [{ ...EDIT, text: 'best' }, { ...EDIT, seq: 4 }, { ...EDIT, revision: 2 }, null]) {
    drafts.write(5, says('yes', { edit }));
    assert.deepEqual(drafts.now(5).edit, edit);
  }
  assert.equal(saved.length, 5);
});

test('what another tab writes, sends or clears leaves a tab’s draft where it is', async () => {
  const r = browser();
  const one = r.open('a');
  const two = r.open('b');
  one.write(5, says('a long draft'));
  await written();
  await two.restore(5);
  assert.deepEqual(two.now(5), EMPTY);
  two.write(5, says('ok'));
  two.write(5, EMPTY);
  await written();
  await one.restore(5);
  assert.deepEqual([one.now(5), r.kept()], [says('a long draft'), [[[5, 'a'], 'a long draft']]]);
  r.gone.add('a');
  await two.restore(5);
  assert.deepEqual(two.now(5), says('a long draft'));
});

test('what a tab has is newer than what could be kept of it, and is kept again later', async () => {
  const r = browser();
  const drafts = r.open('a');
  drafts.write(5, says('old'));
  await written();
  r.database.full = true;
  drafts.write(5, says('newer'));
  await written();
  r.database.full = false;
  await drafts.restore(5);
  assert.deepEqual([drafts.now(5), r.kept()], [says('newer'), [[[5, 'a'], 'old']]]);
  drafts.saveAll();
  await written();
  assert.deepEqual(r.kept(), [[[5, 'a'], 'newer']]);
});

test('a tab that counts as there a moment longer is looked for again, unless one writes meanwhile', async () => {
  for (const [meanwhile, has] of [[EMPTY, 'left'], [says('mine'), 'mine']]) {
    const r = browser();
    r.open('a').write(5, says('left'));
    await written();
    const next = r.open('b', [0, 20]);
    const restoring = next.restore(5);
    await written();
    r.gone.add('a');
    next.write(5, meanwhile);
    await restoring;
    assert.equal(next.now(5).text, has);
  }
});

test('the latest of several that were left comes first, the one before it when the room is opened again', async () => {
  const r = browser();
  for (const tab of ['a', 'b']) {
    r.open(tab).write(5, says(`of ${tab}`));
    await written();
    r.gone.add(tab);
  }
  for (const [tab, text] of [['c', 'of b'], ['d', 'of a']]) {
    const next = r.open(tab);
    await next.restore(5);
    await written();
    assert.equal(next.now(5).text, text);
  }
});

test('of two tabs that look for what was left one gets it', async () => {
  const r = browser();
  r.open('a').write(5, says('left', { reply: 7 }));
  await written();
  r.gone.add('a');
  const tabs = [r.open('b'), r.open('c')];
  await Promise.all(tabs.map((tab) => tab.restore(5)));
  await written();
  assert.deepEqual(tabs.map((tab) => tab.now(5)), [says('left', { reply: 7 }), EMPTY]);
  assert.deepEqual(r.kept(), [[[5, 'b'], 'left']]);
});

test('what was left is not lost where one begins to write while it is taken', async () => {
  const r = browser();
  r.open('a').write(5, says('left'));
  await written();
  r.gone.add('a');
  const next = r.open('b');
  const { persistence } = next;
  const take = persistence.takeDraft.bind(persistence);
  persistence.takeDraft = (...of) => {
    const taken = take(...of);
    next.write(5, says('mine'));
    return taken;
  };
  await next.restore(5);
  await written();
  assert.equal(next.now(5).text, 'mine');
  assert.deepEqual(r.kept().sort(), [[[5, 'a'], 'left'], [[5, 'b'], 'mine']]);
});

test('where nothing can be written what was left is taken all the same', async () => {
  const r = browser();
  r.open('a').write(5, says('left'));
  await written();
  r.gone.add('a');
  r.database.full = true;
  const next = r.open('b');
  await next.restore(5);
  assert.deepEqual([next.now(5).text, r.kept()], ['left', [[[5, 'a'], 'left']]]);
});

test('who has logged out leaves nothing that is kept, and is given nothing', async () => {
  const r = browser();
  const drafts = r.open('a');
  drafts.write(5, says('words'));
  r.open('b').write(6, says('of b'));
  await written();
  r.gone.add('b');
  drafts.stop();
  await drafts.persistence.clear('anna');
  drafts.saveAll();
  drafts.write(5, says('more words'));
  r.database.drafts.push({ account: 'anna', room: 6, text: 'old' });
  await drafts.restore(6);
  await written();
  assert.deepEqual([drafts.now(6), r.kept()], [EMPTY, [[6, 'old']]]);
});

test('what an earlier version of the page kept is a draft without an answer, taken once', async () => {
  const r = browser();
  r.database.drafts.push({ account: 'anna', room: 5, text: 'old' });
  const drafts = r.open('a');
  await drafts.restore(5);
  await written();
  assert.deepEqual([drafts.now(5), r.kept()], [says('old'), [[[5, 'a'], 'old']]]);
});

test('nothing is kept of an empty draft, and an account that is forgotten leaves none', async () => {
  const r = browser();
  const drafts = r.open('a');
  for (const draft of [says('', { edit: EDIT }), says('', { reply: 7 }), EMPTY]) {
    drafts.write(5, draft);
    await written();
    assert.equal(r.kept().length, draft === EMPTY ? 0 : 1);
  }
  for (const room of [5, 60]) drafts.write(room, says('words'));
  r.database.drafts.push({ account: 'anna', room: 7, text: 'old' }, { account: 'ben', room: [5, 'x'], text: 'his' });
  await drafts.persistence.clear('anna');
  assert.deepEqual(r.kept(), [[[5, 'x'], 'his']]);
});

test('a tab is there for as long as it holds its lock', async () => {
  const held = [{ name: 'parlance.tab.there' }];
  const tabs = new Tabs(() => {}, { query: async () => ({ held }) });
  assert.deepEqual([await tabs.alive('there'), await tabs.alive('gone'), await tabs.alive('')], [true, false, false]);
});
