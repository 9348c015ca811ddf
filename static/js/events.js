/* One resumable reader of a run's events.

   Events of a run are numbered 1..N without gaps. The reader asks for what follows the last one it has seen, over SSE; it
   drops what it has seen, and goes back when something is missing. Where SSE is refused, or while the page is out of sight
   (browsers allow few open connections to one host), it reads the same events as JSON pages. Nothing is lost either way. */

const FIRST_WAIT = 500;
const LONGEST_WAIT = 15_000;
const STEADY_AFTER = 5_000;
const POLL_EVERY = 1_500;
const POLL_HIDDEN_EVERY = 10_000;
const HIDDEN_AFTER = 30_000;
const REFUSALS_BEFORE_POLLING = 3;
const FINAL = new Set(["succeeded", "failed", "cancelled", "interrupted"]);

export const LINK_WORDS = {
  connecting: "Connecting",
  live: "Live",
  reconnecting: "Reconnecting",
  ended: "Ended",
  refused: "Not available",
};

export class RunEvents {
  #url;
  #last;
  #source = null;
  #timer = null;
  #hiddenTimer = null;
  #failures = 0;
  #neverOpened = 0;
  #polling = false;
  #stopped = false;
  #reader = null;
  #watchers = [];

  /**
   * @param {string} url a run's /events
   * @param {{after?: number}} options `after`: the last event already known
   */
  constructor(url, { after = 0 } = {}) {
    this.#url = url;
    this.#last = after;
    this.link = "connecting";
  }

  get lastSeq() {
    return this.#last;
  }

  /**
   * Adds a watcher: `onEvents(events)` for each frame in order, `onState(link, detail)` for the connection, `onEnd(state)` once.
   * Several watchers share one connection; call `start()` after the last one is added.
   */
  watch(watcher) {
    this.#watchers.push(watcher);
    return this;
  }

  start() {
    document.addEventListener("visibilitychange", this.#onVisibility);
    window.addEventListener("online", this.#onOnline);
    window.addEventListener("pagehide", this.#onLeave);
    window.addEventListener("pageshow", this.#onReturn);
    this.#connect();
    return this;
  }

  stop() {
    this.#stopped = true;
    this.#disconnect();
    clearTimeout(this.#hiddenTimer);
    document.removeEventListener("visibilitychange", this.#onVisibility);
    window.removeEventListener("online", this.#onOnline);
    window.removeEventListener("pagehide", this.#onLeave);
    window.removeEventListener("pageshow", this.#onReturn);
  }

  #address() {
    return `${this.#url}?after=${this.#last}`;
  }

  #connect() {
    if (this.#stopped) return;
    this.#disconnect();
    if (this.#polling || typeof EventSource === "undefined") {
      this.#poll();
      return;
    }
    const source = new EventSource(this.#address());
    let opened = 0;
    this.#source = source;
    source.addEventListener("open", () => {
      opened = performance.now();
      this.#neverOpened = 0;
      this.#setLink("live");
    });
    source.addEventListener("events", (message) => this.#receive(message.data));
    source.addEventListener("end", (message) => this.#end(parse(message.data)?.state));
    source.addEventListener("error", () => {
      // The browser's own retry would ask again for events of long ago: this reader knows better where it is.
      if (this.#source !== source) return;
      if (!opened) this.#neverOpened += 1;
      else if (performance.now() - opened > STEADY_AFTER) this.#failures = 0;
      this.#disconnect();
      if (this.#neverOpened > 0) this.#askWhy();
      else this.#retry();
    });
  }

  #disconnect() {
    this.#source?.close();
    this.#source = null;
    this.#reader?.abort();
    this.#reader = null;
    clearTimeout(this.#timer);
  }

  #retry() {
    if (this.#stopped) return;
    this.#setLink("reconnecting");
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#failures);
    this.#failures += 1;
    this.#timer = setTimeout(() => this.#connect(), wait * (0.7 + Math.random() * 0.6));
  }

  /** EventSource hides why it was refused; the JSON page says it, and is the way on if only streaming is in the way. */
  async #askWhy() {
    this.#setLink("reconnecting");
    if (this.#neverOpened >= REFUSALS_BEFORE_POLLING) this.#polling = true;
    await this.#poll({ once: !this.#polling });
  }

  async #poll({ once = false } = {}) {
    const reader = new AbortController();
    this.#reader = reader;
    try {
      const answer = await fetch(this.#address(), {
        headers: { Accept: "application/json" }, credentials: "same-origin", signal: reader.signal,
      });
      if ([401, 403, 404].includes(answer.status)) {
        this.#refuse(answer.status);
        return;
      }
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const body = await answer.json();
      const before = this.#last;
      this.#accept(body.events ?? []);
      if (FINAL.has(body.state) && this.#last >= (body.last_seq ?? 0)) {
        this.#end(body.state);
        return;
      }
      if (once) {
        this.#retry();
        return;
      }
      this.#failures = 0;
      this.#setLink("live");
      const rest = this.#last > before ? 0 : document.hidden ? POLL_HIDDEN_EVERY : POLL_EVERY;
      this.#timer = setTimeout(() => this.#connect(), rest);
    } catch (error) {
      if (error.name !== "AbortError") this.#retry();
    }
  }

  #receive(data) {
    this.#failures = 0;
    const events = parse(data);
    if (Array.isArray(events) && !this.#accept(events)) this.#retry();
  }

  /** Takes what is new, in order. False when something before it is missing: the caller asks again from the last one. */
  #accept(events) {
    const fresh = [];
    let next = this.#last + 1;
    let whole = true;
    for (const event of events) {
      if (event.seq < next) continue;
      if (event.seq > next) {
        whole = false;
        break;
      }
      fresh.push(event);
      next += 1;
    }
    if (fresh.length > 0) {
      this.#last = next - 1;
      for (const watcher of this.#watchers) watcher.onEvents?.(fresh);
    }
    return whole;
  }

  #end(state) {
    this.stop();
    this.#setLink("ended", state);
    for (const watcher of this.#watchers) watcher.onEnd?.(state);
  }

  #refuse(status) {
    this.stop();
    this.#setLink("refused", status === 404 ? "It is not there any more." : "Your session has ended: sign in again.");
  }

  #setLink(link, detail) {
    if (this.link === link && detail === undefined) return;
    this.link = link;
    for (const watcher of this.#watchers) watcher.onState?.(link, detail);
  }

  #onVisibility = () => {
    clearTimeout(this.#hiddenTimer);
    if (document.hidden) {
      this.#hiddenTimer = setTimeout(() => this.#setPolling(true), HIDDEN_AFTER);
    } else {
      this.#setPolling(this.#neverOpened >= REFUSALS_BEFORE_POLLING);
    }
  };

  #setPolling(polling) {
    if (this.#polling === polling || this.#stopped) return;
    this.#polling = polling;
    this.#connect();
  }

  #onOnline = () => {
    if (this.link !== "reconnecting") return;
    this.#failures = 0;
    this.#connect();
  };

  #onLeave = () => this.#disconnect();

  #onReturn = (event) => {
    if (event.persisted) this.#connect();
  };
}

function parse(data) {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}
