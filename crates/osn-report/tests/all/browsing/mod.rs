//! A page in a real browser. Without Chromium or Chrome a test says that it was skipped, and fails where
//! `OSN_TEST_BROWSER=required` says that there must be one.

#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A name that does harm wherever it becomes markup.
pub(crate) const HOSTILE: &str =
    r#"</script><script>document.title="owned"</script><img src=x onerror=alert(1)>"'&"#;
/// A PNG of one pixel.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// Writes what a hook sends to the page, or to the page that frames it, where it is read.
const LISTENER: &str = r#"
addEventListener("message", (event) => {
  const report = document.body.appendChild(document.createElement("pre"));
  report.id = "report";
  report.textContent = event.data;
});
"#;

/// A picture of one pixel.
pub(crate) fn pixel() -> Vec<u8> {
    BASE64.decode(PIXEL).unwrap()
}

/// Opens the page with the hook, which does what a reader does, and returns what that found; `None`
/// where there is no browser.
pub(crate) fn visit(page: &str, hook: &str) -> Option<Value> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    fs::write(&file, with_hook(page, hook)).unwrap();
    report_of(folder.path(), &format!("file://{}", file.display()))
}

/// The same in a frame of that many pixels: no window of the browser is as narrow as a phone.
pub(crate) fn visit_at_width(page: &str, hook: &str, width: u32) -> Option<Value> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("page.html"), with_hook(page, hook)).unwrap();
    let file = folder.path().join("frame.html");
    let frame = format!("<iframe src=page.html style='width:{width}px;height:900px;border:0'>");
    fs::write(&file, format!("<body>{frame}</iframe><script>{LISTENER}</script></body>")).unwrap();
    report_of(folder.path(), &format!("file://{}", file.display()))
}

/// The same of a page that is served, by whoever has put the hook in.
pub(crate) fn visit_address(address: &str) -> Option<Value> {
    let folder = tempfile::tempdir().unwrap();
    report_of(folder.path(), address)
}

/// The policy would refuse the hook, as it refuses every script that is not the page's own.
pub(crate) fn with_hook(page: &str, hook: &str) -> String {
    let hook = format!("{hook}{LISTENER}");
    let hash = BASE64.encode(Sha256::digest(&hook));
    let allowed = page.replacen("script-src ", &format!("script-src 'sha256-{hash}' "), 1);
    allowed.replacen("</body>", &format!("<script>{hook}</script></body>"), 1)
}

/// What the cells of the decision map say, in their order.
pub(crate) fn cells(page: &str) -> Vec<&str> {
    let cells = page.split("<rect ").skip(1);
    cells
        .map(|cell| cell.split("aria-label=\"").nth(1).unwrap().split('"').next().unwrap())
        .collect()
}

fn report_of(folder: &Path, address: &str) -> Option<Value> {
    let Some(browser) = browser() else {
        let is_required = std::env::var("OSN_TEST_BROWSER").is_ok_and(|it| it == "required");
        assert!(!is_required, "neither chromium nor google-chrome is installed");
        eprintln!("skipped: neither chromium nor google-chrome is installed");
        return None;
    };
    let output = open(&browser, folder, address);
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

/// Without its sandbox, which does not start for the super-user and in most containers.
fn open(browser: &Path, folder: &Path, address: &str) -> Output {
    Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        .args(["--enable-logging=stderr", "--v=0", "--virtual-time-budget=8000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg("--window-size=1200,900")
        .arg(address)
        .output()
        .unwrap()
}
