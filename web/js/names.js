// Usernames in text: how two are compared, and where a message mentions one.

/**
 * What equal names have in common: composed, without width and case, as the server compares them. Going by way of capitals
 * folds what a small letter alone doesn't tell: `ß` is `ss`, and a Greek sigma at the end of a word is one.
 * @param {string} text
 */
export const fold = (text) =>
  text.normalize('NFC').replace(/[\uff01-\uffee]/g, (c) => c.normalize('NFKC'))
    .toUpperCase().toLowerCase().replaceAll('ς', 'σ').normalize('NFC');

/** Scripts that are written without spaces: after their letters a mention can begin. */
const UNSPACED = '[\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}\\p{Script=Lao}\\p{Script=Khmer}\\p{Script=Myanmar}]';
/**
 * After any other letter or digit it is an address, not a mention. Marks belong to letters (vowel signs, accents), but for the two that
 * make an emoji of a sign or digit.
 */
const SIGN = `(?<!(?!${UNSPACED})[\\p{L}\\p{N}](?:(?![\\ufe0f\\u20e3])\\p{M}){0,16}_{0,50})[@＠]`;
/** What names consist of; joiners shape letters in some scripts. */
const NAME = '[\\p{L}\\p{N}\\p{M}\\u200c\\u200d_.-]';
/** Looked at of what may be a name, of which the longest has 50 characters: a message is searched in no time whatever is in it. */
const NAME_MAX = 100;
const AT = new RegExp(`${SIGN}(${NAME}{1,${NAME_MAX}})`, 'gu');
const AT_END = new RegExp(`${SIGN}(${NAME}{0,${NAME_MAX}})$`, 'u');

/**
 * The mentions in a text, each the longest name that fits: what follows an `@` is tried whole, then without its last part, where
 * parts end at a dot, hyphen or underscore.
 * @template T @param {string} text @param {(name: string) => T|null|undefined} find Whom a name means.
 * @returns {{ index: number, text: string, who: T }[]} With the `@`.
 */
export function mentionsIn(text, find) {
  const found = [];
  for (const match of text.matchAll(AT)) {
    for (let name = match[1]; name; name = shorter(name)) {
      const who = find(name);
      if (who === null || who === undefined) continue;
      found.push({ index: match.index, text: `${match[0][0]}${name}`, who });
      break;
    }
  }
  return found;
}

/** Without the last part: `a.b-c` → `a.b-` → `a.b` → `a.` → `a`. */
function shorter(name) {
  const end = name.match(/[._-]$/) ? name.length - 1 : Math.max(...['.', '_', '-'].map((c) => name.lastIndexOf(c))) + 1;
  return name.slice(0, end);
}

/** What was written of a name before the cursor, or undefined where none is being written. @param {string} text Up to the cursor. */
export const mentionPrefix = (text) => text.match(AT_END)?.[1];

/**
 * Finds a user by name: the very same one first, since folding may be more lenient than the server is.
 * @template {{ username: string }} T @param {T[]} users @returns {(name: string) => T|undefined}
 */
export function finder(users) {
  const exact = new Map(users.map((u) => [u.username.normalize('NFC'), u]));
  const folded = new Map(users.toReversed().map((u) => [fold(u.username), u]));
  return (name) => exact.get(name.normalize('NFC')) ?? folded.get(fold(name));
}
