// Making elements. Text only ever becomes text nodes; nothing here parses HTML.

/**
 * @param {string} spec `tag.class.class`
 * @param {Record<string, any>} [props] `on…` are listeners, `data` a dataset, other names attributes; null or false: none.
 * @param {...(Node|string|null|undefined|false)} children
 */
export function el(spec, props = {}, ...children) {
  const [tag, ...classes] = spec.split('.');
  const node = document.createElement(tag);
  if (classes.length) node.classList.add(...classes);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'data') Object.assign(node.dataset, value);
    else if (name === 'class') node.className += ` ${value}`;
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.filter((c) => c || c === 0));
  return node;
}

const SVG = 'http://www.w3.org/2000/svg';
const ICONS = {
  plus: 'M12 5v14M5 12h14',
  back: 'M15 5l-7 7 7 7',
  send: 'M4 12l16-8-6 16-3-7z',
  smile: 'M12 3a9 9 0 100 18 9 9 0 000-18M8.500 14.500c1.800 2 5.200 2 7 0M9 9.500v.5M15 9.500v.5',
  reply: 'M10 6L4 12l6 6M4 12h9a7 7 0 017 7',
  more: 'M4.500 12a1 1 0 102 0a1 1 0 10-2 0M11 12a1 1 0 102 0a1 1 0 10-2 0M17.500 12a1 1 0 102 0a1 1 0 10-2 0',
  info: 'M12 3a9 9 0 100 18 9 9 0 000-18M12 11v5M12 8v.01',
  close: 'M6 6l12 12M18 6L6 18',
  down: 'M12 5v14M6 13l6 6 6-6',
  check: 'M5 13l4.500 4.500L19 7.500',
  clock: 'M12 3a9 9 0 100 18 9 9 0 000-18M12 7.500V12l3 2',
  search: 'M11 4a7 7 0 100 14 7 7 0 000-14M16 16l4.500 4.500',
  edit: 'M4 20l1-4L16 5l3 3L8 19zM14 7l3 3',
};

/** A line drawing; it says nothing to a screen reader. @param {keyof ICONS} name */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', `icon icon-${name}`);
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}

/** A button with a drawing and a name. */
export const iconButton = (name, label, onclick, props = {}) =>
  el('button.icon-button', { type: 'button', 'aria-label': label, title: label, onclick, ...props }, icon(name));

/** A labelled field with a place for its error. */
export function field(label, props = {}, hint) {
  const id = props.id ?? `f${(counter += 1)}`;
  // Addresses, numbers and passwords run from left to right.
  const words = !props.tag && !props.readonly && ['text', 'search'].includes(props.type ?? 'text');
  const input = el(props.tag ?? 'input', { dir: words ? 'auto' : null, ...props, tag: null, id });
  const note = el('p.field-note', { id: `${id}-note` }, hint ?? '');
  if (hint) input.setAttribute('aria-describedby', note.id);
  const box = el('div.field', {}, el('label', { for: id }, label), input, note);
  const error = (text) => {
    box.classList.toggle('bad', Boolean(text));
    note.textContent = text || hint || '';
    if (text) input.setAttribute('aria-invalid', 'true');
    else input.removeAttribute('aria-invalid');
    if (text || hint) input.setAttribute('aria-describedby', note.id);
    else input.removeAttribute('aria-describedby');
  };
  input.addEventListener('input', () => error(''));
  return { box, input, error };
}
let counter = 0;
