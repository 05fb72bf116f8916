// What the tests do in the page as its reader would, and what they find there, as one report.
addEventListener("load", async () => {
  const found = {};
  const all = (query) => [...document.querySelectorAll(query)];
  const text = (query) => document.querySelector(query)?.textContent;
  const pause = () => new Promise((done) => setTimeout(done, 150));
  const pixels = () => all(".uplot canvas").map((canvas) => canvas.toDataURL());
  const legends = () => all(".plot").map((plot) => [...plot.querySelectorAll(".u-value")].map((value) => value.textContent));
  const press = (target, key) => target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));

  function mouse(type, target, box, x) {
    const at = { clientX: box.left + x, clientY: box.top + 50, movementX: 9, button: 0 };
    target.dispatchEvent(new MouseEvent(type, { bubbles: true, ...at }));
  }

  function hasInk(canvas) {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return canvas.width > 100 && canvas.height > 100 && data.some((value) => value > 0);
  }

  function look() {
    found.charts = all("figure.chart").length;
    found.drawn = all(".uplot canvas").filter(hasInk).length;
    found.titles = all("figcaption").map((title) => title.textContent);
    found.document_title = document.title;
    found.width = innerWidth;
    found.too_wide = document.documentElement.scrollWidth - innerWidth;
  }

  async function hoverDragAndReset([plot]) {
    const over = plot.querySelector(".u-over");
    const box = over.getBoundingClientRect();
    const whole = pixels();
    const changed = () => pixels().filter((now, index) => now !== whole[index]).length;
    found.legends_before = legends();
    mouse("mouseenter", over, box, 5);
    mouse("mousemove", over, box, box.width - 1);
    await pause();
    found.legends_on_hover = legends();
    mouse("mousedown", over, box, 20);
    mouse("mousemove", over, box, box.width / 2);
    await pause();
    mouse("mouseup", document, box, box.width / 2);
    await pause();
    found.changed_by_drag = changed();
    document.querySelector("[data-zoom=all]").click();
    await pause();
    found.changed_after_all = changed();
  }

  async function readByKeys([plot]) {
    found.label = plot.getAttribute("aria-label");
    press(plot, "End");
    found.spoken_at_end = text("#spoken");
    press(plot, "ArrowLeft");
    found.spoken_before = text("#spoken");
    const whole = pixels();
    press(plot, "+");
    await pause();
    found.changed_by_plus = pixels().filter((now, index) => now !== whole[index]).length;
    press(plot, "0");
  }

  function readMap(cells) {
    const stops = () => cells.filter((cell) => cell.tabIndex === 0).length;
    found.tab_stops = [stops()];
    cells[0].dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
    found.readout_on_hover = text(".readout");
    cells[0].focus();
    press(cells[0], "ArrowRight");
    found.readout_on_key = text(".readout");
    press(document.activeElement, "ArrowDown");
    found.readout_below = text(".readout");
    found.tab_stops.push(stops());
  }

  function slide(slider) {
    const shown = () => all(".samples img").filter((image) => image.offsetWidth > 0).map((image) => image.alt);
    found.pictures_before = shown();
    found.slider_width = slider.offsetWidth;
    slider.value = "0";
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    found.pictures_after = shown();
    found.slider_says = [text(".samples output"), slider.getAttribute("aria-valuetext")];
  }

  async function print() {
    const widths = () => [...new Set(all(".uplot").map((plot) => plot.clientWidth))];
    const before = widths();
    dispatchEvent(new Event("beforeprint"));
    // The browser prints once the handlers and what they queued are done.
    await new Promise((done) => queueMicrotask(done));
    found.printed = all(".uplot canvas").filter(hasInk).length;
    found.printed_scheme = getComputedStyle(document.documentElement).colorScheme;
    dispatchEvent(new Event("afterprint"));
    await pause();
    found.same_after_print = JSON.stringify(before) === JSON.stringify(widths());
  }

  await pause();
  look();
  await hoverDragAndReset(all(".plot"));
  await readByKeys(all(".plot"));
  if (all(".map rect").length > 0) readMap(all(".map rect"));
  if (all(".samples").length > 0) slide(document.querySelector(".samples input"));
  await print();
  parent.postMessage(JSON.stringify(found), "*");
});
