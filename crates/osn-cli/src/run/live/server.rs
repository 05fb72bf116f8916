//! A server for one page, for the browsers of this machine only.

use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use osn_report::live_page;
use tiny_http::{Header, Method, Request, Response, Server};

use super::follow::Follower;
use crate::failure::Failure;

/// Any free port, on the interface that only this machine reaches.
const LOOPBACK: &str = "127.0.0.1:0";
/// How long to wait for a request between two looks at the closing flag.
const WAIT: Duration = Duration::from_millis(100);
/// How long after its last request a browser counts as watching.
const WATCHING: Duration = Duration::from_secs(3);
/// How long closing waits for a browser to fetch the last state.
const LAST_LOOK: Duration = Duration::from_secs(3);

/// Serves one run until it is closed or dropped.
pub(crate) struct LiveServer {
    address: String,
    is_closing: Arc<AtomicBool>,
    closed: Receiver<()>,
}

impl LiveServer {
    /// Starts to serve on a free port.
    pub(super) fn start(follower: Follower) -> Result<Self, Failure> {
        let unable = |error| Failure::failed(format!("cannot serve the live page: {error}"));
        let server = Server::http(LOOPBACK).map_err(|error| unable(error.to_string()))?;
        let port = server.server_addr().to_ip().map(|address| address.port());
        let port = port.ok_or_else(|| unable("it has no port".to_owned()))?;
        let is_closing = Arc::new(AtomicBool::new(false));
        let (sender, closed) = mpsc::channel();
        let service = Service { follower, port, last_request: Instant::now(), shown: None };
        let flag = Arc::clone(&is_closing);
        thread::spawn(move || serve(&server, service, &flag, &sender));
        Ok(Self { address: format!("http://127.0.0.1:{port}/"), is_closing, closed })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The message with the address of the page.
    pub(crate) fn announcement(&self) -> String {
        format!("live at {} until the run ends, for this machine only", self.address)
    }

    /// Closes once a browser that watches has fetched the last state, or after a few seconds.
    pub(crate) fn close(self) {
        self.is_closing.store(true, Ordering::Relaxed);
        // A browser that reads nothing must not delay the end of the run.
        let _ = self.closed.recv_timeout(LAST_LOOK + WATCHING);
    }
}

impl Drop for LiveServer {
    fn drop(&mut self) {
        self.is_closing.store(true, Ordering::Relaxed);
    }
}

fn serve(server: &Server, mut service: Service, is_closing: &AtomicBool, closed: &Sender<()>) {
    let mut deadline = None;
    loop {
        // Errors of one connection are its own; without a request there is nothing to answer.
        if let Ok(Some(request)) = server.recv_timeout(WAIT) {
            service.answer(request);
        }
        if is_closing.load(Ordering::Relaxed) {
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + LAST_LOOK);
            if !service.is_awaited() || Instant::now() > deadline {
                break;
            }
        }
    }
    // The receiver may be gone.
    let _ = closed.send(());
}

type Reply = Response<Cursor<Vec<u8>>>;

struct Service {
    follower: Follower,
    port: u16,
    /// At first that of the start: a browser takes a moment to open.
    last_request: Instant,
    /// The tag of what was fetched last.
    shown: Option<u64>,
}

impl Service {
    fn answer(&mut self, request: Request) {
        let reply = self.reply(&request);
        // A browser that is gone needs no answer.
        let _ = request.respond(guarded(reply));
    }

    fn reply(&mut self, request: &Request) -> Reply {
        if !self.is_from_here(request) {
            return said(403, "this page is for the browsers of its own machine");
        }
        match (request.method(), request.url()) {
            (Method::Get | Method::Head, "/") => {
                self.page(request).unwrap_or_else(|failure| said(500, &failure.one_line()))
            }
            (Method::Get | Method::Head, _) => said(404, "there is one page, at /"),
            _ => said(405, "only GET is answered"),
        }
    }

    fn page(&mut self, request: &Request) -> Result<Reply, Failure> {
        self.last_request = Instant::now();
        // The tag first: what is written after it changes the next tag.
        let tag = self.follower.tag()?;
        let etag = format!("\"{tag:016x}\"");
        self.shown = Some(tag);
        if header(request, "If-None-Match") == Some(&etag) {
            return Ok(Response::from_data(Vec::new()).with_status_code(304));
        }
        let page = live_page(&self.follower.poll()?);
        let html = typed(Response::from_data(page), "text/html; charset=utf-8");
        Ok(with_header(html, "ETag", &etag))
    }

    /// Whether the request has this server's own name, and comes from its own page or from none: a foreign
    /// page can make a browser send requests, also under another name of this address.
    fn is_from_here(&self, request: &Request) -> bool {
        let names = ["127.0.0.1", "localhost"].map(|name| format!("{name}:{}", self.port));
        let is_own = |host: &str| names.iter().any(|name| name == host);
        let origin = header(request, "Origin").map(|it| it.strip_prefix("http://").unwrap_or(it));
        let site = header(request, "Sec-Fetch-Site");
        header(request, "Host").is_some_and(is_own)
            && origin.is_none_or(is_own)
            && site.is_none_or(|site| ["same-origin", "none"].contains(&site))
    }

    /// Whether a browser is watching that has not seen the last state.
    fn is_awaited(&self) -> bool {
        let is_watched = self.last_request.elapsed() < WATCHING;
        is_watched && self.shown != self.follower.tag().ok()
    }
}

fn header<'a>(request: &'a Request, name: &'static str) -> Option<&'a str> {
    let found = request.headers().iter().find(|header| header.field.equiv(name));
    found.map(|header| header.value.as_str())
}

fn said(code: u16, words: &str) -> Reply {
    typed(Response::from_data(format!("{words}\n")), "text/plain; charset=utf-8")
        .with_status_code(code)
}

fn typed(reply: Reply, kind: &str) -> Reply {
    with_header(reply, "Content-Type", kind)
}

/// Headers that forbid caching, framing, guessing of types, and use by other pages.
fn guarded(reply: Reply) -> Reply {
    [
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Referrer-Policy", "no-referrer"),
    ]
    .into_iter()
    .fold(reply, |reply, (name, value)| with_header(reply, name, value))
}

fn with_header(reply: Reply, name: &str, value: &str) -> Reply {
    match Header::from_bytes(name, value) {
        Ok(header) => reply.with_header(header),
        // Only text that is not ASCII, which none of these is.
        Err(()) => reply,
    }
}
