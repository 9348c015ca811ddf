/* A generation as it happens: tokens fill the stage, states move the rail and have the server draw its regions again. */

import { announce } from "./components.js";
import { AnswerStream } from "./answer_stream.js";
import { CodeStage } from "./code_stage.js";
import { RunEvents } from "./events.js";
import { bindLog } from "./log_panel.js";
import { drawProse } from "./prose.js";
import { Regions } from "./regions.js";

const root = document.querySelector("[data-generation]");
const STEPS = ["writing", "checking", "testing", "ready", "deployed"];
const WORKING = new Set(["queued", "running"]);
const WORDS = {
  queued: "Waiting for a worker", running: "Starting", checking: "Checking paths and syntax", verdict: "Judged",
  repeated_failure: "The same failure again: stopped", cancelling: "Cancelling",
};

// First of all: it remembers the regions as the server drew them, before anything here adds to them.
const regions = new Regions(root.dataset.panelUrl, drawn, mayDraw);
let stage = new CodeStage(root.querySelector("[data-stage]"));
let streamed = 0;
let now = "";
let step = "writing";
// Of a finished generation the events only fill the activity log: its files are those that the server kept.
let live = WORKING.has(root.dataset.status);
let answer = newAnswer();

function newAnswer() {
  streamed = 0;
  return new AnswerStream({
    onOpen(path, language) {
      stage.open(path, language);
      say(`Writing ${path}`);
    },
    onText: (path, text) => stage.append(path, text),
    onClose: (path) => stage.close(path),
  });
}

/** While it is being written, files and rail follow the events; afterwards they are the server's. */
function mayDraw(name) {
  return !live || (name !== "files" && name !== "rail");
}

function drawn(name, element) {
  if (name === "files") {
    const { selected, chosen } = stage;
    stage = new CodeStage(element);
    if (chosen && stage.has(selected)) stage.select(selected);
  }
  if (name === "documentation") element.querySelectorAll("[data-prose]").forEach(drawProse);
}

function say(words) {
  now = words;
  drawNow();
}

function drawNow() {
  const place = root.querySelector("[data-rail-now]");
  if (!live || !place) return;
  const counted = streamed && now.startsWith("Writing") ? `${now} · ${streamed.toLocaleString()} characters` : now;
  if (place.textContent !== counted) place.textContent = counted;
  place.title = counted;
}

function token(text) {
  streamed += text.length;
  answer.write(text);
  drawNow();
}

function moved({ text, data }) {
  if (text === "writing") {
    stage.clear();
    answer = newAnswer();
  } else if (text === "checking") answer.end();
  const words = text === "writing" ? writingWords(data) : (WORDS[text] ?? "");
  if (words) {
    say(data?.summary ? `${words}: ${data.summary}` : words);
    announce(now);
  }
  if (STEPS.includes(text)) moveRail(text);
  regions.refresh();
}

function writingWords(data) {
  return data?.repair > 0 ? `Writing again, repair ${data.repair}` : "Writing";
}

function moveRail(to) {
  step = to;
  const at = STEPS.indexOf(to);
  root.querySelectorAll("[data-step]").forEach((element, index) => {
    element.dataset.state = index < at ? "done" : index === at ? "now" : "todo";
    element.querySelector(".sr-only").textContent = index < at ? "done" : index === at ? "in progress" : "to do";
    if (index === at) element.setAttribute("aria-current", "step");
    else element.removeAttribute("aria-current");
  });
}

/** The sandbox says nothing when it begins to test; the first line of its output does. */
function tested({ stream }) {
  if (!stream?.startsWith("test.") || step === "testing") return;
  moveRail("testing");
  say("Running tests in the sandbox");
}

function take(event) {
  if (event.kind === "token") token(event.text);
  else if (event.kind === "state") moved(event);
  else if (event.kind === "line") tested(event);
}

if (root.dataset.eventsUrl) {
  const events = new RunEvents(root.dataset.eventsUrl).watch({
    onEvents: (fresh) => live && fresh.forEach(take),
    onEnd() {
      answer.end();
      live = false;
      regions.refresh(0);
    },
  });
  bindLog(root.querySelector("[data-log]"), { events, tokens: false });
  events.start();
}

root.addEventListener("click", (event) => {
  const button = event.target.closest("[data-show-file]");
  if (button) stage.show(button.dataset.showFile, Number(button.dataset.showLine ?? 0));
});
root.querySelectorAll("[data-prose]").forEach(drawProse);
