// Help with a new password before it is sent: some of what the server refuses, and nothing that it doesn't.

import { fold } from './names.js';

export const PASSWORD_HINT = 'At least 8 characters, such as four unrelated words.';
const CHARS_MIN = 8;
const DIFFERENT_MIN = 4;
/** Characters besides the user's names below which a password is little more than those. */
const BESIDE_MIN = 5;
const NAME_MIN = 3;
const BETWEEN = /[ ._@-]/;
const ROWS = ['abcdefghijklmnopqrstuvwxyz', '1234567890', 'qwertyuiop', 'asdfghjkl', 'qwertzuiop', 'azertyuiop', 'йцукенгшщзхъ', 'фывапролджэ'];

const backwards = (text) => [...text].reverse().join('');
const isRow = (text) => ROWS.some((row) => row.includes(text) || backwards(row).includes(text));
const isRepeated = (text) => /^(.{1,3}?)\1+$/u.test(text) || new Set(text).size < DIFFERENT_MIN;

/** Each part of the names, and all parts together in either order; the longest first. @param {string[]} names */
function partsOf(names) {
  const all = names.flatMap((name) => {
    const parts = fold(name).split(BETWEEN);
    return [...parts, parts.join(''), parts.toReversed().join('')];
  });
  return all.filter((part) => [...part].length >= NAME_MIN).sort((a, b) => b.length - a.length);
}

/** Whether a password is names, forwards or backwards, with a few characters more. */
function isLittleMore(text, names) {
  const all = text.split(BETWEEN).join('');
  const rest = partsOf(names).reduce((left, part) => left.replaceAll(part, '').replaceAll(backwards(part), ''), all);
  return rest !== all && [...rest].length < BESIDE_MIN;
}

/**
 * Why a new password is too easy to guess, in words; empty where nothing speaks against it here.
 * @param {string} password @param {string[]} names The user's own.
 */
export function weakness(password, names = []) {
  const text = fold(password);
  if ([...password.normalize('NFC')].length < CHARS_MIN) return 'Use at least 8 characters.';
  if (isRepeated(text)) return 'This repeats the same few characters. Use more different ones.';
  if (isRow(text)) return 'This is a row of letters, digits or keys. Choose one that can’t be guessed.';
  if (isLittleMore(text, names)) return 'This is little more than your name. Choose one that doesn’t contain it.';
  return '';
}
