//! Ctrl-C, SIGTERM and SIGHUP. Before the first step, and at the second signal, the program exits at once;
//! else it stops in order. A signal that was ignored when the program started stays ignored.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use crate::failure::{Failure, HUNG_UP, STOPPED};
use crate::terminal::printer::Printer;

/// How long an exit waits for a terminal that takes no output.
const BRIEFLY: Duration = Duration::from_millis(200);

/// Whether the program was asked to stop, and by which signal.
#[derive(Clone, Debug)]
pub(crate) struct StopFlag(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The exit code of the first signal, or 0.
    exit_code: AtomicU8,
    /// The exit code of the program after any signal, where it is not that of the signal.
    exit_as: Option<u8>,
    stage: Mutex<Stage>,
}

/// How far the program is, which determines what the first signal does.
#[derive(Debug)]
enum Stage {
    /// Nothing is written yet: the program exits at once.
    Preparing,
    /// A folder is being made or changed, which is finished first.
    Writing,
    /// The folder of a new run is there and no step is done: the folder is removed and the program exits.
    Empty { folder: PathBuf, printer: Printer },
    /// Steps or runs are done: the program stops in order.
    AtWork { words: &'static str, printer: Printer },
}

/// The message at the first Ctrl-C in a run.
pub(crate) const STOPPING_RUN: &str =
    "stopping after this step and its scores; press Ctrl-C again to quit at once";
/// That in a study.
pub(crate) const STOPPING_STUDY: &str = "stopping the runs; finished ones are kept";
/// That of a run that is only watched.
pub(crate) const STOPPING_WATCH: &str = "no longer watching; the run continues";
/// That of a study whose runs are jobs of a scheduler.
pub(crate) const DETACHING: &str = "no longer watching; the jobs go on";

impl StopFlag {
    /// Whether the program is to stop.
    pub(crate) fn is_set(&self) -> bool {
        self.0.exit_code.load(Ordering::Relaxed) != 0
    }

    /// The exit code of a program that was stopped: 130 by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP, or the one that
    /// stands for all of them.
    pub(crate) fn exit_code(&self) -> u8 {
        match self.0.exit_code.load(Ordering::Relaxed) {
            0 => self.exit_as(STOPPED),
            code => self.exit_as(code),
        }
    }

    /// The exit code of the program after a signal with this one.
    fn exit_as(&self, exit_code: u8) -> u8 {
        self.0.exit_as.unwrap_or(exit_code)
    }

    /// Stops the program as Ctrl-C does.
    pub(crate) fn set(&self) {
        self.note(STOPPED);
    }

    /// From here on files are written, which a signal must not leave half done.
    pub(crate) fn writing(&self) {
        *self.stage() = Stage::Writing;
    }

    /// The folder of a new run is there: until a step is done, a signal removes it.
    pub(crate) fn new_run(&self, folder: &Path, printer: Printer) {
        let mut stage = self.stage();
        if self.is_set() {
            remove_and_exit(folder, &printer, self.exit_code());
        }
        *stage = Stage::Empty { folder: folder.to_owned(), printer };
    }

    /// From here on the first signal prints `words`, and the work stops when it reads the flag.
    pub(crate) fn at_work(&self, words: &'static str, printer: Printer) {
        *self.stage() = Stage::AtWork { words, printer };
    }

    /// A signal with this exit code has come.
    fn receive(&self, exit_code: u8) {
        // Held until the exit, so that nothing is written meanwhile.
        let stage = self.stage();
        let is_first = self.note(exit_code);
        // A terminal that is closed may send SIGHUP twice, itself and by its shell.
        let is_repeated = !is_first && exit_code != HUNG_UP;
        let exit_code = self.exit_as(exit_code);
        match &*stage {
            Stage::Preparing => process::exit(i32::from(exit_code)),
            Stage::Empty { folder, printer } => remove_and_exit(folder, printer, exit_code),
            Stage::AtWork { words, printer } if is_first => {
                print_briefly(printer, Some(words), false);
            }
            Stage::AtWork { printer, .. } if is_repeated => {
                print_briefly(printer, None, true);
                process::exit(i32::from(exit_code));
            }
            Stage::Writing if is_repeated => process::exit(i32::from(exit_code)),
            _ => {}
        }
    }

    /// Stores the exit code of the first signal; whether this one is the first.
    fn note(&self, exit_code: u8) -> bool {
        let code = &self.0.exit_code;
        code.compare_exchange(0, exit_code, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the folder of a run without a step, and exits.
fn remove_and_exit(folder: &Path, printer: &Printer, exit_code: u8) -> ! {
    let _ = fs::remove_dir_all(folder);
    print_briefly(
        printer,
        Some("stopped before the first step; the folder of the run is removed"),
        true,
    );
    process::exit(i32::from(exit_code))
}

/// Prints the words, and before an exit removes the foot of the screen; waits only briefly.
fn print_briefly(printer: &Printer, words: Option<&'static str>, is_end: bool) {
    let (printer, (sender, done)) = (printer.clone(), mpsc::channel());
    let print = move || {
        if let Some(words) = words {
            printer.say(words);
        }
        if is_end {
            printer.close();
        }
        // The receiver may have stopped waiting.
        let _ = sender.send(());
    };
    if thread::Builder::new().spawn(print).is_ok() {
        let _ = done.recv_timeout(BRIEFLY);
    }
}

/// Installs the handlers of the signals.
pub(crate) fn listen() -> Result<StopFlag, Failure> {
    listen_and_exit_as(None)
}

/// The same; with a code the program exits with it after any signal.
pub(crate) fn listen_and_exit_as(exit_as: Option<u8>) -> Result<StopFlag, Failure> {
    let (exit_code, stage) = (AtomicU8::new(0), Mutex::new(Stage::Preparing));
    let shared = Shared { exit_code, exit_as, stage };
    let flag = StopFlag(Arc::new(shared));
    listen_for(flag.clone())
        .map_err(|error| Failure::failed(format!("cannot listen for Ctrl-C: {error}")))?;
    Ok(flag)
}

/// Handles SIGINT, SIGTERM and SIGHUP, but for those that are ignored.
#[cfg(unix)]
fn listen_for(flag: StopFlag) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    let ignored = ignored_signals();
    let is_handled = |signal: &i32| ignored & (1 << (signal - 1)) == 0;
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM].into_iter().filter(is_handled))?;
    let listen = move || {
        for signal in signals.forever() {
            // As a shell reports a program that the signal ended.
            flag.receive(128 + u8::try_from(signal).unwrap_or_default());
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(listen)?;
    Ok(())
}

/// Listens for Ctrl-C, the only signal there is.
#[cfg(not(unix))]
fn listen_for(flag: StopFlag) -> io::Result<()> {
    ctrlc::set_handler(move || flag.receive(STOPPED)).map_err(io::Error::other)
}

/// The signals that were ignored when the program started, as by `nohup` and by a shell in the background:
/// the lowest bit is signal 1.
///
/// Linux shows them in `/proc`; elsewhere they cannot be read without `unsafe`, and none is known.
#[cfg(unix)]
fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

/// Makes the limit of a file's size (`ulimit -f`) an error of the write, as on a full disk, in place of a
/// signal that ends the program.
pub(crate) fn make_file_size_limit_an_error() {
    #[cfg(unix)]
    {
        // Without the handler the signal ends the program.
        let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
    }
}
