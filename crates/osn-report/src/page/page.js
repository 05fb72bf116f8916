// Draws the page's curves with uPlot, zooms them together, and answers pointer, keyboard and slider.
// Text from files enters the page only as text: through textContent and uPlot's labels.
"use strict";

(() => {
  const CHART_HEIGHT = 200;
  const PRINT_WIDTH = 320;
  const DRAWN_AT_ONCE = 40;
  const N_COLOURS = 10;
  const SCROLLED = ".texts .rows, .scroll, pre";
  const spoken = document.getElementById("spoken");
  const drawn = new Map(); // the plots by their figures
  const charts = new WeakMap(); // what plots show
  const hidden = new WeakMap(); // the places of hidden lines by the article whose charts share them
  let zoomed = null; // the steps that all charts show, {min, max}, or null for all
  let isPrinting = false;

  // Four digits, as the page's tables have them.
  function short(value) {
    if (value == null || !Number.isFinite(value)) return "–";
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-4 || size >= 1e6)) return value.toExponential(2);
    return String(Number(value.toPrecision(4)));
  }

  function shortStep(step) {
    return step >= 1e5 ? Number((step / 1e3).toPrecision(6)) + "k" : String(step);
  }

  // --- Colours, as the style has them for the light and the dark page --------------------------

  const probe = document.body.appendChild(document.createElement("i"));
  probe.hidden = true;

  function colourOf(className, property) {
    probe.className = className;
    probe.style.color = `var(${property})`;
    return getComputedStyle(probe).color;
  }

  // --- Curves ----------------------------------------------------------------------------------

  function readChart(figure) {
    const chart = JSON.parse(figure.querySelector("script").textContent);
    // uPlot: null is a gap, undefined is no point.
    const points = (values) => values.map((value) => (value === false ? undefined : value));
    for (const line of chart.lines) {
      line.values = points(line.values);
      line.threads = (line.threads ?? []).map(points);
    }
    chart.article = figure.closest("article");
    if (chart.level) {
      const { label, value } = chart.level;
      chart.lines.push({ label, dashed: true, threads: [], values: chart.steps.map(() => value) });
    }
    return chart;
  }

  // The lowest and the highest of the thin curves in sight, with those of the lines.
  function ends(chart, plot, lowest, highest) {
    const [from, to] = zoomed && !chart.x ? [zoomed.min, zoomed.max] : [-Infinity, Infinity];
    const isInSight = chart.steps.map((step) => step >= from && step <= to);
    const lines = chart.lines.filter((line, index) => plot.series[index + 1].show);
    for (const thread of lines.flatMap((line) => line.threads)) {
      thread.forEach((value, index) => {
        if (value == null || !isInSight[index]) return;
        lowest = Math.min(lowest ?? value, value);
        highest = Math.max(highest ?? value, value);
      });
    }
    return [lowest, highest];
  }

  // A little air around the values; zero is kept in sight where it is near.
  function valueRange(lowest, highest) {
    if (lowest == null) return [0, 1];
    const height = highest - lowest;
    // What differs by less than the digits that are shown is level: f32 has seven digits.
    const air = height > 1e-5 * Math.abs(highest) ? height * 0.06 : Math.max(Math.abs(highest), 1e-3) * 0.5;
    const bottom = lowest >= 0 && lowest < 0.4 * highest ? 0 : lowest - air;
    return [bottom, highest + air];
  }

  function seriesOf(chart) {
    const step = { label: nameOfX(chart), value: (plot, value) => (value == null ? "–" : String(value)) };
    const isHidden = (index) => chart.linked && hidden.get(chart.article)?.has(index + 1);
    const lines = chart.lines.map((line, index) => ({
      label: line.label,
      show: !isHidden(index),
      paths: line.stepped ? uPlot.paths.stepped({ align: -1 }) : undefined,
      stroke: line.dashed ? colourOf("", "--ink") : colourOf("c" + (index % N_COLOURS), "--c"),
      dash: line.dashed ? [6, 4] : undefined,
      width: line.wide ? 4 : line.dashed ? 1.5 : line.threads.length > 0 ? 2.5 : 2,
      points: line.dashed || line.wide || line.stepped ? { show: false } : { fill: colourOf("", "--paper") },
      value: (plot, value) => short(value),
    }));
    return [step, ...lines];
  }

  function nameOfX(chart) {
    return chart.x?.label ?? "step";
  }

  function axes(chart) {
    const look = {
      stroke: colourOf("", "--soft"),
      grid: { stroke: colourOf("", "--line"), width: 1 },
      ticks: { stroke: colourOf("", "--line"), width: 1 },
      font: "12px system-ui, sans-serif",
    };
    const labels = (format) => (plot, values) => values.map(format);
    return [
      chart.x
        ? { ...look, values: labels(short), space: 70 }
        : { ...look, values: labels(shortStep), incrs: stepIncrements(), space: 70 },
      { ...look, values: labels(short), size: widthOf },
    ];
  }

  function widthOf(plot, labels) {
    const longest = Math.max(0, ...(labels ?? []).map((label) => label.length));
    return Math.max(48, 7 * longest + 22);
  }

  // Steps are whole: no label between two of them.
  function stepIncrements() {
    const increments = [];
    for (let size = 1; size <= 1e9; size *= 10) increments.push(size, 2 * size, 5 * size);
    return increments;
  }

  // Charts over the steps move together; one over anything else stays as it is.
  function cursorOf(chart) {
    const points = { size: 9, fill: (plot, index) => plot.series[index].stroke(plot, index) };
    if (chart.x) return { points, y: false, drag: { x: false, y: false } };
    return {
      points,
      drag: { x: true, y: false, setScale: false },
      y: false,
      sync: {
        key: "steps",
        scales: ["x", null],
        filters: { pub: (type) => type === "mousemove" || type === "mouseleave" },
      },
      bind: { dblclick: () => () => zoomTo(null) },
    };
  }

  function rangeOfX(chart) {
    if (chart.x) return [chart.x.min, chart.x.max];
    return zoomed ? [zoomed.min, zoomed.max] : [0, Math.max(chart.last_step, 1)];
  }

  function optionsFor(chart, width) {
    return {
      width,
      height: CHART_HEIGHT,
      scales: {
        x: { time: false, range: () => rangeOfX(chart) },
        y: { range: (plot, lowest, highest) => valueRange(...ends(chart, plot, lowest, highest)) },
      },
      series: seriesOf(chart),
      axes: axes(chart),
      cursor: cursorOf(chart),
      hooks: {
        setSelect: [zoomToSelection],
        drawAxes: [(plot) => drawThreads(chart, plot)],
        setSeries: [(plot, index, change) => hideEverywhere(chart, plot, index, change)],
      },
    };
  }

  // Below the lines, within the axes.
  function drawThreads(chart, plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.lineWidth = devicePixelRatio;
    ctx.globalAlpha = 0.35;
    chart.lines.forEach(({ threads }, index) => {
      const series = plot.series[index + 1];
      if (!series.show) return;
      ctx.strokeStyle = series.stroke(plot, index + 1);
      for (const thread of threads) drawThread(ctx, plot, chart.steps, thread);
    });
    ctx.restore();
  }

  function drawThread(ctx, plot, steps, thread) {
    let isDown = false;
    ctx.beginPath();
    thread.forEach((value, index) => {
      if (value === undefined) return;
      if (value === null) isDown = false;
      else {
        const place = [plot.valToPos(steps[index], "x", true), plot.valToPos(value, "y", true)];
        if (isDown) ctx.lineTo(...place);
        else ctx.moveTo(...place);
        isDown = true;
      }
    });
    ctx.stroke();
  }

  function draw(figure) {
    if (drawn.has(figure)) return;
    const place = figure.querySelector(".plot");
    const chart = readChart(figure);
    const width = isPrinting ? PRINT_WIDTH : place.clientWidth;
    const data = [chart.steps, ...chart.lines.map((line) => line.values)];
    const plot = new uPlot(optionsFor(chart, width), data, place);
    drawn.set(figure, plot);
    charts.set(plot, chart);
    place.tabIndex = 0;
    place.setAttribute("role", "group");
    place.setAttribute("aria-roledescription", "chart");
    place.setAttribute("aria-label", `${chart.title}. ${chart.summary}`);
    place.onkeydown = (event) => answerKey(event, plot);
    if (chart.linked) makeButtons(plot);
  }

  function erase(figure) {
    drawn.get(figure)?.destroy();
    drawn.delete(figure);
  }

  function drawAgain() {
    for (const figure of [...drawn.keys()]) {
      erase(figure);
      draw(figure);
    }
  }

  // --- Lines that are hidden, the same in all linked charts of an article -----------------------

  function hideEverywhere(chart, plot, index, change) {
    if (!chart.linked || change.show == null || index == null) return;
    const places = hidden.get(chart.article) ?? new Set();
    hidden.set(chart.article, places);
    if (change.show) places.delete(index);
    else places.add(index);
    for (const other of drawn.values()) {
      const { linked, article } = charts.get(other);
      if (!linked || article !== chart.article) continue;
      buttonsOf(other)[index - 1]?.setAttribute("aria-pressed", change.show);
      if (other.series[index].show !== change.show) other.setSeries(index, { show: change.show });
    }
  }

  function buttonsOf(plot) {
    return [...plot.root.querySelectorAll(".u-series th")].slice(1);
  }

  // The names below a chart as buttons: the Tab key goes to one of them, the arrow keys along them.
  function makeButtons(plot) {
    const buttons = buttonsOf(plot);
    buttons.forEach((button, index) => {
      button.tabIndex = index === 0 ? 0 : -1;
      button.setAttribute("role", "button");
      button.setAttribute("aria-pressed", plot.series[index + 1].show);
      button.onkeydown = (event) => {
        const to = { ArrowLeft: buttons.at(index - 1), ArrowRight: buttons[(index + 1) % buttons.length] }[event.key];
        if (to) {
          for (const other of buttons) other.tabIndex = other === to ? 0 : -1;
          to.focus();
        } else if (event.key === "Enter" || event.key === " ") {
          plot.setSeries(index + 1, { show: !plot.series[index + 1].show });
        } else return;
        event.preventDefault();
        event.stopPropagation();
      };
    });
  }

  // --- Zoom, the same for all charts -----------------------------------------------------------

  function zoomTo(range) {
    zoomed = range && range.max > range.min ? range : null;
    // The range functions of the scales read `zoomed`.
    for (const plot of overSteps()) plot.setData(plot.data);
  }

  function zoomToSelection(plot) {
    const { left, width } = plot.select;
    if (width < 3) return;
    const range = { min: plot.posToVal(left, "x"), max: plot.posToVal(left + width, "x") };
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    zoomTo(range);
  }

  function zoomBy(factor, plot, centre) {
    const shown = plot.scales.x;
    const middle = centre ?? (shown.min + shown.max) / 2;
    const min = Math.max(0, middle - (middle - shown.min) * factor);
    const max = middle + (shown.max - middle) * factor;
    const last = Math.max(...overSteps().map((each) => each.data[0].at(-1)));
    zoomTo(min === 0 && max >= last ? null : { min, max });
  }

  function overSteps() {
    return [...drawn.values()].filter((plot) => !charts.get(plot).x);
  }

  function zoomAsAsked(how, plot, centre) {
    if (!plot || charts.get(plot).x) return;
    if (how === "all") zoomTo(null);
    else zoomBy(how === "in" ? 0.5 : 2, plot, centre);
  }

  // --- Keyboard --------------------------------------------------------------------------------

  const ZOOM_KEYS = { "+": "in", "=": "in", "-": "out", "0": "all", Escape: "all" };

  function answerKey(event, plot) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = plot.data[0];
    const at = plot.cursor.idx;
    if (event.key in ZOOM_KEYS) {
      zoomAsAsked(ZOOM_KEYS[event.key], plot, at == null ? undefined : steps[at]);
    } else {
      const to = goTo(event, at, plot.series[0].idxs);
      if (to == null) return;
      plot.setCursor({ left: plot.valToPos(steps[to], "x"), top: 0 });
      spoken.textContent = valuesInWords(plot, to);
    }
    event.preventDefault();
  }

  // The index of the point that a key leads to, among those in sight.
  function goTo(event, at, [first, last]) {
    const pace = event.shiftKey ? 10 : 1;
    const targets = { ArrowLeft: (at ?? last + 1) - pace, ArrowRight: (at ?? first - 1) + pace, Home: first, End: last };
    if (!(event.key in targets) || first == null) return null;
    return Math.min(Math.max(targets[event.key], first), last);
  }

  function valuesInWords(plot, at) {
    const values = plot.series.slice(1).map((line, index) => [line, `${line.label} ${short(plot.data[index + 1][at])}`]);
    const shown = values.filter(([line]) => line.show).map(([, text]) => text);
    const x = nameOfX(charts.get(plot));
    return `${x[0].toUpperCase()}${x.slice(1)} ${plot.data[0][at]}: ${shown.join(", ")}`;
  }

  // --- The decision map ------------------------------------------------------------------------

  function readCells(section) {
    const readout = section.querySelector(".readout");
    const all = [...section.querySelectorAll("svg:not(.evidence)")].filter((row) => !row.closest("summary"));
    const cellsOf = (row) => [...row.querySelectorAll("rect")];
    // Rows of a module that is folded are not there for the arrow keys.
    const shownRows = () => all.filter((row) => row.closest("details")?.open ?? true).map(cellsOf);
    const show = (event) => {
      const cell = event.target.closest("rect");
      if (cell) readout.textContent = cell.getAttribute("aria-label");
    };
    section.addEventListener("pointerover", show);
    section.addEventListener("focusin", show);
    section.addEventListener("keydown", (event) => {
      const to = neighbour(shownRows(), event);
      if (!to) return;
      event.preventDefault();
      const grid = to.closest("[role=grid]");
      for (const cell of grid.querySelectorAll("rect")) cell.tabIndex = cell === to ? 0 : -1;
      to.focus();
    });
    // The Tab key stops once in each grid.
    for (const grid of section.querySelectorAll("[role=grid]")) {
      const first = grid.querySelector("rect");
      if (first) first.tabIndex = 0;
    }
  }

  // The cell that an arrow key leads to: along the row, or the one at the same step of the next row.
  function neighbour(rows, event) {
    const y = rows.findIndex((row) => row.includes(event.target));
    if (y < 0) return null;
    const x = rows[y].indexOf(event.target);
    const start = (cell) => Number(cell.getAttribute("x"));
    const below = (row) => row?.findLast((cell) => start(cell) <= start(event.target));
    switch (event.key) {
      case "ArrowLeft": return rows[y][x - 1];
      case "ArrowRight": return rows[y][x + 1];
      case "Home": return rows[y][0];
      case "End": return rows[y].at(-1);
      case "ArrowUp": return below(rows[y - 1]);
      case "ArrowDown": return below(rows[y + 1]);
      default: return null;
    }
  }

  // --- Heat maps: a cell is one head in a part of the run, in all maps of a section at once ---------

  function readHeat(section) {
    const readout = section.querySelector(".readout");
    const maps = [...section.querySelectorAll("figure.heat")].map((figure) => {
      const svg = figure.querySelector("svg");
      const map = { ...JSON.parse(figure.querySelector("script").textContent), svg };
      map.mark = markOf(svg);
      return map;
    });
    let at = null; // the map that is read, and the row and column there
    const go = (map, row, column) => {
      at = { map, row: within(row, map.rows.length), column: within(column, map.columns) };
      for (const other of maps) place(other, at);
      readout.textContent = cellInWords(maps, at);
    };
    for (const map of maps) {
      map.svg.addEventListener("pointermove", (event) => go(map, ...cellAt(map, event)));
      map.svg.addEventListener("pointerdown", (event) => go(map, ...cellAt(map, event)));
      map.svg.addEventListener("keydown", (event) => {
        const { row, column } = at?.map === map ? at : { row: 0, column: map.columns };
        const pace = event.shiftKey ? 10 : 1;
        const to = {
          ArrowLeft: [row, column - pace], ArrowRight: [row, column + pace], ArrowUp: [row - pace, column],
          ArrowDown: [row + pace, column], Home: [row, 0], End: [row, map.columns - 1],
        }[event.key];
        if (!to || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        go(map, ...to);
        spoken.textContent = readout.textContent;
      });
    }
  }

  function within(place, length) {
    return Math.min(Math.max(place, 0), length - 1);
  }

  // The marks of what is read: the column, and in maps of the same heads the row.
  function markOf(svg) {
    return ["column", "row"].map((name) => {
      const mark = svg.appendChild(document.createElementNS(svg.namespaceURI, "rect"));
      mark.setAttribute("class", `mark ${name}`);
      return mark;
    });
  }

  function place(map, at) {
    const [left, width, height] = map.box;
    const isSame = map.title === at.map.title;
    const sizes = [
      { x: left + (at.column * width) / map.columns, y: 0, width: width / map.columns, height },
      { x: left, y: (at.row * height) / map.rows.length, width, height: isSame ? height / map.rows.length : 0 },
    ];
    map.mark.forEach((mark, index) => Object.entries(sizes[index]).forEach(([name, value]) => mark.setAttribute(name, value)));
  }

  function cellAt(map, event) {
    const [left, width, height] = map.box;
    const seen = map.svg.getBoundingClientRect();
    const scale = map.svg.viewBox.baseVal.width / seen.width;
    const x = (event.clientX - seen.left) * scale - left;
    const y = (event.clientY - seen.top) * scale;
    return [Math.floor((y / height) * map.rows.length), Math.floor((x / width) * map.columns)];
  }

  function cellInWords(maps, { map, row, column }) {
    const edge = (place) => Math.floor((place * map.last_step) / map.columns);
    const [layer, head] = map.rows[row];
    const values = maps.filter((other) => other.title === map.title).map((other) => valueInWords(other, row, column));
    const steps = edge(column) === edge(column + 1) ? `step ${edge(column)}` : `steps ${edge(column)} to ${edge(column + 1)}`;
    return `${map.title}, layer ${layer}, head ${head}, ${steps}: ${values.join("; ")}.`;
  }

  function valueInWords({ quantity, unit, values, parts }, row, column) {
    const word = (value) => (value === false ? "not logged" : value === null ? "not finite" : short(value));
    if (parts.length === 0) return `${quantity} ${word(values[row][column])}${unit ? ` ${unit}` : ""}`;
    const each = parts.map((part) => `${part.name} ${word(part.values[row][column])}`);
    return `${quantity} ${each.join(", ")}`;
  }

  // --- The samples -----------------------------------------------------------------------------

  function slide(section) {
    if (section.classList.contains("texts")) return slideTexts(section);
    const pictures = [...section.querySelectorAll("img")];
    const show = (place) => pictures.forEach((picture, index) => { picture.hidden = index !== place; });
    followSlider(section, pictures.map((picture) => picture.dataset.step), show);
  }

  function followSlider(section, steps, show) {
    const slider = section.querySelector("input");
    section.dataset.steps = JSON.stringify(steps);
    section.querySelector(".slider").hidden = steps.length < 2;
    slider.addEventListener("input", () => {
      const place = Number(slider.value);
      show(place);
      section.querySelector("output").textContent = `Samples after step ${steps[place]}`;
      slider.setAttribute("aria-valuetext", steps[place]);
    });
  }

  // A cell that is the same at all steps is in the table and not in the data.
  function slideTexts(section) {
    const { agreeing, columns, steps } = JSON.parse(section.querySelector("script").textContent);
    const cells = [...section.querySelectorAll("td")];
    const last = cells.map((cell) => cell.textContent);
    const show = (place) => {
      cells.forEach((cell, index) => { cell.textContent = steps[place].cells[index] ?? last[index]; });
      section.querySelector(".exact").textContent = steps[place].exact;
      if (!agreeing) return;
      const [reference, translation] = agreeing;
      for (let row = 0; row < cells.length; row += columns) {
        const isExact = cells[row + reference].textContent === cells[row + translation].textContent;
        cells[row + translation].classList.toggle("exact", isExact);
      }
    };
    followSlider(section, steps.map(({ step }) => String(step)), show);
  }

  // --- Start -----------------------------------------------------------------------------------

  let figures = [];

  // A page of many layers has many charts: each of the later ones is drawn when it comes near the screen.
  const nearby = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) draw(entry.target);
  }, { rootMargin: "800px" });

  const sizes = new ResizeObserver((entries) => {
    if (isPrinting) return;
    for (const { target } of entries) {
      const plot = drawn.get(target);
      const width = target.querySelector(".plot").clientWidth;
      if (plot && plot.width !== width) plot.setSize({ width, height: CHART_HEIGHT });
    }
  });

  // What is wider or higher than its place can be scrolled by keyboard; what is not is no stop of the Tab key.
  const scrolled = new ResizeObserver((entries) => {
    for (const place of new Set(entries.map(({ target }) => target.closest(SCROLLED)))) {
      const isTooSmall = place.scrollWidth > place.clientWidth || place.scrollHeight > place.clientHeight;
      if (!isTooSmall) {
        for (const name of ["tabindex", "role", "aria-label"]) place.removeAttribute(name);
        continue;
      }
      place.tabIndex = 0;
      place.setAttribute("role", "group");
      place.setAttribute("aria-label", place.tagName === "PRE" ? "Text that scrolls" : "Table that scrolls");
    }
  });

  function print(starts) {
    isPrinting = starts;
    document.documentElement.classList.toggle("printing", starts);
    drawAgain();
    if (starts) figures.forEach(draw);
  }

  function start() {
    figures = [...document.querySelectorAll("figure.chart")].filter((figure) => figure.querySelector(".plot"));
    // Those of a folded part are drawn when it is opened.
    figures.filter((figure) => figure.checkVisibility()).slice(0, DRAWN_AT_ONCE).forEach(draw);
    for (const figure of figures) {
      nearby.observe(figure);
      sizes.observe(figure);
    }
    for (const details of document.querySelectorAll("main details")) {
      details.addEventListener("toggle", () => figures.filter((figure) => details.contains(figure) && figure.checkVisibility()).forEach(draw));
    }
    for (const hint of document.querySelectorAll(".drawn, .zoom")) hint.hidden = overSteps().length === 0;
    for (const place of document.querySelectorAll(SCROLLED)) {
      for (const part of [place, ...place.children]) scrolled.observe(part);
    }
    document.querySelectorAll(".decisions").forEach(readCells);
    document.querySelectorAll(".samples").forEach(slide);
    document.querySelectorAll(".heads").forEach(readHeat);
  }

  // --- A page that is followed: what is new takes the place of what is shown -----------------------

  function replaceMain(main) {
    const shown = document.querySelector("main");
    const scroll = [scrollX, scrollY];
    const keep = [openDetails, sliderPlaces, readoutTexts, focusPlace].map((keeper) => keeper(shown));
    const pointer = [...drawn.values()].map((plot) => plot.cursor).find((cursor) => cursor.left >= 0);
    const pointed = figures.findIndex((figure) => drawn.get(figure)?.cursor === pointer);
    nearby.disconnect();
    sizes.disconnect();
    scrolled.disconnect();
    figures.forEach(erase);
    shown.replaceWith(document.adoptNode(main));
    start();
    keep.forEach((restore) => restore(main));
    if (pointer) drawn.get(figures[pointed])?.setCursor({ left: pointer.left, top: pointer.top });
    scrollTo(...scroll);
  }

  // Each of these takes note of what a reader has done in the old part, and gives back what does the
  // same in the new one.

  function openDetails(old) {
    const wasOpen = new Map(byName(old, "details").map(([name, details]) => [name, details.open]));
    return (main) => byName(main, "details").forEach(([name, details]) => { details.open = wasOpen.get(name) ?? details.open; });
  }

  // Elements by names that stay theirs when others come before them.
  function byName(main, query) {
    const titles = [["section", "h2"], ["figure", "figcaption"], ["details", "summary"]];
    const counts = new Map();
    return [...main.querySelectorAll(query)].map((element) => {
      const name = titles.map(([part, title]) => element.closest(part)?.querySelector(title)?.textContent).join("\n");
      counts.set(name, (counts.get(name) ?? 0) + 1);
      return [`${name}\n${counts.get(name)}`, element];
    });
  }

  function sliderPlaces(old) {
    const stepsOf = (section) => JSON.parse(section.dataset.steps);
    const steps = [...old.querySelectorAll(".samples")].map((section) => {
      const slider = section.querySelector("input");
      return slider.value === slider.max ? null : stepsOf(section)[Number(slider.value)];
    });
    return (main) => main.querySelectorAll(".samples").forEach((section, index) => {
      const place = stepsOf(section).indexOf(steps[index]);
      if (place < 0) return; // it was at the newest samples, and stays there
      const slider = section.querySelector("input");
      slider.value = place;
      slider.dispatchEvent(new Event("input"));
    });
  }

  function readoutTexts(old) {
    const texts = new Map(byName(old, ".readout").map(([name, readout]) => [name, readout.textContent]));
    return (main) => byName(main, ".readout").forEach(([name, readout]) => { readout.textContent = texts.get(name) ?? readout.textContent; });
  }

  function focusPlace(old) {
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const place = [];
    for (let at = focused; at && at !== old; at = at.parentElement) place.unshift([...at.parentElement.children].indexOf(at));
    return (main) => {
      const found = place.reduce((at, index) => at?.children[index], main);
      if (focused && found?.tagName === focused.tagName) found.focus({ preventScroll: true });
    };
  }

  start();
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => zoomAsAsked(button.dataset.zoom, overSteps()[0]));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAgain);
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  document.addEventListener("osn:main", (event) => replaceMain(event.detail));
})();
