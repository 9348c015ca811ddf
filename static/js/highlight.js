/* Asks the worker for the kinds of the pieces of a text, and draws them. A text that takes too long stays plain. */

const PATIENCE = 3_000;
const LONGEST = 200_000;
const KIND = /^[a-z_-]{1,30}$/;
const SAME_AS = { html: "xml", svg: "xml", shell: "bash", sh: "bash", js: "javascript", ts: "typescript", py: "python",
  md: "markdown", yml: "yaml", toml: "ini", "c++": "cpp", "c#": "csharp", procfile: "yaml" };

let worker = null;
let latest = 0;
const waiting = new Map();

function startWorker() {
  worker = new Worker(new URL("./highlight_worker.js", import.meta.url), { type: "module" });
  worker.addEventListener("message", ({ data }) => settle(data.id, data.pieces));
  worker.addEventListener("error", restart);
}

function settle(id, pieces) {
  const asked = waiting.get(id);
  if (!asked) return;
  clearTimeout(asked.timer);
  waiting.delete(id);
  asked.resolve(pieces);
}

/** A worker that is stuck is ended, and everybody who waits for it gets their text plain. */
function restart() {
  worker?.terminate();
  worker = null;
  for (const id of [...waiting.keys()]) settle(id, null);
}

/** Pieces `[text, kind]` of a text, or null where it has to stay plain. */
export function highlight(text, language) {
  const name = String(language ?? "").toLowerCase();
  if (!name || text.length > LONGEST) return Promise.resolve(null);
  if (!worker) startWorker();
  latest += 1;
  const id = latest;
  return new Promise((resolve) => {
    waiting.set(id, { resolve, timer: setTimeout(restart, PATIENCE) });
    worker.postMessage({ id, text, language: SAME_AS[name] ?? name });
  });
}

/** Puts a text into an element as pieces of known kinds, by textContent only. */
export function drawPieces(element, pieces) {
  const drawn = document.createDocumentFragment();
  for (const [text, kind] of pieces) {
    if (!kind || !KIND.test(kind)) {
      drawn.append(text);
      continue;
    }
    const span = document.createElement("span");
    span.className = `tok-${kind}`;
    span.textContent = text;
    drawn.append(span);
  }
  element.replaceChildren(drawn);
}
