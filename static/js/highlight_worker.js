/* Runs highlight.js away from the page: what a model wrote may be made to keep a highlighter busy for minutes.
   It answers with pieces of text and the kind of each, never with HTML. */

import hljs from "../vendor/highlightjs/core.min.js";
import bash from "../vendor/highlightjs/languages/bash.min.js";
import c from "../vendor/highlightjs/languages/c.min.js";
import cpp from "../vendor/highlightjs/languages/cpp.min.js";
import csharp from "../vendor/highlightjs/languages/csharp.min.js";
import css from "../vendor/highlightjs/languages/css.min.js";
import diff from "../vendor/highlightjs/languages/diff.min.js";
import dockerfile from "../vendor/highlightjs/languages/dockerfile.min.js";
import go from "../vendor/highlightjs/languages/go.min.js";
import ini from "../vendor/highlightjs/languages/ini.min.js";
import java from "../vendor/highlightjs/languages/java.min.js";
import javascript from "../vendor/highlightjs/languages/javascript.min.js";
import json from "../vendor/highlightjs/languages/json.min.js";
import kotlin from "../vendor/highlightjs/languages/kotlin.min.js";
import makefile from "../vendor/highlightjs/languages/makefile.min.js";
import markdown from "../vendor/highlightjs/languages/markdown.min.js";
import php from "../vendor/highlightjs/languages/php.min.js";
import python from "../vendor/highlightjs/languages/python.min.js";
import ruby from "../vendor/highlightjs/languages/ruby.min.js";
import rust from "../vendor/highlightjs/languages/rust.min.js";
import sql from "../vendor/highlightjs/languages/sql.min.js";
import typescript from "../vendor/highlightjs/languages/typescript.min.js";
import xml from "../vendor/highlightjs/languages/xml.min.js";
import yaml from "../vendor/highlightjs/languages/yaml.min.js";

const LANGUAGES = {
  bash, c, cpp, csharp, css, diff, dockerfile, go, ini, java, javascript, json, kotlin, makefile, markdown, php, python,
  ruby, rust, sql, typescript, xml, yaml,
};
for (const [name, grammar] of Object.entries(LANGUAGES)) hljs.registerLanguage(name, grammar);

/** The highlighter's tree as flat pieces `[text, kind]`; the innermost kind wins. */
function flatten(node, kind, pieces) {
  for (const child of node.children) {
    if (typeof child === "string") pieces.push([child, kind]);
    else flatten(child, child.scope && !child.scope.startsWith("language:") ? child.scope.split(".")[0] : kind, pieces);
  }
  return pieces;
}

self.addEventListener("message", ({ data: { id, text, language } }) => {
  const known = hljs.getLanguage(language);
  const pieces = known
    ? flatten(hljs.highlight(text, { language, ignoreIllegals: true })._emitter.root, "", [])
    : [[text, ""]];
  self.postMessage({ id, pieces });
});
