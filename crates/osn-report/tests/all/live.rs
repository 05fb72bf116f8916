//! The live page in a real browser: that what is new takes the place of what is shown without a reload,
//! and that what its reader has done stays.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use osn_report::{RunRecord, Sample, live_page};
use serde_json::{Value, json};

use crate::browsing::{cells, pixel, visit_address, with_hook};

const HOOK: &str = include_str!("../live_hook.js");

/// The page of a run that has done so many steps.
fn page(n_steps: u64, status: &str) -> String {
    let description = json!({"recipe": "gan", "decide": "cap", "seed": 1, "status": status});
    let lines = (1..=n_steps).flat_map(|step| {
        [
            json!({"event": "step", "step": step, "losses": {"loss": step}}),
            json!({"event": "layer", "step": step, "network": "d", "path": "a", "sigma": 2.0, "scale": 0.5,
                "elasticity": 1.0, "action": "cap", "reason": "too large"}),
        ]
    });
    // A scoring comes later, and its folded table before all that is open.
    let eval = json!({"event": "eval", "step": 3, "metrics": {"kid": 1.0, "kid/class0": 1.0}});
    let lines = lines.chain((n_steps > 2).then_some(eval));
    let record: Vec<String> = lines.map(|line| line.to_string()).collect();
    let samples = (1..=n_steps).map(|step| Sample::picture(step, pixel())).collect();
    let run = RunRecord::read(&description.to_string(), &record.join("\n"), samples).unwrap();
    with_hook(&live_page(&run), HOOK)
}

/// The page at three moments: whoever knows one gets the next, the last after having been told once that
/// there is nothing new.
fn serve(listener: &TcpListener) {
    let pages = [page(2, "running"), page(4, "running"), page(4, "finished")];
    let mut n_known_last = 0;
    for stream in listener.incoming().map_while(Result::ok) {
        let known = known(&stream);
        let is_waiting = known == Some(1) && n_known_last == 0;
        n_known_last += usize::from(known == Some(1));
        let next = known.map_or(0, |known| (known + 1).min(2));
        let answer = if is_waiting {
            "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n".to_owned()
        } else {
            let length = pages[next].len();
            let head =
                format!("ETag: \"{next}\"\r\nContent-Type: text/html\r\nContent-Length: {length}");
            format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{head}\r\n\r\n{}", pages[next])
        };
        // A browser that is gone needs no answer.
        let _ = (&stream).write_all(answer.as_bytes());
    }
}

/// The number in the request's `If-None-Match`.
fn known(stream: &TcpStream) -> Option<usize> {
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    let mut head = lines.take_while(|line| !line.is_empty());
    head.find_map(|line| {
        line.to_lowercase().strip_prefix("if-none-match: \"")?.strip_suffix('"')?.parse().ok()
    })
}

fn visit() -> Option<Value> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || serve(&listener));
    visit_address(&address)
}

#[test]
fn what_is_new_takes_the_place_of_what_is_shown_and_the_reader_keeps_his() {
    let Some(found) = visit() else { return };
    let kept = json!({
        "steps": "2", "drawn": 3, "live": found["before"]["live"],
        "picture": ["Samples after step 1"], "open": ["Some values of ln Π σ over the layers of a network"], "is_focused": true,
        "first_legend": ["1", "1"], "readout": cells(&page(2, "running"))[0],
    });
    assert_eq!(found["before"], kept);
    assert_eq!(found["while_pressed"], kept);
    let mut after = kept;
    after["steps"] = json!("4");
    assert_eq!(found["after"], after);
    // It says that nothing more will come.
    assert_ne!(found["ended"]["live"], after["live"]);
    after["live"] = found["ended"]["live"].clone();
    assert_eq!(found["ended"], after);
}
