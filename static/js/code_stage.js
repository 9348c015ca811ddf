/* The files of a generation as tabs with their code. It takes over what the server drew, and adds files as they are written.
   Code is text from a model: it reaches the page through textContent only. */

import { announce, copyText } from "./components.js";
import { drawPieces, highlight } from "./highlight.js";

const HIGHLIGHT_EVERY = 250;

export class CodeStage {
  #root;
  #list;
  #body;
  #files = new Map();
  #selected = null;
  #chosen = false;
  #frame = 0;

  /** @param {HTMLElement} root a [data-stage] of aigen/_files.html */
  constructor(root) {
    this.#root = root;
    this.#list = root.querySelector("[data-stage-list]");
    this.#body = root.querySelector("[data-stage-body]");
    this.#list.addEventListener("click", (event) => this.#clicked(event));
    this.#list.addEventListener("keydown", (event) => this.#keyed(event));
    root.querySelector("[data-stage-copy]").addEventListener("click", () => this.#copy());
    this.#adopt();
  }

  get selected() {
    return this.#selected;
  }

  /** Whether the reader picked the file that is shown; then nothing else may take its place. */
  get chosen() {
    return this.#chosen;
  }

  has(path) {
    return this.#files.has(path);
  }

  /** A file begins: an empty one of this name, in the place of an earlier one. */
  open(path, language) {
    const file = this.#files.get(path) ?? this.#make(path);
    file.language = language;
    file.text = "";
    file.drawn = 0;
    file.code.replaceChildren();
    file.tab.dataset.writing = "";
    this.#root.querySelector("[data-stage-empty]").hidden = true;
    if (!this.#chosen) this.select(path);
  }

  append(path, text) {
    const file = this.#files.get(path);
    if (!file) return;
    file.text += text;
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  close(path) {
    const file = this.#files.get(path);
    if (!file) return;
    delete file.tab.dataset.writing;
    file.text = file.text.replace(/\n+$/, "\n");
    this.#draw();
    this.#colour(file);
  }

  clear() {
    if (this.#files.size === 0) return;
    for (const file of this.#files.values()) {
      file.tab.remove();
      file.panel.remove();
    }
    this.#files.clear();
    this.#selected = null;
    this.#chosen = false;
    this.#root.querySelector("[data-stage-empty]").hidden = false;
    this.#describe();
  }

  /** Shows a file as if the reader had picked it, and a line of it where one is named. */
  show(path, line = 0) {
    if (!this.#files.has(path)) return;
    this.#chosen = true;
    this.select(path);
    const file = this.#files.get(path);
    const height = parseFloat(getComputedStyle(file.pre).lineHeight);
    if (line > 0) file.panel.scrollTop = Math.max(0, (line - 4) * height);
    file.tab.scrollIntoView({ block: "nearest", inline: "nearest" });
    file.panel.focus({ preventScroll: true });
  }

  #adopt() {
    for (const tab of this.#list.querySelectorAll("[data-path]")) {
      const panel = this.#body.querySelector(`#${CSS.escape(tab.getAttribute("aria-controls"))}`);
      const code = panel.querySelector("code");
      const file = { tab, panel, pre: code.parentElement, code, language: panel.dataset.language, text: code.textContent };
      this.#keep(tab.dataset.path, file);
      file.drawn = file.text.length;
      this.#number(file);
    }
    const first = this.#files.keys().next();
    if (!first.done) this.select(first.value);
  }

  #make(path) {
    const id = `live-${this.#files.size + 1}`;
    const tab = element("button", "stage-tab", { type: "button", role: "tab", id: `tab-${id}`, "aria-controls": id, title: path });
    const cut = path.lastIndexOf("/") + 1;
    const [folder, name] = [element("span", "stage-folder"), element("span", "stage-name")];
    folder.textContent = path.slice(0, cut);
    name.textContent = path.slice(cut);
    tab.append(folder, name);
    tab.dataset.path = path;
    const panel = element("div", "stage-file", { role: "tabpanel", id, "aria-labelledby": tab.id, tabindex: "0" });
    const pre = element("pre", "code");
    const code = document.createElement("code");
    pre.append(code);
    panel.append(pre);
    panel.hidden = true;
    this.#list.append(tab);
    this.#body.append(panel);
    const file = { tab, panel, pre, code, language: "", text: "", drawn: 0 };
    this.#keep(path, file);
    return file;
  }

  #keep(path, file) {
    file.numbers = element("span", "code-numbers", { "aria-hidden": "true" });
    file.pre.prepend(file.numbers);
    file.pre.classList.add("has-numbers");
    file.lines = 0;
    file.coloured = 0;
    file.tab.tabIndex = -1;
    this.#files.set(path, file);
  }

  select(path) {
    if (this.#selected === path) return;
    this.#selected = path;
    for (const [name, file] of this.#files) {
      const here = name === path;
      file.tab.setAttribute("aria-selected", String(here));
      file.tab.tabIndex = here ? 0 : -1;
      file.panel.hidden = !here;
    }
    const file = this.#files.get(path);
    if (!("writing" in file.tab.dataset)) this.#colour(file);
    this.#describe();
  }

  /** Once a frame: what came is added as plain text, its colours follow now and then. */
  #draw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    for (const [path, file] of this.#files) {
      if (file.drawn >= file.text.length) continue;
      const panel = file.panel;
      const atEnd = panel.scrollTop + panel.clientHeight >= panel.scrollHeight - 60;
      file.code.append(file.text.slice(file.drawn));
      file.drawn = file.text.length;
      this.#number(file);
      if (path !== this.#selected) continue;
      if (atEnd) panel.scrollTop = panel.scrollHeight;
      if (performance.now() - file.coloured > HIGHLIGHT_EVERY) this.#colour(file);
    }
    this.#describe();
  }

  /** Colours what is there now; text that comes meanwhile stays plain behind it until the next time. */
  async #colour(file) {
    const { text, language } = file;
    if (file.colouredText === text || file.busy) return;
    file.busy = true;
    file.coloured = performance.now();
    const pieces = await highlight(text, language);
    file.busy = false;
    if (!file.text.startsWith(text)) return;
    if (pieces) {
      drawPieces(file.code, pieces);
      file.code.append(file.text.slice(text.length));
      file.drawn = file.text.length;
    }
    file.colouredText = text;
    if (!("writing" in file.tab.dataset) && file.text !== text) this.#colour(file);
  }

  #number(file) {
    const lines = countLines(file.text);
    if (lines === file.lines) return;
    file.lines = lines;
    file.numbers.textContent = Array.from({ length: lines }, (_, at) => at + 1).join("\n");
  }

