/* Draws a model's Markdown as headings, lists, paragraphs and code. Nothing else: no HTML, no links to follow, no pictures to
   fetch. Every word arrives by textContent. */

import { drawPieces, highlight } from "./highlight.js";

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*(\S*)/;
const HEADING = /^(#{1,6})\s+(.*?)\s*#*$/;
const ITEM = /^\s*(?:([-*+])|\d{1,9}[.)])\s+(.*)$/;
const INLINE = /(`+)([^`]|[^`].*?[^`])\1(?!`)|\*\*([^*]+)\*\*|!?\[([^\]]*)\]\(([^)\s]*)[^)]*\)/g;

/** Replaces the text of an element by its drawing. */
export function drawProse(element) {
  const lines = element.textContent.trim().split(/\r?\n/);
  const drawn = document.createDocumentFragment();
  for (let at = 0; at < lines.length;) at = drawBlock(lines, at, drawn);
  element.replaceChildren(drawn);
  element.classList.add("is-drawn");
}

function drawBlock(lines, at, drawn) {
  const line = lines[at];
  if (!line.trim()) return at + 1;
  const fence = FENCE.exec(line);
  if (fence) return drawCode(lines, at, fence, drawn);
  const heading = HEADING.exec(line);
  if (heading) {
    const made = inline("p", heading[2]);
    made.className = `prose-heading prose-heading-${heading[1].length}`;
    made.setAttribute("role", "heading");
    made.setAttribute("aria-level", String(Math.min(6, heading[1].length + 2)));
    drawn.append(made);
    return at + 1;
  }
  return ITEM.test(line) ? drawList(lines, at, drawn) : drawParagraph(lines, at, drawn);
}

function drawCode(lines, at, fence, drawn) {
  let end = at + 1;
  while (end < lines.length && !lines[end].trim().startsWith(fence[1])) end += 1;
  const text = lines.slice(at + 1, end).join("\n");
  const pre = document.createElement("pre");
  const code = document.createElement("code");
  pre.tabIndex = 0;
  code.textContent = text;
  pre.append(code);
  drawn.append(pre);
  highlight(text, fence[2]).then((pieces) => pieces && drawPieces(code, pieces));
  return end + 1;
}

function drawList(lines, at, drawn) {
  const list = document.createElement(ITEM.exec(lines[at])[1] ? "ul" : "ol");
  let end = at;
  for (; end < lines.length && lines[end].trim(); end += 1) {
    const item = ITEM.exec(lines[end]);
    if (item) list.append(inline("li", item[2]));
    else list.lastChild.append(" ", ...pieces(lines[end].trim()));
  }
  drawn.append(list);
  return end;
}

function drawParagraph(lines, at, drawn) {
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !FENCE.test(lines[end]) && !HEADING.test(lines[end]) && !ITEM.test(lines[end])) end += 1;
  drawn.append(inline("p", lines.slice(at, end).join(" ")));
  return end;
}

function inline(name, text) {
  const element = document.createElement(name);
  element.append(...pieces(text));
  return element;
}

/** Code and strong words as elements; a link or picture as its words with its address in sight behind them. */
function pieces(text) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(INLINE)) {
    nodes.push(text.slice(from, match.index));
    from = match.index + match[0].length;
    if (match[2] !== undefined) nodes.push(holding("code", match[2]));
    else if (match[3] !== undefined) nodes.push(holding("strong", match[3]));
    else nodes.push(match[5] && match[5] !== match[4] ? `${match[4]} (${match[5]})` : match[4]);
  }
  nodes.push(text.slice(from));
  return nodes;
}

function holding(name, text) {
  const element = document.createElement(name);
  element.textContent = text;
  return element;
}
