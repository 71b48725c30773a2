// What is being loaded, or could not be: said in the place of what would be there, with another try.

import { explain } from './codes.js';
import { el } from './dom.js';

/**
 * @param {string} what As the subject of a sentence: `The members`. @param {() => void} again
 * @returns {{ node: HTMLElement, show: (state: Error|string|boolean|null|undefined) => void }} `show`: an error, what it waits for, true while it loads, else nothing.
 */
export function loading(what, again) {
  const text = el('p');
  const button = el('button.button', { type: 'button', onclick: () => again() }, 'Try again');
  const node = el('div.loading', { role: 'status' }, text, button);
  const show = (state) => {
    node.hidden = !state;
    button.hidden = !(state instanceof Error);
    const words = state instanceof Error ? `${what} could not be loaded. ${explain(state)}` : typeof state === 'string' ? state : 'Loading…';
    if (text.textContent !== words) text.textContent = words;
  };
  show(true);
  return { node, show };
}
