// Follows a run: asks for the page again and hands what is new to the page's script.
"use strict";

(() => {
  const PAUSE = 1000; // milliseconds between two questions
  const LONGEST_PAUSE = 2500; // below the time after which the server takes a reader for gone
  const REST = 9; // so many times as long as an answer took: the run keeps its processors
  const PATIENCE = 5; // questions without an answer
  const state = document.getElementById("live");
  let tag = null; // of the page that is shown
  let isPressed = false;
  let nFailures = 0;

  const hasEnded = () => document.querySelector("main").hasAttribute("data-ended");
  // Nothing moves under a pointer that drags, or under a text that is being selected.
  const isBusy = () => isPressed || !document.getSelection().isCollapsed;

  async function look() {
    const reply = await fetch("/", { cache: "no-store", headers: tag ? { "If-None-Match": tag } : {} });
    if (reply.status === 304) return;
    if (!reply.ok) throw new Error(reply.statusText);
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    tag = reply.headers.get("ETag");
    document.title = page.title;
    document.dispatchEvent(new CustomEvent("osn:main", { detail: page.querySelector("main") }));
  }

  async function follow() {
    const start = performance.now();
    try {
      if (!isBusy()) await look();
      nFailures = 0;
    } catch {
      nFailures += 1;
    }
    if (hasEnded()) {
      state.textContent = "The run has ended. This is all of it.";
    } else if (nFailures >= PATIENCE) {
      state.textContent = "The run does not answer any more. This is the last that was seen of it.";
    } else {
      const took = performance.now() - start;
      setTimeout(follow, Math.min(Math.max(PAUSE, REST * took), LONGEST_PAUSE));
    }
  }

  addEventListener("pointerdown", () => { isPressed = true; }, true);
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => { isPressed = false; }, true);
  follow();
})();
