"""What a long run costs: memory, time and bytes a step, and the page of a million steps. Linux only.

    cargo build --release
    python3 peers/long_run.py [--minutes 60] [--osn target/release/osn]

Trains `gan standard` for so many minutes with one thread, and prints for each sixth of them the resident
memory, the processor time a step and the growth of the record a step. Processor time, because other
programs share the machine. Then the record is repeated to a million steps and made a page of; where
there is Chromium, the page is opened three times and says when it was loaded.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PARTS = 6
MILLION = 1_000_000
TIMED = """<script>addEventListener("load", () => setTimeout(() => {
    document.title = "loaded " + performance.getEntriesByType("navigation")[0].loadEventEnd.toFixed(0);
}, 0))</script></body>"""


def train(osn, out):
    words = ["train", "gan", "--preset", "standard", "--set", f"steps={MILLION}", "--out", str(out)]
    environment = {**os.environ, "RAYON_NUM_THREADS": "1"}
    return subprocess.Popen([osn, *words], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def look(process, record):
    """Resident megabytes, processor milliseconds, steps, and bytes of the record."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    times = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    bytes_written = record.stat().st_size
    with record.open("rb") as file:
        file.seek(max(0, bytes_written - 10_000))
        steps = re.findall(rb'"step":(\d+)', file.read())
    resident = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1000
    cpu = (int(times[11]) + int(times[12])) * 1000 / TICKS
    return resident, cpu, int(steps[-1]) if steps else 0, bytes_written


def watch(process, out, minutes):
    while not list(out.glob("*/record.jsonl")):
        time.sleep(1)
    record = next(out.glob("*/record.jsonl"))
    begin, looks = time.monotonic(), []
    while (passed := time.monotonic() - begin) < 60 * minutes:
        looks.append((passed, *look(process, record)))
        time.sleep(min(10, 6 * minutes))
    return record.parent, looks


def told(looks, minutes):
    print("minutes      resident MB    CPU ms/step  bytes/step  step")
    for part in range(PARTS):
        low, high = (60 * minutes * edge / PARTS for edge in (part, part + 1))
        inside = [row for row in looks if low <= row[0] < high and row[3] > 0]
        if len(inside) < 2 or inside[-1][3] == inside[0][3]:
            continue
        first, last = inside[0], inside[-1]
        steps = last[3] - first[3]
        memory = [row[1] for row in inside]
        print(
            f"{low / 60:5.1f}–{high / 60:5.1f}  {min(memory):6.1f}–{max(memory):6.1f}"
            f"  {(last[2] - first[2]) / steps:11.1f}  {(last[4] - first[4]) / steps:10.1f}  {last[3]}"
        )
    at_five = min(looks, key=lambda row: abs(row[0] - 300))
    print(f"resident at minute {at_five[0] / 60:.1f}: {at_five[1]:.1f} MB, at the end {looks[-1][1]:.1f} MB")


def to_a_million(run, into):
    """The lines of the run up to a step, again and again."""
    whole = [line for line in (run / "record.jsonl").read_text().splitlines() if line.endswith("}")]
    steps = [json.loads(line)["step"] for line in whole]
    last = max(steps) // 10 * 10
    lines = [line for line, step in zip(whole, steps) if 0 < step <= last]
    shutil.copy(run / "run.json", into)
    (into / "samples").mkdir()
    with (into / "record.jsonl").open("w") as record:
        for start in range(0, MILLION, last):
            shifted = (re.sub(r'"step":(\d+)', lambda it: f'"step":{int(it[1]) + start}', line, count=1) for line in lines)
            record.writelines(line + "\n" for line in shifted)


def page(osn, run):
    begin = time.monotonic()
    words = [osn, "report", str(run), "-o", str(run / "page.html")]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, "the page was not made"
    size, record = (run / "page.html").stat().st_size, (run / "record.jsonl").stat().st_size
    seconds, memory = time.monotonic() - begin, usage.ru_maxrss / 1000
    print(f"a million steps: record {record / 1e6:.0f} MB, page {size / 1e6:.2f} MB in {seconds:.1f} s and {memory:.0f} MB")


def load(run):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        return print("no browser: the page was not opened")
    html = (run / "page.html").read_text()
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    (run / "timed.html").write_text(html.replace("</body>", TIMED))
    for _ in range(3):
        words = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tempfile.mkdtemp(dir=run)}", "--dump-dom"]
        shown = subprocess.run([browser, *words, f"file://{run / 'timed.html'}"], capture_output=True, text=True).stdout
        print(f"loaded after {re.search(r'<title>loaded (.*?)<', shown)[1]} ms")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--minutes", type=float, default=60)
    arguments.add_argument("--osn", default="target/release/osn")
    arguments = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out, million = Path(folder) / "runs", Path(folder) / "million"
        million.mkdir()
        process = train(arguments.osn, out)
        try:
            run, looks = watch(process, out, arguments.minutes)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        told(looks, arguments.minutes)
        to_a_million(run, million)
        page(arguments.osn, million)
        load(million)


if __name__ == "__main__":
    sys.exit(main())
