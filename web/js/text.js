// What a message says, as elements: text, links, code, mentions and typed parts. All of it goes in as text nodes.

import { plain } from './bidi.js';
import { el } from './dom.js';
import { finder, mentionsIn } from './names.js';

const FENCE = /```([\w+#.-]*)\n([\s\S]*?)\n?```/g;
const INLINE = /`([^`\n]+)`|(https?:\/\/[^\s<>"]+)/gu;
/** What a sentence, not the address, ends with. */
const TAIL = /[.,;:!?'"»”’)\]}]+$/;

/** Splits an address from the punctuation after it; a bracket that it opened itself stays. @param {string} url */
export function trimUrl(url) {
  let end = url.length - (url.match(TAIL)?.[0].length ?? 0);
  while (url[end] === ')' && url.slice(0, end + 1).split('(').length >= url.slice(0, end + 1).split(')').length) end += 1;
  return [url.slice(0, end), url.slice(end)];
}

/** Only addresses that a browser may follow from here. @param {string} url */
export function safeUrl(url) {
  try {
    const parsed = new URL(url);
    return parsed.protocol === 'https:' || parsed.protocol === 'http:' ? parsed.href : null;
  } catch {
    return null;
  }
}

/** @param {string} url @param {string} label */
function link(url, label) {
  const href = safeUrl(url);
  return href ? el('a', { href, target: '_blank', rel: 'noopener noreferrer nofollow' }, el('bdi', {}, label)) : label;
}

/** A text without its code and addresses, in which an `@` mentions nobody. @param {string} text */
export const prose = (text) => text.replace(FENCE, '\n').replace(INLINE, (whole, code, url) => (code === undefined ? ` ${trimUrl(url)[1]}` : ' '));

/** Those whom a text mentions. @template {{ id: number, username: string }} T @param {string} text @param {T[]} users @returns {number[]} */
export const mentionedIn = (text, users) => [...new Set(mentionsIn(prose(text), finder(users)).map(({ who }) => who.id))];

/** @param {string} text @param {(name: string) => { me: boolean }|null} mention */
function inline(text, mention) {
  const out = [];
  let done = 0;
  for (const match of text.matchAll(INLINE)) {
    const [whole, code, url] = match;
    const [address, rest] = url === undefined ? ['', ''] : trimUrl(url);
    out.push(...mentioned(text.slice(done, match.index), mention), code === undefined ? link(address, address) : el('code', { dir: 'ltr' }, code));
    done = match.index + whole.length - rest.length;
  }
  out.push(...mentioned(text.slice(done), mention));
  return out;
}

/** Words, with the names that are mentioned among them. @param {string} text @param {(name: string) => { me: boolean }|null} mention */
function mentioned(text, mention) {
  const out = [];
  let done = 0;
  for (const { index, text: name, who } of mentionsIn(text, mention)) {
    out.push(text.slice(done, index), el('bdi.mention', { class: who.me ? 'me' : '' }, name));
    done = index + name.length;
  }
  out.push(text.slice(done));
  return out;
}

const block = (text, language) =>
  el('pre', { tabindex: '0', role: 'group', 'aria-label': language ? `Code, ${language}` : 'Code', dir: 'ltr' }, el('code', {}, text));

/** A size in bytes as people say it. */
function size(bytes) {
  const power = Math.min(3, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${(bytes / 1024 ** power).toFixed(power ? 1 : 0)} ${['B', 'KiB', 'MiB', 'GiB'][power]}`;
}

function part(p) {
  switch (p.type) {
    case 'code': return block(p.text, p.language);
    case 'image': return el('p.part', {}, 'Image: ', link(p.url, plain(p.alt || p.url)));
    case 'file': return el('p.part', {}, 'File: ', link(p.url, plain(p.name)), p.size ? ` (${size(p.size)})` : '');
    default: return el('details.part', {}, el('summary', {}, `Data (${p.mime ?? p.type})`), block(p.text ?? ''));
  }
}

/**
 * @param {import('./types.js').Content} content
 * @param {(name: string) => { me: boolean }|null} mention Whom a name points out.
 * @returns {Node[]}
 */
export function render(content, mention) {
  const out = [];
  const paragraph = (text) => text.trim() && out.push(el('p.para', { dir: 'auto' }, el('span.words', {}, ...inline(text.replace(/^\n+|\n+$/g, ''), mention))));
  let done = 0;
  for (const match of content.text.matchAll(FENCE)) {
    paragraph(content.text.slice(done, match.index));
    out.push(block(match[2], match[1]));
    done = match.index + match[0].length;
  }
  paragraph(content.text.slice(done));
  return [...out, ...(content.parts ?? []).map(part)];
}

/** One line for lists and quotes. @param {import('./types.js').Content|null} content */
export function summary(content) {
  if (!content) return 'Message deleted';
  const text = plain(content.text.replace(/\s+/g, ' ')).trim();
  if (text) return text.slice(0, 160);
  return { code: 'Code', image: 'Image', file: 'File' }[content.parts?.[0]?.type] ?? 'Data';
}

/** Whether it is a few emoji and nothing else, which are shown larger. @param {import('./types.js').Content} content */
export const jumbo = (content) =>
  !content.parts?.length && /^(?:\p{Extended_Pictographic}|\p{Emoji_Modifier}|\u200d|\ufe0f|\s){1,12}$/u.test(content.text);
