//! The live page: what its server answers, whom it refuses, and when it ends.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::processes::{done, ends_with, osn_on, refused};

/// How long a server that does not answer is waited for.
const PATIENCE: Duration = Duration::from_mins(1);

const RUNNING: &str = r#"{"schema":1,"recipe":"gan","preset":"quick","decide":"cap","rules":null,"seed":1,
    "data":"points","device":"flex","config":{},"versions":{"osn":"0","burn":"0","target_features":[]},
    "machine":{"os":"linux","arch":"x","n_cores":1},"started_unix_secs":1,"status":"running","error":null,
    "totals":null}"#;

/// A process that serves a page, and does not outlive its test.
struct Serving {
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// Host and port of the page, as the program says it.
    address: String,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serving {
    fn start(mut command: Command) -> Self {
        let mut child = command.env("RAYON_NUM_THREADS", "1").spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("http://") {
            line.clear();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended without an address");
        }
        let address = line.split_once("http://").unwrap().1.split_once('/').unwrap().0.to_owned();
        Self { child, stderr, address }
    }

    /// The exit code, and what it said after the address.
    fn end(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }

    /// The answer to a request, head and body; `None` where nobody answers.
    fn ask(&self, line: &str, headers: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request =
            format!("{line} HTTP/1.1\r\nConnection: close\r\nTE: identity\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        // An answer in chunks may be cut within a letter.
        Some(String::from_utf8_lossy(&answer).into_owned())
    }

    /// The answer to a browser that asks for the page.
    fn get(&self, headers: &str) -> Option<String> {
        self.ask("GET /", &format!("Host: {}\r\n{headers}", self.address))
    }
}

fn status(answer: Option<String>) -> String {
    answer.unwrap().split_whitespace().nth(1).unwrap().to_owned()
}

/// The request header of a browser that has this answer.
fn known(answer: &str) -> String {
    let tag = answer.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap();
    format!("If-None-Match: {tag}\r\n")
}

/// The number of steps on a page.
fn steps(page: &str) -> &str {
    page.split_once("<dt>Steps</dt><dd>").unwrap().1.split('<').next().unwrap()
}

fn has_ended(page: &str) -> bool {
    page.contains("<main data-ended>")
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

fn watch(folder: &TempDir) -> Command {
    osn_on("watch", folder.path())
}

#[test]
fn the_page_is_new_when_the_run_is_and_the_server_ends_with_it() {
    let (folder, _lock) = run();
    let server = Serving::start(watch(&folder));
    let first = server.get("").unwrap();
    assert_eq!(steps(&first), "1");
    assert_eq!(status(server.get(&known(&first))), "304");
    // A line that is half written is not shown, and not forgotten.
    let line = step(20);
    let (head, end) = line.split_at(30);
    append(folder.path(), head);
    assert_eq!(steps(&server.get(&known(&first)).unwrap()), "1");
    append(folder.path(), end);
    let second = server.get(&known(&first)).unwrap();
    assert!(steps(&second) == "20" && !has_ended(&second));
    fs::write(folder.path().join("run.json"), RUNNING.replace("running", "finished")).unwrap();
    assert!(has_ended(&server.get(&known(&second)).unwrap()));
    let address = server.address.clone();
    assert_eq!(server.end().0, Some(0));
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn other_hosts_other_origins_and_other_requests_are_refused() {
    let (folder, _lock) = run();
    let server = Serving::start(watch(&folder));
    let address = &server.address;
    let port = address.rsplit(':').next().unwrap();
    let of_host = |host: &str| server.ask("GET /", &format!("Host: {host}\r\n"));
    assert_eq!(status(of_host(&format!("localhost:{port}"))), "200");
    for host in ["evil.example", "127.0.0.1", "127.0.0.1:1", &format!("evil.example:{port}")] {
        let answer = of_host(host).unwrap();
        assert!(answer.starts_with("HTTP/1.1 403") && !answer.contains("generator"), "{host}");
    }
    let of_origin = |origin: &str| status(server.get(&format!("Origin: {origin}\r\n")));
    assert_eq!(of_origin(&format!("http://{address}")), "200");
    let https = format!("https://{address}");
    for origin in ["http://evil.example", "null", &https, "http://127.0.0.1:1"] {
        assert_eq!(of_origin(origin), "403", "{origin}");
    }
    assert_eq!(status(server.get("Sec-Fetch-Site: cross-site\r\n")), "403");
    for (line, code) in [
        ("POST /", "405"),
        ("GET /../../etc/passwd", "404"),
        ("GET /record.jsonl", "404"),
        ("GET /", "200"),
    ] {
        assert_eq!(status(server.ask(line, &format!("Host: {address}\r\n"))), code, "{line}");
    }
}

#[test]
fn a_damaged_record_is_an_error_and_a_mended_one_is_shown() {
    let (folder, _lock) = run();
    let server = Serving::start(watch(&folder));
    append(folder.path(), "no event\n");
    let answer = server.get("").unwrap();
    assert!(answer.starts_with("HTTP/1.1 500") && answer.contains("record.jsonl"), "{answer}");
    // Shorter than before: a run that went on from an earlier step.
    fs::write(folder.path().join("record.jsonl"), "").unwrap();
    append(folder.path(), &step(7));
    assert_eq!(steps(&server.get("").unwrap()), "7");
}

#[test]
fn a_run_that_has_ended_has_a_page_and_no_server() {
    let (folder, _lock) = run();
    fs::write(folder.path().join("run.json"), RUNNING.replace("running", "finished")).unwrap();
    done(watch(&folder));
    assert!(folder.path().join("report.html").is_file());
    refused(osn_on("watch", "/no/such/run".as_ref()));
}

#[test]
fn a_run_whose_process_died_is_not_watched_on() {
    let (folder, lock) = run();
    let server = Serving::start(watch(&folder));
    drop(lock);
    let (code, said) = server.end();
    assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
    assert!(folder.path().join("report.html").is_file());
    assert_eq!(ends_with(1, watch(&folder)).stderr, said);
}

#[test]
fn training_serves_its_own_page_until_it_ends() {
    let out = TempDir::new().unwrap();
    let line = "train control --open --set steps=4000 --out";
    let server = Serving::start(osn_on(line, out.path()));
    let (start, mut last) = (Instant::now(), None);
    // What is asked while it ends may be dropped.
    while let Some(page) = server.get("").filter(|page| page.starts_with("HTTP/1.1 200")) {
        last = Some(page);
        assert!(start.elapsed() < PATIENCE, "it serves on");
    }
    // A page that is watched is there until it has been seen as it is in the end.
    let last = last.unwrap();
    assert!(has_ended(&last) && last.contains("control · auto:task=control · seed 1"));
    let (code, said) = server.end();
    assert_eq!(code, Some(0), "{said}");
}
