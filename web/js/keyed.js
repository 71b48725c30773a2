// Bringing a list of elements up to date: rows keep their element by key, and are filled anew only when what they show changed.

const same = (a, b) => a.length === b.length && a.every((v, i) => v === b[i]);

/** Where the focus is in a row, so that it can be put back there. */
function focusIn(parent) {
  const active = document.activeElement;
  const row = parent.contains(active) ? active.closest('[data-row]') : null;
  return row && { row, part: active === row ? null : active.dataset.part ?? null, active };
}

/**
 * @param {Element} parent
 * @param {{ key: string, sig: any[], make: () => HTMLElement, fill: (node: HTMLElement) => void }[]} rows
 * @param {Map<string, { node: HTMLElement, sig: any[] }>} cache
 */
export function reconcile(parent, rows, cache) {
  const focus = focusIn(parent);
  const keys = new Set(rows.map((r) => r.key));
  for (const [key, { node }] of cache) {
    if (keys.has(key)) continue;
    node.remove();
    cache.delete(key);
  }
  let at = parent.firstElementChild;
  for (const { key, sig, make, fill } of rows) {
    let entry = cache.get(key);
    if (!entry) {
      entry = { node: make(), sig: [] };
      entry.node.dataset.row = key;
      cache.set(key, entry);
    }
    if (!same(entry.sig, sig) || !entry.sig.length) {
      fill(entry.node);
      entry.sig = sig;
    }
    if (entry.node === at) at = at.nextElementSibling;
    else parent.insertBefore(entry.node, at);
  }
  if (focus && document.activeElement !== focus.active && parent.contains(focus.row)) {
    const target = focus.part ? focus.row.querySelector(`[data-part="${CSS.escape(focus.part)}"]`) : null;
    // The row first: buttons that are only shown in a row with the focus can't take it before.
    focus.row.focus({ preventScroll: true });
    target?.focus({ preventScroll: true });
  }
}
