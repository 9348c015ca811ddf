/* A plain script in the head, before anything is painted: the reader's theme, and "scripts run here". */
(() => {
  const root = document.documentElement;
  root.classList.replace("no-js", "js");
  try {
    const chosen = localStorage.getItem("steward.theme");
    if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  } catch {
    /* Storage may be forbidden; the system's theme is then used. */
  }
})();
