//! Opens a page in a browser.

use std::process::{Command, Stdio};

/// Opens an address in the browser that `BROWSER` names, else in the system's own.
///
/// Without a browser nothing happens: the address is printed in any case.
pub(super) fn open(address: &str) {
    match std::env::var_os("BROWSER").filter(|browser| !browser.is_empty()) {
        Some(browser) => {
            let mut command = Command::new(browser);
            command.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            drop(command.spawn());
        }
        None => drop(open::that_detached(address)),
    }
}
