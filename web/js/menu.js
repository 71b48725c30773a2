// Small menus and the emoji palette: popovers beside their button, worked by arrows, Enter and Escape.

import { el } from './dom.js';

export const EMOJI = ['👍', '❤️', '😂', '🎉', '😮', '😢', '🙏', '👀', '🔥', '✅', '👏', '🤔', '😀', '😍', '🚀', '👋'];
const NAMES = ['thumbs up', 'heart', 'laughing', 'party', 'surprised', 'sad', 'folded hands', 'eyes', 'fire', 'done', 'clapping',
  'thinking', 'smile', 'in love', 'rocket', 'wave'];

/** Shows `node` beside `anchor` until something is chosen or the focus goes elsewhere. */
function pop(anchor, node, columns) {
  const within = anchor.closest('dialog') ?? document.body;
  node.setAttribute('popover', 'auto');
  within.append(node);
  node.showPopover();
  const a = anchor.getBoundingClientRect();
  const width = node.offsetWidth;
  const height = node.offsetHeight;
  const below = a.bottom + 6 + height < innerHeight || a.top < height;
  node.style.left = `${Math.max(8, Math.min(a.right - width, innerWidth - width - 8))}px`;
  node.style.top = `${Math.max(8, below ? Math.min(a.bottom + 6, innerHeight - height - 8) : a.top - 6 - height)}px`;
  anchor.setAttribute('aria-expanded', 'true');
  node.addEventListener('toggle', (event) => {
    if (event.newState !== 'closed') return;
    const had = node.contains(document.activeElement) || document.activeElement === document.body;
    node.remove();
    anchor.setAttribute('aria-expanded', 'false');
    if (had && anchor.isConnected) anchor.focus({ preventScroll: true });
  });
  const buttons = [...node.querySelectorAll('button')];
  node.addEventListener('keydown', (event) => {
    const at = buttons.indexOf(document.activeElement);
    const step = { ArrowRight: columns > 1 ? 1 : 0, ArrowLeft: columns > 1 ? -1 : 0, ArrowDown: columns, ArrowUp: -columns }[event.key];
    let to = step ? at + step : null;
    if (event.key === 'Home') to = 0;
    if (event.key === 'End') to = buttons.length - 1;
    if (event.key === 'Tab') node.hidePopover();
    if (to === null) return;
    event.preventDefault();
    event.stopPropagation();
    buttons[(to + buttons.length) % buttons.length].focus();
  });
  buttons[0]?.focus();
}

/** @param {HTMLElement} anchor @param {string} label @param {({ label: string, run: () => void, danger?: boolean, checked?: boolean }|null|false)[]} items */
export function menu(anchor, label, items) {
  const node = el('div.menu', { role: 'menu', 'aria-label': label });
  for (const item of items.filter(Boolean)) {
    const checkable = item.checked !== undefined;
    node.append(el('button.menu-item', {
      type: 'button', class: item.danger ? 'danger' : '', tabindex: '-1',
      role: checkable ? 'menuitemradio' : 'menuitem', 'aria-checked': checkable ? String(item.checked) : null,
      onclick: () => { node.hidePopover(); item.run(); },
    }, item.label));
  }
  pop(anchor, node, 1);
}

/** @param {HTMLElement} anchor @param {string} label @param {(emoji: string) => void} chosen */
export function palette(anchor, label, chosen) {
  const node = el('div.palette', { role: 'menu', 'aria-label': label });
  EMOJI.forEach((emoji, i) => node.append(el('button.emoji', {
    type: 'button', role: 'menuitem', tabindex: '-1', 'aria-label': `${NAMES[i]} ${emoji}`, title: NAMES[i],
    onclick: () => { node.hidePopover(); chosen(emoji); },
  }, emoji)));
  pop(anchor, node, 8);
}
