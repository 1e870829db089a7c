"use strict";
// Adds what a page can do without: rows as they are recorded, keys for the changes of a comparison, and a slider that
// needs no button. Without scripts, reloading, links and the button do the same.

(function live() {
  const list = document.querySelector("[data-live]");
  if (!list || !window.EventSource) return;
  const status = document.querySelector(".live");
  const rowsMax = 200;
  let arrived = 0;
  const stream = new EventSource(list.dataset.live);
  stream.addEventListener("open", () => {
    if (!arrived) status.textContent = "Live: changes appear as they are recorded.";
  });
  stream.addEventListener("error", () => {
    status.textContent = stream.readyState === EventSource.CLOSED ? "Not live. Load the page again." : "Connecting…";
  });
  stream.addEventListener("row", (event) => {
    // The server has escaped it, and the page's policy runs nothing that is inline.
    const holder = document.createElement("template");
    holder.innerHTML = event.data;
    const row = holder.content.firstElementChild;
    if (!row || document.getElementById(row.id)) return;
    row.classList.add("arrived");
    list.prepend(row);
    while (list.children.length > rowsMax) list.lastElementChild.remove();
    arrived += 1;
    status.textContent = arrived === 1 ? "Live: 1 new change." : `Live: ${arrived} new changes.`;
  });
  window.addEventListener("pagehide", () => stream.close());
})();

(function keys() {
  const changes = Array.from(document.querySelectorAll(".change"));
  if (!changes.length) return;
  let at = -1;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    const step = { j: 1, k: -1 }[event.key];
    if (!step) return;
    at = Math.min(Math.max(at + step, 0), changes.length - 1);
    changes[at].focus();
    changes[at].scrollIntoView({ block: "center" });
  });
  document.addEventListener("focusin", (event) => {
    const focused = changes.indexOf(event.target);
    if (focused >= 0) at = focused;
  });
})();

(function slider() {
  for (const form of document.querySelectorAll(".slider")) {
    const range = form.querySelector("input");
    const shown = form.querySelector("output");
    range.addEventListener("input", () => { shown.value = range.value; });
    range.addEventListener("change", () => form.requestSubmit());
  }
})();
