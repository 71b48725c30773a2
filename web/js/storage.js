// localStorage, or where the browser lets pages store nothing, a stand-in that lasts as long as the tab.

/** @returns {Pick<Storage, 'getItem'|'setItem'|'removeItem'>} */
function temporary() {
  const items = new Map();
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => items.set(key, String(value)),
    removeItem: (key) => items.delete(key),
  };
}

function permanent() {
  try {
    // Where it is forbidden, naming it is an error already.
    globalThis.localStorage.getItem('parlance');
    return globalThis.localStorage;
  } catch {
    return null;
  }
}

export const storage = permanent() ?? temporary();
