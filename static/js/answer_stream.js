/* Reads a model's answer while it is written: one fenced block a file, "```python path=server.py". Only for showing what
   comes; what counts is parsed by the server when the answer is whole. */

const OPENING = /^ {0,3}(`{3,}|~{3,})[ \t]*([^`\n]*)$/;
const PATH = /(?:^|\s)(?:path|file|filename|title)=(?:"([^"]*)"|'([^']*)'|(\S+))/;
const MAYBE_FENCE = /^ {0,3}(?:`|~|$)/;

export class AnswerStream {
  #watcher;
  #line = "";
  #held = true;
  #fence = null;
  #inner = 0;
  #file = null;
  #unnamed = 0;

  /** @param {{onOpen: Function, onText: Function, onClose: Function}} watcher called with (path, language), (path, text), (path) */
  constructor(watcher) {
    this.#watcher = watcher;
  }

  get writing() {
    return this.#file;
  }

  write(text) {
    let from = 0;
    while (from < text.length) {
      const newline = text.indexOf("\n", from);
      const end = newline < 0 ? text.length : newline + 1;
      this.#take(text.slice(from, end), newline >= 0);
      from = end;
    }
  }

  /** The answer ends here, whole or not. */
  end() {
    if (this.#line) this.#finishLine();
    if (this.#file) this.#close();
  }

  /** Inside a file, text is passed on at once unless its line may still turn out to be a fence. */
  #take(part, whole) {
    this.#line += part;
    if (this.#file && !this.#held) this.#watcher.onText(this.#file, part);
    else if (this.#file && !whole && !MAYBE_FENCE.test(this.#line)) {
      this.#held = false;
      this.#watcher.onText(this.#file, this.#line);
    }
    if (whole) this.#finishLine();
  }

  #finishLine() {
    const line = this.#line;
    const shown = !this.#held;
    this.#line = "";
    this.#held = true;
    const fence = OPENING.exec(line.replace(/\r?\n$/, ""));
    if (!this.#file) {
      if (fence) this.#open(fence[1], fence[2].trim());
      return;
    }
    if (fence && this.#closes(fence)) this.#close();
    else if (!shown) this.#watcher.onText(this.#file, line);
  }

  /** A fence inside a README opens and closes blocks of its own before it closes the file. */
  #closes(fence) {
    const same = fence[1][0] === this.#fence[0] && fence[1].length >= this.#fence.length;
    if (!same) return false;
    if (fence[2].trim()) {
      this.#inner += 1;
      return false;
    }
    if (this.#inner === 0) return true;
    this.#inner -= 1;
    return false;
  }

  #open(fence, info) {
    const named = PATH.exec(info);
    this.#fence = fence;
    this.#inner = 0;
    if (!named) this.#unnamed += 1;
    this.#file = named ? (named[1] ?? named[2] ?? named[3]) : `answer ${this.#unnamed}`;
    this.#watcher.onOpen(this.#file, info.split(/[\s:{]/, 1)[0].toLowerCase());
  }

  #close() {
    const file = this.#file;
    this.#file = null;
    this.#fence = null;
    this.#watcher.onClose(file);
  }
}
