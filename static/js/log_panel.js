/* The bar around a log: connection, filter, follow, wrap, copy, and what screen readers hear of it.
   Markup: templates/components/log.html. */

import { announce, copyText } from "./components.js";
import { LINK_WORDS, RunEvents } from "./events.js";
import { LogView } from "./log_view.js";

const FAILED = new Set(["failed", "interrupted"]);
const ANNOUNCE_EVERY = 8_000;

/** Turns events into lines: tokens are joined until their line is whole, states stand out. */
export class EventLines {
  #tokens;
  #rest = "";

  /** @param {{tokens?: boolean}} options whether the model's own text belongs to this log */
  constructor({ tokens = true } = {}) {
    this.#tokens = tokens;
  }

  lines(events) {
    return events.flatMap((event) => this.#linesOf(event));
  }

  #linesOf(event) {
    const { kind, at } = event;
    const text = event.text ?? "";
    if (kind === "token") return this.#tokens ? this.#join(text, at) : [];
    if (kind === "progress") return [];
    const before = this.#flush(at);
    if (kind === "state") return [...before, { text: stateWords(event), stream: FAILED.has(text) ? "failed" : "state", at }];
    if (kind === "artifact") return [...before, { text: text || String(event.data?.name ?? "artifact"), stream: "artifact", at }];
    const stream = streamOf(event.stream);
    return [...before, ...text.split("\n").map((line) => ({ text: line, stream, at }))];
  }

  #join(text, at) {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop();
    return lines.map((line) => ({ text: line, stream: "model", at }));
  }

  #flush(at) {
    if (!this.#rest) return [];
    const line = { text: this.#rest, stream: "model", at };
    this.#rest = "";
    return [line];
  }
}

/** "test.stderr" is drawn as stderr; a stream nobody knows as stdout. */
function streamOf(name = "") {
  if (name.endsWith("stderr")) return "stderr";
  return name === "build" ? "build" : "stdout";
}

/** A state with what it says of itself: "verdict: 9 tests passed." */
function stateWords({ text, data }) {
  const words = String(text ?? "").replaceAll("_", " ");
  const more = data?.summary || data?.reason || data?.url || "";
  return more ? `${words}: ${more}` : words;
}

/**
 * Wires one [data-log] to its run's events.
 * @param {HTMLElement} root
 * @param {{events?: RunEvents, tokens?: boolean}} options `events`: a reader the page shares, which the page then starts
 */
export function bindLog(root, { events = null, tokens = true } = {}) {
  const part = (name) => root.querySelector(`[data-log-${name}]`);
  const source = new EventLines({ tokens });
  const talk = announcer(root.querySelector("[data-log-announcer]"));
  const view = new LogView(part("view"), (state) => drawState(root, state));
  const reader = events ?? new RunEvents(root.dataset.eventsUrl);
  reader.watch({
    onEvents(fresh) {
      const lines = source.lines(fresh);
      if (lines.length === 0) return;
      view.append(lines);
      talk(lines);
    },
    onState: (link, detail) => drawLink(root, link, detail),
    onEnd: () => drawEmpty(root, "Nothing was written."),
  });
  wireTools(part, view);
  if (!events) reader.start();
  return view;
}

function wireTools(part, view) {
  let waiting = 0;
  part("search").addEventListener("input", (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => view.filter(event.target.value.trim()), 90);
  });
  part("follow").addEventListener("click", (event) => view.follow(event.currentTarget.getAttribute("aria-pressed") !== "true"));
  part("jump").addEventListener("click", () => view.follow(true));
  part("wrap").addEventListener("click", (event) => {
    const wrapped = event.currentTarget.getAttribute("aria-pressed") !== "true";
    event.currentTarget.setAttribute("aria-pressed", String(wrapped));
    view.wrap(wrapped);
  });
  part("copy").addEventListener("click", () => {
    copyText(view.text()).then(() => announce("Lines copied."), () => announce("Copying was not allowed."));
  });
  part("view").addEventListener("keydown", (event) => {
    if (event.key !== "/") return;
    event.preventDefault();
    part("search").focus();
  });
}

function drawState(root, { lines, rows, following, missed, scanning }) {
  const filtered = root.querySelector("[data-log-search]").value.trim() !== "";
  const all = lines.toLocaleString();
  const words = lines === 1 ? "1 line" : `${all} lines`;
  setText(root.querySelector("[data-log-count]"), filtered ? `${rows.toLocaleString()} of ${words}` : lines ? words : "");
  root.querySelector("[data-log-follow]").setAttribute("aria-pressed", String(following));
  root.querySelector("[data-log-jump]").hidden = following || missed === 0;
  setText(root.querySelector("[data-log-jump-words]"), missed === 1 ? "1 new line" : `${missed.toLocaleString()} new lines`);
  const empty = root.querySelector("[data-log-empty]");
  empty.hidden = rows > 0 || scanning;
  if (lines > 0 && rows === 0) setText(empty, "No line matches.");
}

function drawLink(root, link, detail) {
  const state = root.querySelector("[data-link-state]");
  state.dataset.linkState = link;
  setText(root.querySelector("[data-link-words]"), LINK_WORDS[link] ?? link);
  if (link === "refused") drawEmpty(root, detail);
}

function drawEmpty(root, words) {
  setText(root.querySelector("[data-log-empty]"), words);
}

function setText(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

/** Says now and then how many lines came and what the newest is: every line would be noise. */
function announcer(place) {
  let count = 0;
  let newest = "";
  let waiting = null;
  return (lines) => {
    count += lines.length;
    newest = lines.at(-1).text;
    waiting ??= setTimeout(() => {
      place.textContent = `${count} new lines. The newest: ${newest.slice(0, 160)}`;
      count = 0;
      waiting = null;
    }, ANNOUNCE_EVERY);
  };
}
