// A page without a browser, for what elements say and do: no layout, no styles, no real focus.

/** A part of a selector: a tag, classes, and attributes with or without their value. */
function fits(node, selector) {
  const [, tag, classes, attributes] = selector.match(/^([a-z]*)((?:\.[\w-]+)*)((?:\[[^\]]+\])*)$/);
  if (tag && node.tag !== tag) return false;
  if (!classes.split('.').filter(Boolean).every((name) => node.classList.contains(name))) return false;
  return [...attributes.matchAll(/\[([\w-]+)(?:="?([^"\]]*)"?)?\]/g)].every(([, name, value]) => {
    const has = name === 'tabindex' ? String(node.tabIndex) : name.startsWith('data-') ? node.dataset[name.slice(5)] : node.attributes[name];
    return has !== undefined && (value === undefined || String(has) === value);
  });
}

class Node {
  parent = null;
  children = [];

  constructor(tag) {
    Object.assign(this, { tag, scrollTop: 0, scrollHeight: 0, clientHeight: 0, dataset: {}, attributes: {}, listeners: {}, style: {}, className: '', value: '', hidden: false, tabIndex: -1 });
    this.classList = {
      add: (...names) => { this.className = [this.className, ...names].join(' ').trim(); },
      remove: (...names) => { this.className = this.className.split(' ').filter((n) => !names.includes(n)).join(' '); },
      toggle: (name, on) => { this.className = [...this.className.split(' ').filter((n) => n !== name), ...(on ? [name] : [])].join(' ').trim(); },
      contains: (name) => this.className.split(' ').includes(name),
    };
  }

  get childNodes() { return this.children; }
  get isConnected() { return this === globalThis.document.body || Boolean(this.parent?.isConnected); }
  get textContent() { return this.children.map((c) => (typeof c === 'string' ? c : c.textContent)).join(''); }
  set textContent(text) { this.replaceChildren(text); }

  append(...nodes) {
    for (const node of nodes) {
      if (node instanceof Node) {
        node.remove();
        node.parent = this;
      }
      if (node !== '') this.children.push(node);
    }
  }

  replaceChildren(...nodes) {
    for (const node of this.children) if (node instanceof Node) node.parent = null;
    this.children = [];
    this.append(...nodes);
  }

  remove() {
    if (this.parent) this.parent.children = this.parent.children.filter((c) => c !== this);
    this.parent = null;
  }

  setAttribute(name, value) {
    this.attributes[name] = String(value);
    if (name === 'hidden') this.hidden = true;
    if (name === 'value') this.value = String(value);
  }

  getAttribute(name) { return this.attributes[name] ?? null; }
  removeAttribute(name) { delete this.attributes[name]; }
  addEventListener(name, run) { (this.listeners[name] ??= []).push(run); }
  dispatch(name, more = {}) { return (this.listeners[name] ?? []).map((run) => run({ preventDefault: () => {}, target: this, ...more })); }
  contains(node) { return node === this || this.children.some((c) => c instanceof Node && c.contains(node)); }
  closest(selector) { return fits(this, selector) ? this : this.parent?.closest(selector) ?? null; }
  querySelectorAll(selector) { return this.all((node) => fits(node, selector)); }
  querySelector(selector) { return this.querySelectorAll(selector)[0] ?? null; }
  get firstElementChild() { return this.children.find((c) => c instanceof Node) ?? null; }
  get lastChild() { return this.children.at(-1) ?? null; }
  get nextElementSibling() { return this.parent.children.slice(this.parent.children.indexOf(this) + 1).find((c) => c instanceof Node) ?? null; }

  insertBefore(node, before) {
    node.remove();
    const at = before ? this.children.indexOf(before) : this.children.length;
    this.children.splice(at, 0, node);
    node.parent = this;
  }

  /** What a test says where it is; else at the top. */
  getBoundingClientRect() { return this.rect ?? { top: 0, bottom: 0, left: 0, right: 0 }; }
  scrollIntoView() { globalThis.document.scrolledTo = this; }
  click() { this.dispatch('click'); }
  focus() { globalThis.document.activeElement = this; }
  dispatchEvent(event) { this.dispatch(event.type); }

  setRangeText(text, from, to) {
    this.value = this.value.slice(0, from) + text + this.value.slice(to);
    this.setSelectionRange(from + text.length, from + text.length);
  }

  setSelectionRange(from, to) { Object.assign(this, { selectionStart: from, selectionEnd: to }); }

  /** All elements in it that `fits`. @param {(node: Node) => boolean} fits @returns {Node[]} */
  all(fits) { return this.children.filter((c) => c instanceof Node).flatMap((c) => [...(fits(c) ? [c] : []), ...c.all(fits)]); }
  byClass(name) { return this.all((node) => node.classList.contains(name)); }
  button(label) { return this.all((node) => node.tag === 'button' && (node.textContent === label || node.attributes['aria-label'] === label))[0]; }
}

/** Puts the page where scripts look for it. */
export function fakePage() {
  const byId = {};
  const document = {
    createElement: (tag) => new Node(tag), createElementNS: (_, tag) => new Node(tag), visibilityState: 'visible',
    getElementById: (id) => byId[id], querySelectorAll: (selector) => document.body.querySelectorAll(selector.split(' ').at(-1)), activeElement: null,
    hasFocus: () => true, scrolledTo: null,
  };
  class ResizeObserver {
    observe() {}
    disconnect() {}
  }
  const globals = { document, window: new EventTarget(), navigator: {}, requestAnimationFrame: (run) => setImmediate(run), matchMedia: () => ({ matches: false }), ResizeObserver };
  for (const [name, value] of Object.entries(globals)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  document.body = document.createElement('body');
  for (const id of ['polite', 'toasts']) document.body.append(byId[id] = document.createElement('div'));
  return document;
}
