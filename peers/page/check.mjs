// Opens pages of osn in Chromium, wide and narrow, light and dark, by mouse and by keyboard alone, and fails where
// axe-core finds something serious, where a page is wider than its window, where the keyboard does not get through or
// where nobody sees where it is, and where the console says something.
//
//   node check.mjs [--shots DIR] PAGE...
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { existsSync } from "node:fs";
import { pathToFileURL } from "node:url";

import axe from "axe-core";
import { chromium } from "playwright-core";

const WIDTHS = [400, 1000, 1600];
const SCHEMES = ["light", "dark"];
const GRAVE = ["serious", "critical"];
/** More stops of the Tab key than this, and nobody gets through. */
const MOST_STOPS = 400;

function browserFile() {
  const names = ["chromium", "chromium-browser", "google-chrome"];
  const folders = (process.env.PATH ?? "").split(":");
  return folders.flatMap((folder) => names.map((name) => join(folder, name))).find((file) => existsSync(file));
}

function readArguments() {
  const pages = process.argv.slice(2);
  const at = pages.indexOf("--shots");
  const [, shots] = at < 0 ? [] : pages.splice(at, 2);
  return { pages, shots };
}

/** What axe-core finds, a line for each kind. */
async function findings(page, state) {
  // Injected as the browser's own tools do it: the page's policy refuses every script but its own.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  return violations.map(({ id, impact, help, nodes }) => ({
    isGrave: GRAVE.includes(impact),
    text: `${state}: ${impact}: ${id}: ${help} (${nodes.length}), first: ${nodes[0].html.slice(0, 160)}${why(nodes[0])}`,
  }));
}

function why(node) {
  const [check] = [...node.any, ...node.all, ...node.none];
  return check ? `\n      ${check.message}` : "";
}

const grave = (text) => ({ isGrave: true, text });

/** Every place that the Tab key stops at: whether it is seen, and what it is. */
async function walk(page) {
  await page.evaluate(() => { document.activeElement?.blur(); scrollTo(0, 0); });
  const stops = [];
  while (stops.length <= MOST_STOPS) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluate(() => {
      const at = document.activeElement;
      if (!at || at === document.body) return null;
      const seen = globalThis.osnStops ??= new Set();
      if (seen.has(at)) return null;
      seen.add(at);
      const style = getComputedStyle(at);
      const hasMark = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
      const hasStroke = at instanceof SVGElement && style.stroke !== "none";
      const { width, height } = at.getBoundingClientRect();
      const name = at.tagName + (at.getAttribute("aria-label") ?? at.textContent ?? "").slice(0, 60);
      return { name, isMarked: hasMark || hasStroke, isSeen: width > 0 && height > 0 };
    });
    if (!stop) break;
    stops.push(stop);
  }
  return stops;
}

async function byKeyboard(page, state) {
  const stops = await walk(page);
  const found = stops.filter((stop) => !stop.isMarked || !stop.isSeen)
    .map((stop) => grave(`${state}: the keyboard is at ${stop.name}, and it does not show`));
  if (stops.length > MOST_STOPS) found.push(grave(`${state}: more than ${MOST_STOPS} stops of the Tab key`));
  const reachable = await page.evaluate(() => {
    const all = [...document.querySelectorAll("a[href], button, summary, input, [tabindex='0']")];
    const visible = all.filter((at) => at.checkVisibility({ visibilityProperty: true }) && at.tabIndex >= 0);
    return visible.filter((at) => !globalThis.osnStops?.has(at)).map((at) => at.outerHTML.slice(0, 100));
  });
  found.push(...reachable.map((html) => grave(`${state}: the Tab key does not reach ${html}`)));
  return [...found, ...(await throughMap(page, state))];
}

/** The arrow keys go through the decision map, and each cell is said below it. */
async function throughMap(page, state) {
  const first = page.locator(".decisions [role=gridcell][tabindex='0']").first();
  if ((await first.count()) === 0) return [];
  await first.focus();
  const said = async () => page.evaluate(() => {
    const at = document.activeElement;
    const section = at?.closest(".decisions");
    return section?.querySelector(".readout")?.textContent === at?.getAttribute("aria-label");
  });
  const found = [];
  for (const key of ["ArrowRight", "ArrowDown", "Home"]) {
    await page.keyboard.press(key);
    if (!(await said())) found.push(grave(`${state}: after ${key} the map does not say where it is`));
  }
  return [...found, ...(await findings(page, `${state}, in the map`))];
}

async function tooWide(page, state) {
  const excess = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  return excess > 0 ? [grave(`${state}: ${excess} pixels wider than its window`)] : [];
}

async function unfold(page) {
  await page.evaluate(() => { for (const each of document.querySelectorAll("details")) each.open = true; });
  // Charts are drawn where they come into sight.
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  for (let top = 0; top < height; top += 800) {
    await page.evaluate((to) => scrollTo(0, to), top);
    await page.waitForTimeout(20);
  }
}

async function check(browser, file, width, colorScheme, shots) {
  const name = `${basename(dirname(file))}-${basename(file, ".html")}`;
  const state = `${name} at ${width}, ${colorScheme}`;
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
  const page = await context.newPage();
  const found = [];
  page.on("console", (message) => found.push(grave(`${state}: the console says ${message.text()}`)));
  page.on("pageerror", (error) => found.push(grave(`${state}: ${error.message}`)));
  await page.goto(pathToFileURL(file).href, { waitUntil: "load" });
  await page.waitForTimeout(200);
  if (shots) await page.screenshot({ path: join(shots, `${name}-${width}-${colorScheme}.png`), fullPage: true });
  found.push(...(await findings(page, state)), ...(await tooWide(page, state)));
  found.push(...(await byKeyboard(page, `${state}, keyboard`)));
  await unfold(page);
  found.push(...(await findings(page, `${state}, unfolded`)), ...(await tooWide(page, `${state}, unfolded`)));
  await context.close();
  return found;
}

async function main() {
  const { pages, shots } = readArguments();
  const executablePath = browserFile();
  if (pages.length === 0 || !executablePath) {
    console.error(executablePath ? "usage: node check.mjs [--shots DIR] PAGE..." : "no Chromium on the PATH");
    return 2;
  }
  if (shots) await mkdir(shots, { recursive: true });
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  const found = [];
  for (const file of pages.map((page) => resolve(page)))
    for (const width of WIDTHS)
      for (const scheme of SCHEMES) found.push(...(await check(browser, file, width, scheme, shots)));
  await browser.close();
  const texts = [...new Set(found.map(({ text }) => text))];
  for (const text of texts) console.log(text);
  const n = found.filter(({ isGrave }) => isGrave).length;
  const { version } = createRequire(import.meta.url)("axe-core/package.json");
  console.log(`${pages.length} pages, axe-core ${version}: ${n} serious findings, ${found.length - n} others`);
  return n > 0 ? 1 : 0;
}

process.exitCode = await main();
