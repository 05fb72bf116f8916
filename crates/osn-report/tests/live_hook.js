// What a reader does in a live page, and what is there before and after the run has gone on.
addEventListener("load", async () => {
  const found = {};
  const all = (query) => [...document.querySelectorAll(query)];
  const pause = (time) => new Promise((done) => setTimeout(done, time));
  const steps = () => document.querySelector("dd").textContent;
  const blank = document.createElement("canvas");

  function hasInk(canvas) {
    Object.assign(blank, { width: canvas.width, height: canvas.height });
    return canvas.toDataURL() !== blank.toDataURL();
  }

  function look() {
    return {
      steps: steps(),
      drawn: all(".uplot canvas").filter(hasInk).length,
      live: document.getElementById("live").textContent,
      picture: all(".pictures img").filter((picture) => !picture.hidden).map((picture) => picture.alt),
      open: all("details").filter((details) => details.open).map((details) => details.querySelector("summary").textContent),
      is_focused: document.activeElement === all(".plot")[1],
      first_legend: [...all(".plot")[0].querySelectorAll(".u-value")].map((value) => value.textContent),
      readout: document.querySelector(".readout").textContent,
    };
  }

  function act() {
    all(".plot")[1].closest("figure").querySelector("details").open = true;
    const slider = document.querySelector(".samples input");
    slider.value = 0;
    slider.dispatchEvent(new Event("input"));
    all(".plot")[1].focus();
    document.querySelector(".map rect").dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
    const over = document.querySelector(".u-over");
    const box = over.getBoundingClientRect();
    for (const type of ["mouseenter", "mousemove"]) {
      over.dispatchEvent(new MouseEvent(type, { clientX: box.left + 2, clientY: box.top + 50, movementX: 9, bubbles: true }));
    }
  }

  act();
  await pause(100);
  found.before = look();
  // Nothing is replaced while a pointer is down: three times the page could have asked, and it did not.
  dispatchEvent(new PointerEvent("pointerdown"));
  await pause(3000); // of the browser's virtual time
  found.while_pressed = look();
  dispatchEvent(new PointerEvent("pointerup"));
  while (steps() === found.before.steps) await pause(100);
  found.after = look();
  while (!document.querySelector("main").hasAttribute("data-ended")) await pause(100);
  await pause(100);
  found.ended = look();
  parent.postMessage(JSON.stringify(found), "*");
});
