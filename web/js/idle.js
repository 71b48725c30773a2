// Whether somebody is there: after some minutes without a key, a pointer or a look at the page, nobody is.

/** Milliseconds without input after which one is taken as away. */
export const IDLE_MS = 5 * 60_000;

const INPUTS = ['pointerdown', 'pointermove', 'keydown', 'wheel', 'touchstart', 'focus', 'visibilitychange'];
const CLOCK = { now: () => Date.now(), set: (f, ms) => setTimeout(f, ms), clear: (t) => clearTimeout(t) };

export class Idle {
  idle = false;
  #last = 0;
  #timer = null;

  /** @param {{ changed: () => void, page?: Document, view?: EventTarget, after?: number, clock?: typeof CLOCK }} parts */
  constructor({ changed, page = document, view = window, after = IDLE_MS, clock = CLOCK }) {
    Object.assign(this, { changed, page, view, after, clock });
  }

  start() {
    // Before anybody else gets them, since a handler may keep an event for itself.
    for (const name of INPUTS) this.view.addEventListener(name, this.#input, { capture: true, passive: true });
    this.#last = this.clock.now();
    this.#wait(this.after);
  }

  stop() {
    for (const name of INPUTS) this.view.removeEventListener(name, this.#input, { capture: true });
    this.clock.clear(this.#timer);
    this.#timer = null;
  }

  /** A page that is hidden gets no input, and becoming hidden is none. */
  #input = () => {
    if (this.page.visibilityState !== 'visible') return;
    this.#last = this.clock.now();
    if (this.#timer === null) this.#wait(this.after);
    if (!this.idle) return;
    this.idle = false;
    this.changed();
  };

  #wait(ms) {
    this.#timer = this.clock.set(() => {
      this.#timer = null;
      const left = this.#last + this.after - this.clock.now();
      if (left > 0) return this.#wait(left);
      this.idle = true;
      return this.changed();
    }, ms);
  }
}
