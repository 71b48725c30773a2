// Saying things: to a screen reader only, or as a note on the screen that goes away by itself.

import { el } from './dom.js';

const SHOWN_MS = 7_000;
let queue = [];
let timer = null;

/** Has a screen reader say something when it is idle; what comes together is said together. @param {string|(() => string)} text */
export function say(text) {
  queue.push(text);
  timer ??= setTimeout(() => {
    const region = document.getElementById('polite');
    region.textContent = queue.length > 4 ? `${queue.length} new messages` : queue.map((text) => (typeof text === 'function' ? text() : text)).join('. ');
    queue = [];
    timer = null;
  }, 400);
}

/** Where notes can be seen and reached: in the dialog on top, else on the page. */
export const notesHost = () => [...document.querySelectorAll('dialog[open] .dialog-toasts')].at(-1) ?? document.getElementById('toasts');

/**
 * Shows a note. @param {string} text
 * @param {{ label: string, run: () => void }} [action]
 * @param {{ stays?: boolean, ofLogin?: boolean }} [options] `stays`: until it is closed; `ofLogin`: at most until `endNotes`.
 * @returns {HTMLElement}
 */
export function toast(text, action, { stays = false, ofLogin = false } = {}) {
  const node = el('div.toast', { data: ofLogin ? { login: '' } : {} }, el('span', {}, text));
  const gone = stays ? undefined : setTimeout(() => node.remove(), SHOWN_MS);
  const button = (label, run) => el('button.text-button', { type: 'button', onclick: () => { clearTimeout(gone); node.remove(); run(); } }, label);
  if (action) node.append(button(action.label, action.run));
  if (stays) node.append(button('Close', () => {}));
  notesHost().append(node);
  return node;
}

/** Takes away the notes whose action is of no use after the login. */
export const endNotes = () => document.querySelectorAll('.toast[data-login]').forEach((node) => node.remove());

/** Puts text into the clipboard; pages without https have no clipboard of their own. @param {string} text */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast('Copied.');
  } catch {
    toast('The browser doesn’t allow copying here. Select the text and copy it yourself.');
  }
}
