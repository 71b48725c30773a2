// Help with a new password before it is sent: what the server would refuse without looking at its list of common ones.

import { fold } from './names.js';

export const PASSWORD_HINT = 'At least 8 characters, such as four unrelated words.';
const BYTES_MIN = 8;
const DIFFERENT_MIN = 4;
/** Characters besides a name below which a password is little more than that. */
const BESIDE_MIN = 5;
const ROWS = ['abcdefghijklmnopqrstuvwxyz', '1234567890', 'qwertyuiop', 'asdfghjkl', 'zxcvbnm', 'qwertzuiop', 'azertyuiop'];
const COMMON = ['password', 'passwort', 'letmein', 'iloveyou', 'welcome', 'sunshine', 'princess', 'football', 'baseball', 'superman', 'trustno', 'dragon', 'monkey', 'master', 'admin'];

/** Without what people put between the parts of a name. */
const squeezed = (text) => text.replace(/[\s._-]/g, '');
const without = (text, part) => [...text.replace(part, '')].length;
const isRow = (text) => ROWS.some((row) => [row + row, [...(row + row)].reverse().join('')].some((keys) => keys.includes(text)));
const isRepeated = (text) => /^(.{1,4}?)\1+$/u.test(text) || new Set(text).size < DIFFERENT_MIN;

/**
 * Why a new password is too easy to guess, in words; empty where nothing speaks against it here.
 * @param {string} password @param {string[]} names The user's own.
 */
export function weakness(password, names = []) {
  const text = fold(password);
  if (new TextEncoder().encode(password).length < BYTES_MIN) return 'Use at least 8 characters.';
  if (isRepeated(text)) return 'This repeats the same few characters. Use more different ones.';
  if (isRow(text)) return 'This is a row of letters, digits or keys. Choose one that can’t be guessed.';
  const own = names.flatMap((name) => [name, ...name.split(/[@\s]/)]).map((name) => squeezed(fold(name))).filter((name) => [...name].length >= 3);
  if (own.some((name) => squeezed(text).includes(name) && without(squeezed(text), name) < BESIDE_MIN)) return 'This is little more than your name. Choose one that doesn’t contain it.';
  const plain = text.replaceAll('0', 'o').replaceAll('1', 'i').replaceAll('@', 'a').replaceAll('$', 's');
  if (COMMON.some((word) => plain.includes(word) && without(plain, word) < BESIDE_MIN)) return 'This is one of the most common passwords. Choose one that others don’t use.';
  return '';
}
