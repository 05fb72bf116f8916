//! A run in a browser while it trains.

pub(crate) mod browser;
mod follow;
pub(crate) mod server;

use std::path::Path;

use self::follow::Follower;
use self::server::LiveServer;
use crate::failure::Failure;

/// Serves the run in a folder and opens a browser there.
pub(crate) fn show(folder: &Path) -> Result<LiveServer, Failure> {
    let server = LiveServer::start(Follower::open(folder)?)?;
    browser::open(server.address());
    Ok(server)
}
