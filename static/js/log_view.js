/* A log that stays quick with 100,000 lines: only the rows in sight exist, they are drawn at most once a frame, and all text
   arrives by textContent. Heights are known before drawing (monospaced), so that nothing jumps. */

import { LineIndex } from "./line_index.js";
import { LineStore } from "./line_store.js";

const OVERSCAN = 12;
const LONGEST_SHOWN = 20_000;
const FOLLOW_SLACK = 24;
const GUTTERS = 160;

export class LogView {
  #view;
  #space;
  #rows;
  #store = new LineStore();
  #index = new LineIndex();
  #heights = [];
  #pool = [];
  #line = 20;
  #char = 7.5;
  #columns = 80;
  #longest = 0;
  #wrapped = false;
  #following = true;
  #missed = 0;
  #top = 0;
  #frame = 0;
  #onChange;

  /**
   * @param {HTMLElement} view the scrolling box with [data-log-space] and [data-log-rows] in it
   * @param {(state: {lines: number, rows: number, following: boolean, missed: number, scanning: boolean}) => void} onChange
   */
  constructor(view, onChange) {
    this.#view = view;
    this.#space = view.querySelector("[data-log-space]");
    this.#rows = view.querySelector("[data-log-rows]");
    this.#onChange = onChange;
    this.#measure();
    view.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#resized()).observe(view);
  }

