//! The live page: what its server answers, whom it refuses, and when it ends.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const RUNNING: &str = r#"{"schema":1,"recipe":"gan","preset":"quick","decide":"cap","rules":null,"seed":1,
    "data":"points","device":"flex","config":{},"versions":{"osn":"0","burn":"0","target_features":[]},
    "machine":{"os":"linux","arch":"x","n_cores":1},"started_unix_secs":1,"status":"running","error":null,
    "totals":null}"#;
const PATIENCE: Duration = Duration::from_mins(1);

/// A process that does not outlive its test.
struct Osn {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Drop for Osn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Osn {
    fn start(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_osn"));
        // A browser that opens nothing.
        command.args(args).env("BROWSER", "true").env("RAYON_NUM_THREADS", "1");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr }
    }

    /// Host and port of the page, as the program says it.
    fn address(&mut self) -> String {
        let mut line = String::new();
        while !line.contains("http://") {
            line.clear();
            assert!(self.stderr.read_line(&mut line).unwrap() > 0, "it ended without an address");
        }
        line.split_once("http://").unwrap().1.split_once('/').unwrap().0.to_owned()
    }

    fn end(mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap(), said)
    }
}

/// The answer to a request, head and body; `None` where nobody answers.
fn ask(address: &str, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    // An answer in chunks may be cut within a letter.
    Some(String::from_utf8_lossy(&answer).into_owned())
}

fn get(address: &str, headers: &str) -> Option<String> {
    ask(
        address,
        &format!(
            "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nTE: identity\r\n{headers}\r\n"
        ),
    )
}

fn status(answer: Option<String>) -> String {
    answer.unwrap().split_whitespace().nth(1).unwrap().to_owned()
}

fn tag(answer: &str) -> &str {
    answer.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap()
}

/// A run, and what tells that the process that trains it is alive.
fn run() -> (TempDir, File) {
    let folder = tempfile::tempdir().unwrap();
    let lock = File::create(folder.path().join("run.lock")).unwrap();
    lock.lock().unwrap();
    fs::create_dir(folder.path().join("samples")).unwrap();
    fs::write(folder.path().join("run.json"), RUNNING).unwrap();
    fs::write(folder.path().join("record.jsonl"), step(1)).unwrap();
    (folder, lock)
}

fn step(step: u64) -> String {
    format!("{{\"event\":\"step\",\"step\":{step},\"losses\":{{\"generator\":0.5}}}}\n")
}

fn append(folder: &Path, text: &str) {
    let record = OpenOptions::new().append(true).open(folder.join("record.jsonl"));
    record.unwrap().write_all(text.as_bytes()).unwrap();
}

fn watch(folder: &TempDir) -> Osn {
    Osn::start(&["watch", folder.path().to_str().unwrap()])
}

#[test]
fn the_page_is_new_when_the_run_is_and_the_server_ends_with_it() {
    let (folder, _lock) = run();
    let mut osn = watch(&folder);
    let address = osn.address();
    let first = get(&address, "").unwrap();
    assert!(first.contains("<dt>Steps</dt><dd>1</dd>"), "{first}");
    let known = format!("If-None-Match: {}\r\n", tag(&first));
    assert_eq!(status(get(&address, &known)), "304");
    // A line that is half written is not shown, and not forgotten.
    let line = step(20);
    let (head, end) = line.split_at(30);
    append(folder.path(), head);
    assert!(get(&address, &known).unwrap().contains("<dt>Steps</dt><dd>1</dd>"));
    append(folder.path(), end);
    let second = get(&address, &known).unwrap();
    assert!(second.contains("<dt>Steps</dt><dd>20</dd>") && !second.contains("data-ended>"));
    fs::write(folder.path().join("run.json"), RUNNING.replace("running", "finished")).unwrap();
    assert!(
        get(&address, &format!("If-None-Match: {}\r\n", tag(&second)))
            .unwrap()
            .contains("<main data-ended>")
    );
    assert!(osn.end().0.success());
    assert_eq!(get(&address, ""), None);
}