  #describe() {
    const file = this.#files.get(this.#selected);
    this.#root.querySelector("[data-stage-path]").textContent = this.#selected ?? "";
    this.#root.querySelector("[data-stage-size]").textContent = file ? `${file.lines} ${file.lines === 1 ? "line" : "lines"}` : "";
  }

  #clicked(event) {
    const tab = event.target.closest("[data-path]");
    if (!tab) return;
    this.#chosen = true;
    this.select(tab.dataset.path);
  }

  #keyed(event) {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    const paths = [...this.#files.keys()];
    let at = paths.indexOf(this.#selected);
    if (step) at = (at + step + paths.length) % paths.length;
    else if (event.key === "Home") at = 0;
    else if (event.key === "End") at = paths.length - 1;
    else return;
    event.preventDefault();
    this.#chosen = true;
    this.select(paths[at]);
    this.#files.get(paths[at]).tab.focus();
  }

  #copy() {
    const file = this.#files.get(this.#selected);
    if (file) copyText(file.text).then(() => announce("File copied."), () => announce("Copying was not allowed."));
  }
}

function element(name, className, attributes = {}) {
  const made = document.createElement(name);
  made.className = className;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function countLines(text) {
  if (!text) return 0;
  let lines = text.endsWith("\n") ? 0 : 1;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) lines += 1;
  return lines;
}
