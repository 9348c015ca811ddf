/* The lines of a log in memory, and which of them a filter leaves. Bounded: the oldest go when there are too many. */

const MOST_LINES = 250_000;
const DROPPED_AT_ONCE = 50_000;
const SLICE = 20_000;

export class LineStore {
  #lines = [];
  #shown = null;
  #query = "";
  #scanned = 0;

  /** Lines that were dropped from the front; the first line held has this number plus one. */
  dropped = 0;

  get length() {
    return this.#lines.length;
  }

  /** How many rows there are to draw: all lines, or those that match. */
  get rows() {
    return this.#shown ? this.#shown.length : this.#lines.length;
  }

  get query() {
    return this.#query;
  }

  /** True while a filter has not seen all lines yet. */
  get scanning() {
    return this.#shown !== null && this.#scanned < this.#lines.length;
  }

  /** Adds lines (`{text, stream, at}`); true when old ones had to go, so that heights must be counted anew. */
  append(lines) {
    for (const line of lines) this.#lines.push(line);
    if (this.#lines.length <= MOST_LINES) return false;
    this.#lines.splice(0, DROPPED_AT_ONCE);
    this.dropped += DROPPED_AT_ONCE;
    if (this.#shown) this.filter(this.#query);
    return true;
  }

  filter(query) {
    this.#query = query.toLowerCase();
    this.#shown = this.#query ? [] : null;
    this.#scanned = 0;
  }

  /** Looks through one more slice of lines; call once a frame while `scanning`. */
  scan() {
    const end = Math.min(this.#lines.length, this.#scanned + SLICE);
    for (; this.#scanned < end; this.#scanned += 1) {
      if (this.#lines[this.#scanned].text.toLowerCase().includes(this.#query)) this.#shown.push(this.#scanned);
    }
  }

  row(row) {
    return this.#lines[this.position(row)];
  }

  /** The number of a row's line as people count it. */
  number(row) {
    return this.dropped + this.position(row) + 1;
  }

  position(row) {
    return this.#shown ? this.#shown[row] : row;
  }

  text() {
    const lines = this.#shown ? this.#shown.map((at) => this.#lines[at]) : this.#lines;
    return lines.map((line) => line.text).join("\n");
  }
}
