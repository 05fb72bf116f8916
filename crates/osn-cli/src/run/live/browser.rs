//! Opens a page in a browser.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// Opens an address in the browser that `BROWSER` names, else in the system's own.
///
/// Without a browser nothing happens: the address is printed in any case.
pub(crate) fn open(address: &str) {
    match std::env::var_os("BROWSER").filter(|browser| !browser.is_empty()) {
        Some(browser) => {
            let mut command = Command::new(browser);
            command.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            drop(command.spawn());
        }
        None => drop(open::that_detached(address)),
    }
}

/// What opens addresses: the command in `BROWSER`, else the first of the system's own that is there.
pub(crate) fn found() -> Option<String> {
    if let Some(browser) = std::env::var_os("BROWSER").filter(|browser| !browser.is_empty()) {
        return Some(format!("BROWSER={}", browser.to_string_lossy()));
    }
    let folders: Vec<_> = std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect();
    let is_there = |program: &&OsStr| folders.iter().any(|folder| folder.join(program).is_file());
    let commands = open::commands("http://127.0.0.1");
    let found = commands.iter().map(Command::get_program).find(is_there);
    found.map(|program| program.to_string_lossy().into_owned())
}
