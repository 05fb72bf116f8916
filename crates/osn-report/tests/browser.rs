//! The page in a real browser: that charts draw, that pointer, keyboard and slider do what they say, and
//! that nothing is logged. Skipped with a note where neither Chromium nor Chrome is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use osn_report::{RunRecord, Sample, page};
use serde_json::Value;
use sha2::{Digest, Sha256};

const HOSTILE: &str =
    r#"</script><script>document.title="owned"</script><img src=x onerror=alert(1)>"'&"#;
/// A PNG of one pixel.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// What the tests do in the page, each an entry of one report.
const HOOK: &str = r#"
addEventListener("load", () => setTimeout(() => {
  const found = {};
  const all = (query) => [...document.querySelectorAll(query)];
  const pointer = (type, target, x, y) => {
    const box = target.getBoundingClientRect();
    target.dispatchEvent(new MouseEvent(type, { bubbles: true, clientX: box.left + x, clientY: box.top + y, button: 0 }));
  };
  const press = (target, key) => target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const legends = () => all(".plot").map((plot) => [...plot.querySelectorAll(".u-value")].map((value) => value.textContent));
  const axes = () => all(".plot").map((plot) => plot.querySelector("canvas").toDataURL().length);

  found.charts = all("figure.chart").length;
  found.drawn = all(".uplot canvas").filter((canvas) => canvas.width > 100 && canvas.height > 100 && hasInk(canvas)).length;
  function hasInk(canvas) {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.some((value) => value > 0);
  }
  found.titles = all("figcaption").map((title) => title.textContent);
  found.document_title = document.title;
  found.widest = document.documentElement.scrollWidth - innerWidth;

  const [plot] = all(".plot");
  const over = plot.querySelector(".u-over");
  found.legend_before = legends();
  pointer("mouseenter", over, 5, 50);
  pointer("mousemove", over, over.clientWidth - 1, 50);
  setTimeout(() => {
    found.legend_on_hover = legends();
    const pixels = () => all(".uplot canvas").map((canvas) => canvas.toDataURL());
    const whole = pixels();
    pointer("mousedown", over, 20, 50);
    const move = (type) => {
      const box = over.getBoundingClientRect();
      (type === "mouseup" ? document : over).dispatchEvent(new MouseEvent(type, { bubbles: true, clientX: box.left + over.clientWidth / 2, clientY: box.top + 50, movementX: 9, button: 0 }));
    };
    move("mousemove");
    setTimeout(() => {
      move("mouseup");
      setTimeout(() => {
        found.changed_by_drag = pixels().filter((now, index) => now !== whole[index]).length;
        document.querySelector("[data-zoom=all]").click();
        setTimeout(() => {
          found.changed_after_all = pixels().filter((now, index) => now !== whole[index]).length;
          press(plot, "End");
          found.spoken_at_end = document.getElementById("spoken").textContent;
          press(plot, "ArrowLeft");
          found.spoken_before = document.getElementById("spoken").textContent;
          found.label = plot.getAttribute("aria-label");
          readMap();
          slide();
          const report = document.createElement("pre");
          report.id = "report";
          report.textContent = JSON.stringify(found);
          document.body.append(report);
        }, 100);
      }, 100);
    }, 100);
  }, 100);

  function readMap() {
    const readout = document.querySelector(".readout");
    const cells = all(".map rect");
    if (cells.length === 0) return;
    cells[0].dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
    found.readout_on_hover = readout.textContent;
    found.tab_stops = cells.filter((cell) => cell.tabIndex === 0).length;
    cells[0].focus();
    press(cells[0], "ArrowRight");
    found.readout_on_key = readout.textContent;
    press(document.activeElement, "ArrowDown");
    found.readout_below = readout.textContent;
    found.tab_stops_after = cells.filter((cell) => cell.tabIndex === 0).length;
  }
  function slide() {
    const slider = document.querySelector(".samples input");
    if (!slider) return;
    const shown = () => all(".samples img").filter((image) => image.offsetWidth > 0).map((image) => image.alt);
    found.picture_before = shown();
    slider.value = "0";
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    found.picture_after = shown();
    found.output_after = document.querySelector(".samples output").textContent;
  }
}, 300));
"#;

#[test]
fn charts_draw_and_answer_the_pointer_and_the_keyboard() {
    let Some(found) = visit(&page(&[run("cap")]), "1200,900") else { return };
    assert_eq!(found["charts"], 7, "{found:#}");
    assert_eq!(found["drawn"], found["charts"], "{found:#}");
    let hovered = &found["legend_on_hover"];
    assert!(found["legend_before"][0].as_array().unwrap().iter().all(|value| value == "–"));
    // The pointer is at the last step of the first chart, and all others show that step too.
    assert_eq!(hovered[0], serde_json::json!(["40", "4", "1"]), "{found:#}");
    assert!(hovered.as_array().unwrap().iter().all(|legend| legend[0] == "40"), "{found:#}");
    assert_eq!(found["spoken_at_end"], "Step 40: Fréchet distance 4, real against real 1");
    assert!(found["spoken_before"].as_str().unwrap().starts_with("Step 30: "));
    let label = found["label"].as_str().unwrap();
    assert!(
        label.starts_with("Fréchet distance. Fréchet distance: from 40.00 at step 10 to 4.000"),
        "{label}"
    );
}

#[test]
fn dragging_zooms_every_chart_and_the_button_shows_all_again() {
    let Some(found) = visit(&page(&[run("cap")]), "1200,900") else { return };
    assert_eq!(found["changed_by_drag"], found["charts"], "{found:#}");
    assert_eq!(found["changed_after_all"], 0, "{found:#}");
}

