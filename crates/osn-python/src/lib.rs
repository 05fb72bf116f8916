//! The compiled part of the Python package `osn`: it hands the memory of `NumPy` and `PyTorch` to osn-core, and its
//! decisions back. `python/osn` says what it is for.

mod applied;
mod arrays;
mod choose;
mod command;
mod controller;
mod decider;
mod errors;
mod files;
mod held;
mod measurements;
mod refresh;
mod report;
mod reported;
mod rules;
mod saved;
mod scores;
mod sigma;
mod start;
mod team;

#[pyo3::pymodule]
mod _core {
    #[pymodule_export]
    use crate::choose::{choose, parse_view};
    #[pymodule_export]
    use crate::command::{Events, RunLock, command};
    #[pymodule_export]
    use crate::controller::Controller;
    #[pymodule_export]
    use crate::decider::Decider;
    #[pymodule_export]
    use crate::errors::{AttachError, StepError};
    #[pymodule_export]
    use crate::files::{inspect, normalize, report_page};
    #[pymodule_export]
    use crate::scores::score_sets;
    #[pymodule_export]
    use crate::sigma::sigma;
    #[pymodule_export]
    use crate::start::start;
}
