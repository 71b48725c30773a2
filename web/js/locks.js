// One tab at a time: Web Locks where there are any, else a lease in localStorage (plain http on a foreign host has none).

import { storage } from './storage.js';

const LEASE_MS = 15_000;

/** Runs `work` while no other tab runs work of the same name. @template T @param {string} name @param {() => Promise<T>} work */
export async function exclusively(name, work) {
  if (navigator.locks) return navigator.locks.request(name, work);
  const key = `parlance.lock.${name}`;
  const mine = Math.random().toString(36).slice(2);
  await lease(key, mine);
  try {
    return await work();
  } finally {
    if (storage.getItem(key)?.startsWith(mine)) storage.removeItem(key);
  }
}

async function lease(key, mine) {
  for (;;) {
    const [, until = 0] = (storage.getItem(key) ?? '').split(' ');
    if (Number(until) < Date.now()) {
      storage.setItem(key, `${mine} ${Date.now() + LEASE_MS}`);
      // Another tab may have written in the same moment: the last one to write has it.
      await new Promise((done) => setTimeout(done, 60));
      if (storage.getItem(key)?.startsWith(mine)) return;
    }
    await new Promise((done) => setTimeout(done, 50 + Math.random() * 50));
  }
}