#[test]
fn other_hosts_other_origins_and_other_requests_are_refused() {
    let (folder, _lock) = run();
    let mut osn = watch(&folder);
    let address = osn.address();
    let port = address.rsplit(':').next().unwrap();
    let with_host = |host: &str| {
        ask(&address, &format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
    };
    assert_eq!(status(with_host(&format!("localhost:{port}"))), "200");
    for host in ["evil.example", "127.0.0.1", "127.0.0.1:1", &format!("evil.example:{port}")] {
        let answer = with_host(host).unwrap();
        assert!(answer.starts_with("HTTP/1.1 403") && !answer.contains("generator"), "{host}");
    }
    assert_eq!(status(get(&address, &format!("Origin: http://{address}\r\n"))), "200");
    let https = format!("https://{address}");
    for origin in ["http://evil.example", "null", &https, "http://127.0.0.1:1"] {
        assert_eq!(status(get(&address, &format!("Origin: {origin}\r\n"))), "403", "{origin}");
    }
    assert_eq!(status(get(&address, "Sec-Fetch-Site: cross-site\r\n")), "403");
    let asked = |line: &str| {
        status(ask(
            &address,
            &format!("{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"),
        ))
    };
    assert_eq!(asked("POST /"), "405");
    assert_eq!(asked("GET /../../etc/passwd"), "404");
    assert_eq!(asked("GET /record.jsonl"), "404");
    assert_eq!(asked("GET /"), "200");
}

#[test]
fn a_damaged_record_is_said_and_a_mended_one_shown() {
    let (folder, _lock) = run();
    let mut osn = watch(&folder);
    let address = osn.address();
    append(folder.path(), "no event\n");
    let answer = get(&address, "").unwrap();
    assert!(answer.starts_with("HTTP/1.1 500") && answer.contains("record.jsonl"), "{answer}");
    // Shorter than before: a run that went on from an earlier step.
    fs::write(folder.path().join("record.jsonl"), "").unwrap();
    append(folder.path(), &step(7));
    assert!(get(&address, "").unwrap().contains("<dt>Steps</dt><dd>7</dd>"));
}

#[test]
fn a_run_that_has_ended_has_a_page_and_no_server() {
    let (folder, _lock) = run();
    fs::write(folder.path().join("run.json"), RUNNING.replace("running", "finished")).unwrap();
    let (status, said) = watch(&folder).end();
    assert!(status.success() && said.contains("report.html"), "{said}");
    assert!(folder.path().join("report.html").is_file());
    let (status, said) = Osn::start(&["watch", "/no/such/run"]).end();
    assert_eq!(status.code(), Some(2));
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_run_whose_process_died_is_not_watched_on_and_says_how_it_goes_on() {
    let (folder, lock) = run();
    let mut osn = watch(&folder);
    osn.address();
    drop(lock);
    let is_told = |(status, said): (ExitStatus, String)| {
        assert_eq!((status.code(), said.lines().count()), (Some(1), 1), "{said}");
        assert!(said.contains(&format!("resume {}", folder.path().display())), "{said}");
    };
    is_told(osn.end());
    assert!(folder.path().join("report.html").is_file());
    is_told(watch(&folder).end());
}

#[test]
fn training_serves_its_own_page_until_it_ends() {
    let out = tempfile::tempdir().unwrap();
    let out = format!("--out={}", out.path().display());
    let mut osn = Osn::start(&["train", "control", "--open", "--set", "steps=4000", &out]);
    let address = osn.address();
    let start = Instant::now();
    let mut last = None;
    // What is asked while it ends may be dropped.
    while let Some(page) = get(&address, "").filter(|page| page.starts_with("HTTP/1.1 200")) {
        assert!(page.contains("control · auto:task=control · seed 1"), "{page}");
        assert!(start.elapsed() < PATIENCE);
        last = Some(page);
    }
    // A page that is watched is there until it has been seen as it is in the end.
    assert!(last.unwrap().contains("<main data-ended>"));
    let (status, said) = osn.end();
    assert!(status.success(), "{said}");
}
