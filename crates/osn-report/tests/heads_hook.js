// What the tests do in the page of a run of translation as its reader would, and what they find there, as one report.
addEventListener("load", async () => {
  const found = {};
  const all = (query, within = document) => [...within.querySelectorAll(query)];
  const pause = () => new Promise((done) => setTimeout(done, 200));
  const press = (target, key, more = {}) => target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, ...more }));
  const readout = (section) => section.querySelector(".readout").textContent;

  function slide(section) {
    const cells = () => all("td", section).map((cell) => cell.textContent);
    const slider = section.querySelector("input");
    const go = (value) => {
      slider.value = value;
      slider.dispatchEvent(new Event("input", { bubbles: true }));
      found.exact.push(all(".exact", section.querySelector("table")).length);
    };
    found.cells_before = cells();
    found.exact = [all(".exact", section.querySelector("table")).length];
    go("0");
    found.cells_after = cells();
    found.slider_says = [section.querySelector("output").textContent, slider.getAttribute("aria-valuetext")];
    go("1");
    found.cells_again = cells();
  }

  function point(section) {
    const map = section.querySelector("figure.heat svg");
    const box = map.getBoundingClientRect();
    const scale = box.width / map.viewBox.baseVal.width;
    // Half of the plot, and its first row.
    const at = { clientX: box.left + (36 + 328 / 2 + 1) * scale, clientY: box.top + 1 };
    map.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, ...at }));
    found.pointed = readout(section);
    press(map, "End");
    press(map, "ArrowDown");
    found.moved = readout(section);
    found.spoken = document.getElementById("spoken").textContent;
  }

  async function unfold(section) {
    const module = section.querySelector("details.module");
    const shown = () => all(".layer[role=row]", module).filter((row) => row.checkVisibility()).length;
    found.rows = [shown()];
    module.open = true;
    found.rows.push(shown());
    const first = module.querySelector("[role=grid] rect");
    first.focus();
    found.below = readout(section);
    const charts = all(".by-module > details")[1];
    charts.open = true;
    await pause();
    charts.scrollIntoView();
    await pause();
    found.drawn_in_module = all(".uplot canvas", charts).filter((canvas) => canvas.offsetWidth > 100).length;
  }

  await pause();
  slide(document.querySelector(".texts"));
  point(document.querySelector(".heads"));
  await unfold(document.querySelector(".decisions"));
  found.too_wide = Math.max(0, document.documentElement.scrollWidth - innerWidth);
  parent.postMessage(JSON.stringify(found), "*");
});
