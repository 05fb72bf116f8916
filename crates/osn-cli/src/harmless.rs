//! Words of a file, made fit for a line of a terminal or of a page.

pub(crate) use osn_report::escaped;
