//! A run shown in a browser while it goes on.

mod browser;
mod follow;
mod server;

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use osn_recipes::run::RunStatus;

use self::follow::Follower;
pub(crate) use self::server::LiveServer;
use crate::args::WatchArgs;
use crate::failure::Failure;
use crate::{interrupt, report};

/// How often `osn watch` looks whether the run has ended.
const PAUSE: Duration = Duration::from_millis(200);

/// Shows a run that another process trains, until it ends.
pub(crate) fn run(args: &WatchArgs) -> Result<ExitCode, Failure> {
    let status = || status(&args.run);
    if status()? != RunStatus::Running {
        let page = report::write_own(&args.run)?;
        eprintln!("the run has ended; its page is {}", page.display());
        return Ok(ExitCode::SUCCESS);
    }
    let stop = interrupt::watch(interrupt::STOPPING_WATCH, |words| eprintln!("{words}"))?;
    let server = show(&args.run)?;
    eprintln!("{}", where_it_is(&server));
    while !stop.is_set() && status()? == RunStatus::Running {
        thread::sleep(PAUSE);
    }
    server.close();
    Ok(if stop.is_set() { ExitCode::from(stop.exit_code()) } else { ExitCode::SUCCESS })
}

/// Serves the run in a folder and opens a browser there.
pub(crate) fn show(folder: &Path) -> Result<LiveServer, Failure> {
    let server = LiveServer::start(Follower::open(folder)?)?;
    browser::open(&server.address());
    Ok(server)
}

/// What is said of a page that is served.
pub(crate) fn where_it_is(server: &LiveServer) -> String {
    format!("live at {} while the run goes on, for this machine only", server.address())
}

fn status(folder: &Path) -> Result<RunStatus, Failure> {
    let folder = osn_recipes::run::RunFolder::open(folder).map_err(Failure::bad_input)?;
    Ok(folder.description().map_err(Failure::bad_input)?.status)
}
