/* A page with the log of one run, whose facts the server draws again when the run changes state:
   the run page and the application page. Hung on [data-live-page] with data-panel-url. */

import { RunEvents } from "./events.js";
import { bindLog } from "./log_panel.js";
import { Regions } from "./regions.js";

const root = document.querySelector("[data-live-page]");
const log = root.querySelector("[data-log]");
const regions = root.dataset.panelUrl ? new Regions(root.dataset.panelUrl, drawn) : null;

let events = null;
watch(log);

function watch(place) {
  events?.stop();
  if (!place) return;
  events = new RunEvents(place.dataset.eventsUrl).watch({
    onEvents: (fresh) => fresh.some((event) => event.kind === "state") && regions?.refresh(),
    onEnd: () => regions?.refresh(0),
  });
  bindLog(place, { events });
  events.start();
}

function drawn(name, element) {
  if (name === "log") watch(element.querySelector("[data-log]"));
}
