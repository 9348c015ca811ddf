/* Parts of a page that the server draws again. A partial holds elements with data-region; each takes the place of the one of
   the same name, unless nothing in it changed. What the reader has opened, scrolled or focused stays as it was. */

import { drawMoments } from "./components.js";

const last = new Map();

/** Remembers the page as it came, so that the first refresh changes only what differs. */
function known(name, element) {
  return last.get(name) ?? bare(element);
}

/** Markup without what changes by itself: the words of moments and the token of forms. */
function bare(element) {
  const copy = element.cloneNode(true);
  copy.querySelectorAll("time").forEach((time) => time.replaceChildren());
  copy.querySelectorAll("time, input[name=csrfmiddlewaretoken]").forEach((each) => {
    each.removeAttribute("title");
    each.removeAttribute("value");
  });
  return copy.outerHTML;
}

export class Regions {
  #url;
  #onDrawn;
  #busy = false;
  #again = false;
  #timer = null;

  /**
   * @param {string} url a partial of our own server
   * @param {(name: string, element: HTMLElement) => void} onDrawn after a region was replaced
   * @param {(name: string) => boolean} [mayDraw] whether a region may be replaced now
   */
  constructor(url, onDrawn, mayDraw = () => true) {
    this.#url = url;
    this.#onDrawn = onDrawn;
    this.mayDraw = mayDraw;
    for (const element of document.querySelectorAll("[data-region]")) last.set(element.dataset.region, bare(element));
  }

  /** Asks for the partial soon; many calls at once are one request. */
  refresh(wait = 120) {
    if (this.#busy) {
      this.#again = true;
      return;
    }
    this.#timer ??= setTimeout(() => this.#load(), wait);
  }

  async #load() {
    this.#timer = null;
    this.#busy = true;
    try {
      const answer = await fetch(this.#url, { credentials: "same-origin", headers: { Accept: "text/html" } });
      if (answer.ok && !answer.redirected) this.#draw(await answer.text());
    } catch {
      /* The next event asks again; what is shown stays. */
    } finally {
      this.#busy = false;
      if (this.#again) {
        this.#again = false;
        this.refresh();
      }
    }
  }

  #draw(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    for (const element of fresh.querySelectorAll("[data-region]")) {
      const name = element.dataset.region;
      const old = document.querySelector(`[data-region="${CSS.escape(name)}"]`);
      const markup = bare(element);
      if (!old || !this.mayDraw(name, element) || markup === known(name, old)) continue;
      last.set(name, markup);
      replace(old, document.importNode(element, true));
      this.#onDrawn(name, document.querySelector(`[data-region="${CSS.escape(name)}"]`));
    }
  }
}

function replace(old, fresh) {
  for (const details of fresh.querySelectorAll("details[id]")) {
    const before = old.querySelector(`#${CSS.escape(details.id)}`);
    if (before) details.open = before.open;
  }
  for (const input of fresh.querySelectorAll("input[id]:not([type=hidden])")) {
    const before = old.querySelector(`#${CSS.escape(input.id)}`);
    if (before && before.value !== before.defaultValue) input.value = before.value;
  }
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  old.replaceWith(fresh);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  drawMoments(fresh);
}