  append(lines) {
    const before = this.#store.rows;
    const dropped = this.#store.append(lines);
    for (const line of lines) this.#longest = Math.max(this.#longest, Math.min(line.text.length, LONGEST_SHOWN));
    if (dropped) this.#recount();
    if (!this.#following) this.#missed += Math.max(0, this.#store.rows - before);
    this.#ask();
  }

  filter(query) {
    this.#store.filter(query);
    this.#recount();
    this.#view.scrollTop = 0;
    this.#ask();
  }

  wrap(wrapped) {
    const row = this.#rowAt(this.#view.scrollTop);
    this.#wrapped = wrapped;
    this.#space.style.width = "";
    this.#view.classList.toggle("is-wrapped", wrapped);
    this.#view.scrollLeft = 0;
    this.#resized();
    if (!this.#following) this.#view.scrollTop = this.#topOf(row);
  }

  follow(following) {
    this.#following = following;
    if (following) this.#missed = 0;
    this.#ask();
  }

  text() {
    return this.#store.text();
  }

  #measure() {
    const probe = document.createElement("span");
    probe.textContent = "0".repeat(100);
    probe.className = "log-text";
    this.#rows.append(probe);
    this.#char = probe.getBoundingClientRect().width / 100 || this.#char;
    probe.remove();
    this.#line = parseFloat(getComputedStyle(this.#view).lineHeight) || this.#line;
  }

  #resized() {
    const width = (this.#wrapped && this.#pool[0]?.parts.text.clientWidth) || this.#view.clientWidth - GUTTERS;
    const columns = Math.max(10, Math.floor(width / this.#char));
    if (this.#wrapped && columns !== this.#columns) this.#recount();
    this.#columns = columns;
    this.#ask();
  }

  /* Heights: one line a row, or in wrapped mode as many as its text needs. */
  #recount() {
    this.#index.clear();
    this.#heights.length = 0;
  }

  #count() {
    for (let row = this.#index.size; row < this.#store.rows; row += 1) {
      const lines = this.#linesOf(this.#store.row(row).text);
      this.#heights.push(lines);
      this.#index.push(lines);
    }
  }

  #linesOf(text) {
    return Math.max(1, Math.ceil(Math.min(text.length, LONGEST_SHOWN) / this.#columns));
  }

  #topOf(row) {
    return (this.#wrapped ? this.#index.before(row) : row) * this.#line;
  }

  #rowAt(top) {
    const line = Math.max(0, Math.floor(top / this.#line));
    return this.#wrapped ? this.#index.rowAt(line) : Math.min(line, Math.max(0, this.#store.rows - 1));
  }

  #height() {
    return (this.#wrapped ? this.#index.total : this.#store.rows) * this.#line;
  }

  #ask() {
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    if (this.#store.scanning) this.#store.scan();
    if (this.#wrapped) this.#count();
    this.#space.style.height = `${this.#height()}px`;
    this.#space.style.width = this.#wrapped ? "" : `${this.#longest + 26}ch`;
    if (this.#following) this.#view.scrollTop = this.#height();
    this.#top = this.#view.scrollTop;
    const first = Math.max(0, this.#rowAt(this.#top) - OVERSCAN);
    const last = Math.min(this.#store.rows, this.#rowAt(this.#top + this.#view.clientHeight) + OVERSCAN + 1);
    this.#fill(first, last);
    if (this.#wrapped) this.#correct(first, last);
    if (this.#store.scanning) this.#ask();
    this.#onChange({
      lines: this.#store.length, rows: this.#store.rows, following: this.#following,
      missed: this.#missed, scanning: this.#store.scanning,
    });
  }

  #fill(first, last) {
    this.#rows.style.transform = `translateY(${this.#topOf(first)}px)`;
    while (this.#pool.length < last - first) {
      const made = makeRow();
      this.#pool.push(made);
      this.#rows.append(made.row);
    }
    this.#pool.forEach((made, at) => {
      const row = first + at;
      made.row.hidden = row >= last;
      if (row < last) drawRow(made, this.#store.row(row), this.#store.number(row), this.#store.query);
    });
  }

  /** Wide characters and tabs take other heights than counted: what was drawn is measured, and the count put right. */
  #correct(first, last) {
    let shift = 0;
    let wrong = false;
    const top = this.#rowAt(this.#top);
    const measured = this.#pool.slice(0, last - first).map((made) => Math.round(made.row.offsetHeight / this.#line));
    measured.forEach((lines, at) => {
      const row = first + at;
      const difference = Math.max(1, lines) - this.#heights[row];
      if (difference === 0) return;
      wrong = true;
      this.#heights[row] += difference;
      this.#index.add(row, difference);
      if (row < top) shift += difference;
    });
    if (!wrong) return;
    this.#space.style.height = `${this.#height()}px`;
    if (shift && !this.#following) this.#view.scrollTop = this.#top + shift * this.#line;
    this.#ask();
  }

  #scrolled() {
    const { scrollTop, clientHeight } = this.#view;
    if (scrollTop === this.#top) return;
    const atEnd = scrollTop + clientHeight >= this.#height() - FOLLOW_SLACK;
    if (scrollTop < this.#top && !atEnd) this.#following = false;
    else if (atEnd && !this.#following) this.follow(true);
    this.#top = scrollTop;
    this.#ask();
  }
}

function makeRow() {
  const row = document.createElement("div");
  const parts = {};
  for (const name of ["number", "time", "text"]) {
    parts[name] = document.createElement("span");
    parts[name].className = `log-${name}`;
    row.append(parts[name]);
  }
  parts.number.setAttribute("aria-hidden", "true");
  return { row, parts, drawn: null, query: null };
}

function drawRow(made, line, number, query) {
  if (made.drawn === line && made.query === query && made.number === number) return;
  made.drawn = line;
  made.query = query;
  made.number = number;
  made.row.className = `log-row log-row-${line.stream}`;
  made.parts.number.textContent = number;
  const at = line.at ? new Date(line.at) : null;
  made.parts.time.textContent = at ? clock(at) : "";
  made.parts.time.title = line.at ?? "";
  const text = line.text.length > LONGEST_SHOWN ? `${line.text.slice(0, LONGEST_SHOWN)} …` : line.text;
  if (query) made.parts.text.replaceChildren(...marked(text, query));
  else made.parts.text.textContent = text;
}

function clock(at) {
  const two = (value) => String(value).padStart(2, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** The text as nodes with every match in a <mark>. */
function marked(text, query) {
  const nodes = [];
  const lower = text.toLowerCase();
  let from = 0;
  for (let at = lower.indexOf(query); at >= 0 && nodes.length < 200; at = lower.indexOf(query, from)) {
    const mark = document.createElement("mark");
    mark.textContent = text.slice(at, at + query.length);
    nodes.push(text.slice(from, at), mark);
    from = at + query.length;
  }
  nodes.push(text.slice(from));
  return nodes;
}
