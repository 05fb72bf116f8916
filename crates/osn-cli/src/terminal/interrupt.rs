//! Ctrl-C and requests to end: before the first step and at the second one the end is at once, else it
//! is a good one. A signal that the program was started to pass over is passed over.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use crate::failure::{Failure, HUNG_UP, STOPPED};
use crate::terminal::speaker::Speaker;

/// How long an end at once waits for a terminal that takes nothing in.
const BRIEFLY: Duration = Duration::from_millis(200);

/// Whether the user asked for the end, and how.
#[derive(Clone, Debug)]
pub(crate) struct StopFlag(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The exit code of the first signal, or 0.
    exit_code: AtomicU8,
    stage: Mutex<Stage>,
}

/// How far the program is, which says what the first signal does.
#[derive(Debug)]
enum Stage {
    /// Nothing is written yet: the end is at once.
    Preparing,
    /// A folder is being made or changed: that is brought to its end.
    Writing,
    /// The folder of a new run is there, and no step is done: both end at once.
    Empty { folder: PathBuf, speaker: Speaker },
    /// What is done is worth a good end.
    AtWork { words: &'static str, speaker: Speaker },
}

/// What is said of one run at the first Ctrl-C.
pub(crate) const STOPPING_RUN: &str =
    "stopping after this step and its scores; press Ctrl-C again to quit at once";
/// What is said of a study.
pub(crate) const STOPPING_STUDY: &str = "stopping the runs; finished ones are kept";
/// What is said of a run that is only watched.
pub(crate) const STOPPING_WATCH: &str = "no longer watching; the run continues";

impl StopFlag {
    /// Whether the program is to end soon.
    pub(crate) fn is_set(&self) -> bool {
        self.0.exit_code.load(Ordering::Relaxed) != 0
    }

    /// The exit code of a program that was asked to end: 130 after Ctrl-C, 143 after SIGTERM, 129 after
    /// SIGHUP.
    pub(crate) fn exit_code(&self) -> u8 {
        match self.0.exit_code.load(Ordering::Relaxed) {
            0 => STOPPED,
            code => code,
        }
    }

    /// Asks for the end from within.
    pub(crate) fn set(&self) {
        self.note(STOPPED);
    }

    /// From here on something is written that a signal must not cut in two.
    pub(crate) fn writing(&self) {
        *self.stage() = Stage::Writing;
    }

    /// The folder of a new run is there: until a step is done, a signal takes it away again.
    pub(crate) fn new_run(&self, folder: &Path, speaker: Speaker) {
        let mut stage = self.stage();
        if self.is_set() {
            leave_nothing(folder, &speaker, self.exit_code());
        }
        *stage = Stage::Empty { folder: folder.to_owned(), speaker };
    }

    /// From here on the first signal says `words`, and whoever asks the flag ends well.
    pub(crate) fn at_work(&self, words: &'static str, speaker: Speaker) {
        *self.stage() = Stage::AtWork { words, speaker };
    }

    /// A signal with this exit code has come.
    fn receive(&self, exit_code: u8) {
        // Where it ends here, nobody writes meanwhile.
        let stage = self.stage();
        let is_first = self.note(exit_code);
        // A terminal that vanishes may say so twice, itself and by its shell: that is no haste.
        let is_haste = !is_first && exit_code != HUNG_UP;
        match &*stage {
            Stage::Preparing => process::exit(i32::from(exit_code)),
            Stage::Empty { folder, speaker } => leave_nothing(folder, speaker, exit_code),
            Stage::AtWork { words, speaker } if is_first => speak(speaker, Some(words), false),
            Stage::AtWork { speaker, .. } if is_haste => {
                speak(speaker, None, true);
                process::exit(i32::from(exit_code));
            }
            Stage::Writing if is_haste => process::exit(i32::from(exit_code)),
            _ => {}
        }
    }

    /// Tells whether it is the first.
    fn note(&self, exit_code: u8) -> bool {
        let code = &self.0.exit_code;
        code.compare_exchange(0, exit_code, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the folder of a run without a step away, and ends.
fn leave_nothing(folder: &Path, speaker: &Speaker, exit_code: u8) -> ! {
    let _ = fs::remove_dir_all(folder);
    speak(speaker, Some("stopped before the first step; the folder of the run is removed"), true);
    process::exit(i32::from(exit_code))
}

/// Says the words, and before an end takes whatever moves off the screen.
fn speak(speaker: &Speaker, words: Option<&'static str>, is_end: bool) {
    let (speaker, (sender, done)) = (speaker.clone(), mpsc::channel());
    let speak = move || {
        if let Some(words) = words {
            speaker.say(words);
        }
        if is_end {
            speaker.close();
        }
        // Whoever waited may have gone on.
        let _ = sender.send(());
    };
    if thread::Builder::new().spawn(speak).is_ok() {
        let _ = done.recv_timeout(BRIEFLY);
    }
}

/// Begins to listen.
pub(crate) fn listen() -> Result<StopFlag, Failure> {
    let shared = Shared { exit_code: AtomicU8::new(0), stage: Mutex::new(Stage::Preparing) };
    let flag = StopFlag(Arc::new(shared));
    listen_for(flag.clone())
        .map_err(|error| Failure::failed(format!("cannot listen for Ctrl-C: {error}")))?;
    Ok(flag)
}

/// Listens for Ctrl-C, a request to end and the end of the terminal.
#[cfg(unix)]
fn listen_for(flag: StopFlag) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    let ignored = ignored_signals();
    let is_heard = |signal: &i32| ignored & (1 << (signal - 1)) == 0;
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM].into_iter().filter(is_heard))?;
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

/// The signals that whoever started the program told it to pass over, as `nohup` does and a shell for what
/// it runs in the background: the lowest bit is signal 1.
///
/// Linux tells without `unsafe`; elsewhere none is known.
#[cfg(unix)]
fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

/// A file that may not grow any more (`ulimit -f`) is an error of the write, as on a full disk, and not the
/// end of the program.
pub(crate) fn outlive_full_files() {
    #[cfg(unix)]
    {
        let noticed = Arc::default();
        // Where that cannot be, the system does what it always does.
        let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, noticed);
    }
}
