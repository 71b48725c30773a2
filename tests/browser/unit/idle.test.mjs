// Whether somebody is there, by a clock of the test's own.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Idle } from '../../../web/js/idle.js';

function stage() {
  let now = 1_000;
  let timer = null;
  const heard = [];
  const view = new EventTarget();
  const page = { visibilityState: 'visible' };
  const clock = { now: () => now, set: (run, ms) => (timer = { run, at: now + ms }), clear: () => { timer = null; } };
  const idle = new Idle({ changed: () => heard.push([now, idle.idle]), page, view, after: 100, clock });
  const to = (at) => {
    while (timer && timer.at <= at) {
      const due = timer;
      now = due.at;
      timer = null;
      due.run();
    }
    now = at;
  };
  return { idle, heard, page, to, timer: () => timer, input: (name = 'keydown') => view.dispatchEvent(new Event(name)) };
}

test('one is away after a while without input, and back with the first one', () => {
  const { idle, heard, to, input } = stage();
  idle.start();
  to(1_099);
  assert.deepEqual(heard, []);
  to(1_150);
  input();
  to(1_249);
  input('pointermove');
  to(1_348);
  assert.deepEqual(heard, [[1_100, true], [1_150, false]]);
  to(1_400);
  assert.deepEqual(heard.slice(2), [[1_349, true]]);
});

test('a hidden page has no input; coming back to it is one', () => {
  const { idle, heard, page, to, input } = stage();
  idle.start();
  to(1_050);
  page.visibilityState = 'hidden';
  input('visibilitychange');
  to(1_200);
  assert.deepEqual(heard, [[1_100, true]]);
  page.visibilityState = 'visible';
  input('visibilitychange');
  assert.deepEqual(heard, [[1_100, true], [1_200, false]]);
});

test('once stopped it says nothing more', () => {
  const { idle, heard, to, input, timer } = stage();
  idle.start();
  idle.stop();
  assert.equal(timer(), null);
  input();
  to(5_000);
  assert.deepEqual(heard, []);
});
