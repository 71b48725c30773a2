// A page without a browser, for what elements say and do: no layout, no styles, no real focus.

class Node {
  parent = null;
  children = [];

  constructor(tag) {
    Object.assign(this, { tag, dataset: {}, attributes: {}, listeners: {}, style: {}, className: '', value: '', hidden: false, tabIndex: -1 });
    this.classList = {
      add: (...names) => { this.className = [this.className, ...names].join(' ').trim(); },
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
      if (node instanceof Node) node.parent = this;
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
  focus() { globalThis.document.activeElement = this; }
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
    getElementById: (id) => byId[id], querySelectorAll: () => [], activeElement: null,
  };
  const globals = { document, window: new EventTarget(), navigator: {}, requestAnimationFrame: (run) => setImmediate(run), matchMedia: () => ({ matches: false }) };
  for (const [name, value] of Object.entries(globals)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  document.body = document.createElement('body');
  for (const id of ['polite', 'toasts']) document.body.append(byId[id] = document.createElement('div'));
  return document;
}