#[test]
fn the_decision_map_tells_reasons_on_hover_and_focus() {
    let Some(found) = visit(&page(&[run("cap")]), "1200,900") else { return };
    assert_eq!(found["readout_on_hover"], "a, steps 0 to 20: off, strength 0. a is low at 10.");
    assert_eq!(
        found["readout_on_key"],
        "a, steps 20 to 30: cap, strength 1.000. a is high at 20. At step 20 from off to cap at 1: too large."
    );
    assert!(found["readout_below"].as_str().unwrap().starts_with("b, steps 20 to 30"), "{found:#}");
    assert_eq!(
        (&found["tab_stops"], &found["tab_stops_after"]),
        (&Value::from(1), &Value::from(1))
    );
}

#[test]
fn the_slider_changes_the_picture() {
    let Some(found) = visit(&page(&[run("cap")]), "1200,900") else { return };
    assert_eq!(found["picture_before"], serde_json::json!(["Samples after step 40"]));
    assert_eq!(found["picture_after"], serde_json::json!(["Samples after step 20"]));
    assert_eq!(found["output_after"], "Samples after step 20");
}

#[test]
fn hostile_names_are_shown_and_do_nothing() {
    let Some(found) = visit(&page(&[run(HOSTILE)]), "1200,900") else { return };
    assert!(found["document_title"].as_str().unwrap().contains(HOSTILE));
    let titles = found["titles"].as_array().unwrap();
    assert!(titles.iter().any(|title| title.as_str().unwrap().contains(HOSTILE)), "{titles:?}");
    assert_eq!(found["drawn"], found["charts"], "{found:#}");
}

#[test]
fn no_width_scrolls_sideways() {
    for size in ["1200,900", "500,900"] {
        let Some(found) = visit(&page(&[run("cap")]), size) else { return };
        assert!(found["widest"].as_i64().unwrap() <= 0, "{size}: {found:#}");
    }
}

#[test]
fn a_page_without_samples_layers_or_scores_logs_nothing() {
    let record = r#"{"event":"step","step":1,"losses":{"loss":1.0}}"#;
    let run = RunRecord::read("{}", record, Vec::new()).unwrap();
    let Some(found) = visit(&page(&[run]), "1200,900") else { return };
    assert_eq!((&found["charts"], &found["drawn"]), (&Value::from(1), &Value::from(1)));
}

/// A run of four logged steps with two layers; `name` stands wherever a file may name something.
fn run(name: &str) -> RunRecord {
    let name = Value::from(name);
    let run_json = format!(r#"{{"recipe":{name},"decide":{name},"seed":1,"status":"finished"}}"#);
    let mut lines = Vec::new();
    for step in [10, 20, 30, 40] {
        lines.push(format!(
            r#"{{"event":"step","step":{step},"losses":{{{name}:{step},"b":2.5}},"signals":{{{name}:-{step}}}}}"#
        ));
        for path in ["a", "b"] {
            lines.extend(layer(step, path));
        }
        lines.push(format!(
            r#"{{"event":"eval","step":{step},"metrics":{{"frechet":{}}},"floor":{{"frechet":1.0}}}}"#,
            if step == 40 { 4 } else { 50 - step }
        ));
    }
    let sample = |step| Sample { step, png: BASE64.decode(PIXEL).unwrap() };
    RunRecord::read(&run_json, &lines.join("\n"), vec![sample(20), sample(40)]).unwrap()
}

/// A layer that is capped from step 20 on, and the decision to.
fn layer(step: u64, path: &str) -> Vec<String> {
    let (action, strength, what) = if step < 20 { ("off", 0, "low") } else { ("cap", 1, "high") };
    let decision = format!(
        r#"{{"event":"decision","step":20,"network":"d","path":"{path}","from":"off","to":"cap at 1","reason":"too large"}}"#
    );
    let measured = format!(
        r#"{{"event":"layer","step":{step},"network":"d","path":"{path}","sigma":{step},"stable_rank":3.5,"target":1.0,
        "scale":0.5,"strength":{strength},"action":"{action}","reason":"{path} is {what} at {step}"}}"#
    );
    let decided = (step == 20).then_some(decision);
    decided.into_iter().chain([measured.replace('\n', " ")]).collect()
}

/// Opens the page with the hook and returns what that found; `None` where there is no browser.
fn visit(page: &str, size: &str) -> Option<Value> {
    let Some(browser) = browser() else {
        eprintln!("skipped: neither chromium nor google-chrome is installed");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    fs::write(&file, with_hook(page)).unwrap();
    let output = open(&browser, folder.path(), &file, size);
    let log = String::from_utf8_lossy(&output.stderr);
    let said: Vec<_> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(said.is_empty(), "the console says: {said:?}");
    let html = String::from_utf8_lossy(&output.stdout);
    let report =
        html.split("<pre id=\"report\">").nth(1).unwrap_or_else(|| panic!("no report: {log}"));
    let report = report.split("</pre>").next().unwrap();
    let report = report.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    Some(serde_json::from_str(&report).unwrap())
}

fn browser() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&folders)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|file| file.is_file())
}

/// The policy would refuse the hook, as it refuses every script that is not the page's own.
fn with_hook(page: &str) -> String {
    let hash = BASE64.encode(Sha256::digest(HOOK));
    let allowed = page.replacen("script-src ", &format!("script-src 'sha256-{hash}' "), 1);
    allowed.replacen("</body>", &format!("<script>{HOOK}</script></body>"), 1)
}

fn open(browser: &Path, profile: &Path, file: &Path, size: &str) -> Output {
    Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        .args(["--enable-logging=stderr", "--v=0", "--virtual-time-budget=6000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.join("profile").display()))
        .arg(format!("--window-size={size}"))
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap()
}
