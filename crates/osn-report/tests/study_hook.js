// What the tests do in the page of a study as its reader would, and what they find there, as one report.
addEventListener("load", async () => {
  const found = {};
  const all = (query, within = document) => [...within.querySelectorAll(query)];
  const pause = () => new Promise((done) => setTimeout(done, 150));
  const legends = (query) => all(query + " .plot").map((plot) => all(".u-value", plot).map((value) => value.textContent));
  const pixels = (query) => all(query + " .uplot canvas").map((canvas) => canvas.toDataURL());
  const press = (target, key) => target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const names = (plot) => all(".u-series th", plot).slice(1);
  const pressed = () => all(".plot").map((plot) => names(plot).map((name) => name.getAttribute("aria-pressed")));
  const [curves, profiles] = [".study-curves", ".study-profiles"];

  function mouse(type, target, box, x) {
    const at = { clientX: box.left + x, clientY: box.top + 50, movementX: 9, button: 0 };
    target.dispatchEvent(new MouseEvent(type, { bubbles: true, ...at }));
  }

  async function hover(plot) {
    const over = plot.querySelector(".u-over");
    const box = over.getBoundingClientRect();
    mouse("mouseenter", over, box, 5);
    mouse("mousemove", over, box, box.width - 1);
    await pause();
  }

  function hasInk(canvas) {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return canvas.width > 100 && canvas.height > 100 && data.some((value) => value > 0);
  }

  // How many curves are drawn as thin ones while something is done.
  async function thinCurves(what) {
    const stroke = CanvasRenderingContext2D.prototype.stroke;
    let n = 0;
    CanvasRenderingContext2D.prototype.stroke = function (...path) {
      if (this.globalAlpha < 1) n += 1;
      return stroke.apply(this, path);
    };
    what();
    await pause();
    CanvasRenderingContext2D.prototype.stroke = stroke;
    return n;
  }

  function look() {
    found.charts = all("figure.chart").length;
    found.drawn = all(".uplot canvas").filter(hasInk).length;
    found.document_title = document.title;
    found.width = innerWidth;
    found.too_wide = document.documentElement.scrollWidth - innerWidth;
    found.lost_links = all("nav a").filter((link) => !document.querySelector(link.getAttribute("href"))).length;
    found.pictures = all(".study-samples img").filter((image) => image.naturalWidth > 0 && image.offsetWidth > 0).map((image) => image.alt);
    found.said = document.querySelector(".answers")?.textContent;
  }

  // Where the points of the first chart of intervals are, and how wide their bars, in parts of the whole.
  function measureBars() {
    found.bars = all(".intervals tbody tr", document.querySelector(".study-regimes .regime")).map((row) => {
      const svg = row.querySelector("svg").getBoundingClientRect();
      const [point, range] = [".point", ".range"].map((part) => row.querySelector(part).getBoundingClientRect());
      const middle = (point.left + point.right) / 2;
      return [(middle - svg.left) / svg.width, range.width / svg.width, all(".dot", row.querySelector("td")).length];
    });
    found.titles = all(".study-regimes .regime tbody tr:first-child td:nth-child(2) title").map((title) => title.textContent);
  }

  async function hideAndShow() {
    const before = [...pixels(curves), ...pixels(profiles)];
    const changed = () => [...pixels(curves), ...pixels(profiles)].filter((now, index) => now !== before[index]).length;
    const [first, second] = names(document.querySelector(curves + " .plot"));
    found.thin_after_hiding = await thinCurves(() => first.click());
    found.changed_by_hiding = changed();
    found.pressed_after_hiding = pressed();
    first.click();
    await pause();
    found.changed_after_showing = changed();
    first.focus();
    press(first, "ArrowRight");
    found.focused = document.activeElement === second;
    press(second, "Enter");
    await pause();
    found.pressed_by_key = pressed();
    press(second, "Enter");
    await pause();
    found.tab_stops = names(document.querySelector(curves + " .plot")).filter((name) => name.tabIndex === 0).length;
  }

  async function drag(plot) {
    const before = { curves: pixels(curves), profiles: pixels(profiles) };
    const changed = (query, old) => pixels(query).filter((now, index) => now !== old[index]).length;
    const over = plot.querySelector(".u-over");
    const box = over.getBoundingClientRect();
    mouse("mousedown", over, box, 20);
    mouse("mousemove", over, box, box.width / 2);
    await pause();
    mouse("mouseup", document, box, box.width / 2);
    await pause();
    found.zoomed = [changed(curves, before.curves), changed(profiles, before.profiles)];
    document.querySelector("[data-zoom=all]").click();
    await pause();
  }

  async function print() {
    names(document.querySelector(curves + " .plot"))[0].click();
    dispatchEvent(new Event("beforeprint"));
    await new Promise((done) => queueMicrotask(done));
    found.printed = all(".uplot canvas").filter(hasInk).length;
    found.pressed_in_print = pressed();
    dispatchEvent(new Event("afterprint"));
    await pause();
  }

  await pause();
  look();
  measureBars();
  const [curve, profile] = [curves, profiles].map((query) => document.querySelector(query + " .plot"));
  found.label = curve.getAttribute("aria-label");
  await hover(curve);
  found.legends_on_curves = legends(curves);
  await hover(profile);
  found.legends_on_profiles = legends(profiles);
  press(profile, "End");
  found.spoken_of_profile = document.getElementById("spoken").textContent;
  press(curve, "End");
  found.spoken_of_curve = document.getElementById("spoken").textContent;
  await hideAndShow();
  await drag(curve);
  await print();
  parent.postMessage(JSON.stringify(found), "*");
});
