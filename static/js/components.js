/* What works on every page, hung on data- attributes and delegated from the document, so that regions which the server
   draws again need no wiring. */

const MOMENTS_EVERY = 20_000;
const page = document.documentElement;

/** Says something to screen readers, politely. */
export function announce(words) {
  const place = document.querySelector("[data-announcer]");
  if (place) place.textContent = words;
}

/** A point in time in words; the same rules as `moment_words` in templatetags/steward.py. */
export function momentWords(instant, now = new Date()) {
  const seconds = (now - instant) / 1000;
  const size = Math.abs(seconds);
  if (size < 45) return "just now";
  for (const [limit, unit, label] of [[3600, 60, "min"], [86400, 3600, "h"], [604800, 86400, "d"]]) {
    if (size < limit) {
      const count = Math.max(1, Math.round(size / unit));
      return seconds > 0 ? `${count} ${label} ago` : `in ${count} ${label}`;
    }
  }
  return instant.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
}

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

/** Draws every moment below `root`: relative words, the exact time in the reader's zone on hover. */
export function drawMoments(root = document) {
  const now = new Date();
  for (const time of root.querySelectorAll("time[data-moment]")) {
    const instant = new Date(time.dateTime);
    if (Number.isNaN(instant.getTime())) continue;
    const words = momentWords(instant, now);
    if (time.textContent !== words) time.textContent = words;
    time.title = exact.format(instant);
  }
}

/** Puts text on the clipboard, also on plain http where the modern way is not offered. */
export async function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const holder = document.createElement("textarea");
  holder.value = text;
  holder.className = "sr-only";
  document.body.append(holder);
  holder.select();
  const copied = document.execCommand("copy");
  holder.remove();
  if (!copied) throw new Error("The browser did not allow copying.");
}

async function copyFrom(button) {
  try {
    await copyText(button.dataset.copy);
  } catch {
    announce("Copying was not allowed.");
    return;
  }
  announce("Copied.");
  button.classList.add("is-copied");
  setTimeout(() => button.classList.remove("is-copied"), 1500);
}

/* Theme */
function chosenTheme() {
  return page.dataset.theme ?? "system";
}

function drawThemeChoice() {
  for (const button of document.querySelectorAll("[data-theme-choice]")) {
    button.setAttribute("aria-pressed", String(button.dataset.themeChoice === chosenTheme()));
  }
}

function chooseTheme(choice) {
  if (choice === "system") delete page.dataset.theme;
  else page.dataset.theme = choice;
  try {
    localStorage.setItem("steward.theme", choice);
  } catch {
    /* Not remembered, but shown. */
  }
  drawThemeChoice();
}

/* Navigation on a narrow screen */
function toggleNavigation(open) {
  const button = document.querySelector("[data-nav-toggle]");
  const side = document.getElementById("side");
  if (!button || !side) return;
  const show = open ?? button.getAttribute("aria-expanded") !== "true";
  button.setAttribute("aria-expanded", String(show));
  side.classList.toggle("is-open", show);
}

/* Forms */
function confirmFirst(form, submitter) {
  const dialog = document.querySelector("[data-confirm-dialog]");
  dialog.querySelector("#confirm-title").textContent = form.dataset.confirmTitle || "Are you sure?";
  dialog.querySelector("#confirm-text").textContent = form.dataset.confirm;
  const yes = dialog.querySelector("[data-confirm-yes]");
  yes.textContent = form.dataset.confirmLabel || "Go on";
  yes.classList.toggle("button-danger", submitter?.classList.contains("button-danger") ?? true);
  yes.onclick = () => {
    dialog.close();
    form.dataset.confirmed = "yes";
    form.requestSubmit(submitter ?? undefined);
  };
  dialog.showModal();
  dialog.querySelector("[data-confirm-no]").focus();
}

function onSubmit(event) {
  const form = event.target;
  if (form.dataset.confirm && form.dataset.confirmed !== "yes") {
    event.preventDefault();
    confirmFirst(form, event.submitter);
    return;
  }
  delete form.dataset.confirmed;
  if ("once" in form.dataset) {
    if (form.dataset.sent === "yes") event.preventDefault();
    else markSent(form, event.submitter);
  }
}

function markSent(form, submitter) {
  form.dataset.sent = "yes";
  submitter?.setAttribute("aria-busy", "true");
}

/** A page brought back from the browser's cache can be sent again. */
function forgetSent() {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    form.querySelectorAll("[aria-busy]").forEach((button) => button.removeAttribute("aria-busy"));
  }
}

function drawCounter(counter) {
  const field = document.getElementById(counter.dataset.counterFor);
  if (!field) return;
  const least = Number(counter.dataset.least);
  const most = Number(counter.dataset.most);
  // Counted as the server counts: code points after stripping, not UTF-16 units.
  const length = [...field.value.trim()].length;
  const wrong = length > most || (length > 0 && length < least);
  if (length === 0) counter.textContent = `${least} to ${most} characters`;
  else if (length > most) counter.textContent = `${length - most} too many`;
  else if (length < least) counter.textContent = `${least - length} more needed`;
  else counter.textContent = `${length} of ${most}`;
  counter.toggleAttribute("data-wrong", wrong);
  field.setCustomValidity(wrong ? `Between ${least} and ${most} characters, please: this has ${length}.` : "");
}

function drawCounters() {
  document.querySelectorAll("[data-counter-for]").forEach(drawCounter);
}

function onClick(event) {
  const target = event.target.closest("[data-copy], [data-theme-choice], [data-nav-toggle], [data-confirm-no], [data-back]");
  if (!target) return;
  if (target.dataset.copy !== undefined) copyFrom(target);
  else if (target.dataset.themeChoice) chooseTheme(target.dataset.themeChoice);
  else if (target.hasAttribute("data-nav-toggle")) toggleNavigation();
  else if (target.hasAttribute("data-back")) history.back();
  else target.closest("dialog").close();
}

document.addEventListener("click", onClick);
document.addEventListener("submit", onSubmit);
document.addEventListener("input", (event) => {
  const counter = document.querySelector(`[data-counter-for="${CSS.escape(event.target.id)}"]`);
  if (counter) drawCounter(counter);
});
document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-autosubmit]");
  if (form) form.requestSubmit();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") toggleNavigation(false);
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches("textarea")) {
    event.target.form?.requestSubmit();
  }
});
window.addEventListener("pageshow", forgetSent);
setInterval(drawMoments, MOMENTS_EVERY);

drawThemeChoice();
drawMoments();
drawCounters();
