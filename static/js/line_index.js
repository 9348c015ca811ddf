/* Heights of many rows: what is at this height, and how high is everything before that row, both in log n.
   A Fenwick tree over rows counted in lines of text; most rows are one line high, some are wrapped into several. */

export class LineIndex {
  #tree = new Uint32Array(1024);
  #size = 0;

  get size() {
    return this.#size;
  }

  /** Lines of all rows. */
  get total() {
    return this.before(this.#size);
  }

  clear() {
    this.#tree.fill(0);
    this.#size = 0;
  }

  push(lines) {
    this.#size += 1;
    const at = this.#size;
    if (at >= this.#tree.length) {
      const larger = new Uint32Array(this.#tree.length * 2);
      larger.set(this.#tree);
      this.#tree = larger;
    }
    // A new node covers the rows (at - lowbit, at]: its sum is taken from the nodes already there.
    let sum = lines;
    for (let node = at - 1; node > at - (at & -at); node -= node & -node) sum += this.#tree[node];
    this.#tree[at] = sum;
  }

  /** Changes the lines of one row by a difference. */
  add(row, difference) {
    for (let node = row + 1; node <= this.#size; node += node & -node) this.#tree[node] += difference;
  }

  /** Lines of all rows before this one. */
  before(row) {
    let sum = 0;
    for (let node = row; node > 0; node -= node & -node) sum += this.#tree[node];
    return sum;
  }

  /** The row that covers this line (0 is the first), or the last row. */
  rowAt(line) {
    let node = 0;
    let rest = line;
    for (let step = 1 << Math.floor(Math.log2(Math.max(1, this.#size))); step > 0; step >>= 1) {
      const next = node + step;
      if (next <= this.#size && this.#tree[next] <= rest) {
        node = next;
        rest -= this.#tree[next];
      }
    }
    return Math.min(node, Math.max(0, this.#size - 1));
  }
}
