/* An answer that is being written appears as it comes; when it is complete the server draws the page again.
   Hung on [data-answer-events], the turn whose run is under way. What a model says is text and nothing else. */

import { RunEvents } from "./events.js";

for (const turn of document.querySelectorAll("[data-answer-events]")) {
  const text = turn.querySelector("[data-answer-text]");
  new RunEvents(turn.dataset.answerEvents)
    .watch({
      onEvents(events) {
        for (const event of events) {
          if (event.kind === "token") text.append(event.text);
          // A worker that took over begins the answer anew.
          else if (event.data?.run_state === "queued") text.textContent = "";
        }
      },
      onEnd: () => location.reload(),
    })
    .start();
}
