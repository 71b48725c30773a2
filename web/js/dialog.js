// Dialogs: the browser's own modal <dialog>, which keeps the focus inside, closes with Escape and gives the focus back.

import { notesHost } from './announce.js';
import { explain } from './codes.js';
import { el, iconButton } from './dom.js';

/** A form that has no answer after this says that it waits for one. */
const WAIT_MS = 2_000;
let counter = 0;

/**
 * Opens a dialog. @param {string} title @param {{ side?: boolean, closed?: () => void }} [options]
 * @returns {{ dialog: HTMLDialogElement, body: HTMLElement, close: () => void }}
 */
export function openDialog(title, { side = false, closed } = {}) {
  const id = `dialog-${(counter += 1)}`;
  const opener = document.activeElement;
  const heading = el('h2', { id, dir: 'auto' }, title);
  const body = el('div.dialog-body');
  const notes = el('div.dialog-toasts', { role: 'status', 'aria-live': 'polite' });
  const dialog = el('dialog', { 'aria-labelledby': id, class: side ? 'side' : '' });
  const close = () => dialog.close();
  dialog.append(el('header.dialog-head', {}, heading, iconButton('close', 'Close', close)), body, notes);
  dialog.addEventListener('close', () => {
    dialog.remove();
    // A note that was just shown is read outside.
    notesHost().append(...notes.childNodes);
    // The browser gives the focus back itself, unless what had it is gone by now.
    if (document.activeElement === document.body && opener?.isConnected) opener.focus();
    closed?.();
  });
  dialog.addEventListener('pointerdown', (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  return { dialog, body, close };
}

/** Takes all dialogs away at once, as when one is logged out: their ends are told a moment later, when the next page is there. */
export const closeDialogs = () => document.querySelectorAll('dialog').forEach((dialog) => {
  dialog.close();
  dialog.remove();
});

/**
 * Makes a form that works once at a time and shows what went wrong.
 * @param {{ label: string, children: Node[], danger?: boolean, submit: () => Promise<void>, failed?: (error: any) => boolean }} parts
 */
export function form({ label, children, danger = false, submit, failed = () => false }) {
  const error = el('p.form-error', { role: 'alert' });
  const button = el('button.button', { type: 'submit', class: danger ? 'danger' : 'primary' }, label);
  const waits = el('p.field-note.form-wait', { role: 'status' });
  const node = el('form.form', { novalidate: true }, ...children, error, waits, el('div.form-actions', {}, button));
  node.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (button.getAttribute('aria-disabled')) return;
    button.setAttribute('aria-disabled', 'true');
    error.textContent = '';
    const slow = setTimeout(() => { waits.textContent = 'Waiting for the server…'; }, WAIT_MS);
    try {
      await submit();
    } catch (problem) {
      if (!failed(problem)) error.textContent = explain(problem);
    } finally {
      clearTimeout(slow);
      waits.textContent = '';
      button.removeAttribute('aria-disabled');
    }
  });
  return node;
}

/** Asks before something that can't be taken back. @param {string} title @param {string} text @param {string} label @param {() => Promise<void>} work */
export function confirm(title, text, label, work) {
  const { body, close } = openDialog(title);
  body.append(form({
    label, danger: true, children: [el('p', {}, text)],
    submit: async () => {
      await work();
      close();
    },
  }));
  body.querySelector('button[type=submit]').focus();
}
