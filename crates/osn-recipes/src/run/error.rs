//! Why a run could not start or did not end well.

use std::error::Error;
use std::fmt;

use osn::workers::TeamError;
use osn_core::names::hint;
use osn_runs::folder_error::FolderError;
use osn_runs::record::RecordError;
use osn_runs::rules_file::RulesError;

use crate::run::checkpoint::error::CheckpointError;
use crate::run::settings::SettingError;

/// Why a run could not start or did not end well.
///
/// [`RunError::is_bad_input`] distinguishes the two.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// Something was asked for by a name that nothing has.
    #[error("unknown {kind} '{name}'{}; valid: {}", hint(.name, .valid.iter().map(String::as_str)), .valid.join(", "))]
    UnknownName {
        /// What is named: `recipe`, `preset`, `rule`, `device`, …
        kind: &'static str,
        /// The name that was given.
        name: String,
        /// The names that there are.
        valid: Vec<String>,
    },
    /// The rule cannot be read.
    #[error("{source}, in --decide {text}")]
    Rule {
        /// The text of the rule.
        text: String,
        /// What is wrong with it.
        source: osn::rules::RuleError,
    },
    /// The view of the weights cannot be read.
    #[error("{source}, in --decide {text}")]
    View {
        /// The text of the rule and of the view.
        text: String,
        /// What is wrong with the view.
        source: osn_core::layer::ViewError,
    },
    /// A rule needs a signal that the recipe does not report.
    #[error("the rule {rule} needs {what}, which {recipe} does not report; take another, such as {}", .others.join(", "))]
    UnmetNeed {
        /// The rule.
        rule: String,
        /// What it needs.
        what: &'static str,
        /// The recipe.
        recipe: &'static str,
        /// The rules that the recipe's documentation names.
        others: &'static [&'static str],
    },
    /// A view does not fit a weight.
    #[error("{problem}, in --decide {text}")]
    ViewMisfit {
        /// The text of the rule and of the view.
        text: String,
        /// Which weight, and why not.
        problem: String,
    },
    /// A view has no effect.
    #[error(
        "every weight here is a matrix, which looks the same in this view; leave it out of --decide {text}"
    )]
    ViewWithoutEffect {
        /// The text of the rule and of the view.
        text: String,
    },
    /// A rules file cannot be used.
    #[error(transparent)]
    RulesFile(#[from] RulesError),
    /// A setting was refused.
    #[error("{source}; 'osn settings {recipe}' tells what each takes and means")]
    Setting {
        /// The recipe.
        recipe: &'static str,
        /// What is wrong with the setting.
        source: SettingError,
    },
    /// The config's values do not fit together.
    #[error("{key} {problem}; change it with --set {key}=VALUE")]
    Config {
        /// The key to change.
        key: String,
        /// What is wrong with it, as the rest of a sentence: "must be at least 1, not 0".
        problem: String,
    },
    /// A setting that was asked for has no effect beside the others.
    #[error("{key} changes nothing: {why}; leave it out")]
    Idle {
        /// The setting.
        key: String,
        /// Why, as the rest of a sentence.
        why: String,
    },
    /// The data cannot be used.
    #[error("cannot use the data '{name}': {source}")]
    Data {
        /// The name or folder that was given.
        name: String,
        /// What the reader said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The run's folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The record cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The run cannot be saved or resumed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A number that must be finite is not.
    #[error("{what} became {value} at step {step}")]
    NonFinite {
        /// Which number.
        what: NonFinite,
        /// NaN or an infinity.
        value: f64,
        /// Optimizer steps done before.
        step: u64,
    },
    /// The discriminator has won, and the generator gets hardly a gradient from it.
    #[error(
        "the discriminator has won: its loss was below {below} from step {since} to step {step}"
    )]
    Saturated {
        /// A hundredth of the loss of a discriminator with zero logits.
        below: f64,
        /// The first logged step at which it was below.
        since: u64,
        /// Optimizer steps done before.
        step: u64,
    },
    /// A weight cannot be measured or constrained.
    #[error("cannot hold the weights of the {network}: {source}")]
    Spectral {
        /// The network.
        network: String,
        /// What the library said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The workers of the run cannot go on together, or another one has failed.
    #[error("{source}")]
    Workers {
        /// What all of them came to.
        source: TeamError,
        /// The exit code that tells a scheduler what to do: 2 where they were started wrongly, 75 (`EX_TEMPFAIL`) where
        /// it may start them again, and 1 where that would end the same.
        exit_code: u8,
    },
    /// The feature network that scores samples cannot be used.
    #[error("cannot score the samples: {source}")]
    Score {
        /// What the scorer said.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl RunError {
    /// Whether what was asked for cannot be done, rather than the run having failed on its way.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Folder(error) => matches!(
                error,
                FolderError::InUse { .. }
                    | FolderError::InsideRun { .. }
                    | FolderError::Link { .. }
                    | FolderError::Read { .. }
                    | FolderError::Description { .. }
            ),
            Self::Checkpoint(error) => !matches!(error, CheckpointError::Unsaved(_)),
            Self::Record(_) => false,
            Self::Workers { exit_code, .. } => *exit_code == 2,
            _ => !self.is_of_training(),
        }
    }

    /// Whether the training itself failed, and would fail again; every other error is of the disk, the
    /// machine or the request, and says nothing about the rules.
    pub fn is_of_training(&self) -> bool {
        matches!(
            self,
            Self::NonFinite { .. }
                | Self::Saturated { .. }
                | Self::Spectral { .. }
                | Self::Score { .. }
                | Self::Workers { source: TeamError::NotFinite { .. }, .. }
        )
    }

    /// What all workers of a run came to, where it is that: then no other has to be told.
    pub(crate) fn of_workers(&self) -> Option<&TeamError> {
        match self {
            Self::Workers { source, .. } => Some(source),
            Self::Spectral { source, .. } => source.downcast_ref(),
            _ => None,
        }
    }

    /// A [`RunError::Data`] of data of a name, with what the reader said.
    pub(crate) fn data(name: &str, source: impl Error + Send + Sync + 'static) -> Self {
        Self::Data { name: name.to_owned(), source: Box::new(source) }
    }

    /// A [`RunError::Score`] with what the scorer said.
    pub fn score(source: impl Error + Send + Sync + 'static) -> Self {
        Self::Score { source: Box::new(source) }
    }

    /// The same error at a step of the run: a training may count updates, of which a step can have several.
    #[must_use]
    pub(crate) fn at_step(self, step: u64) -> Self {
        match self {
            Self::NonFinite { what, value, .. } => Self::NonFinite { what, value, step },
            Self::Workers { source, exit_code } => {
                Self::Workers { source: source.at_step(step), exit_code }
            }
            error => error,
        }
    }

    /// An [`RunError::UnknownName`] of a name that is none of `valid`.
    pub fn unknown_name(kind: &'static str, name: &str, valid: &[&str]) -> Self {
        let valid = valid.iter().map(|name| (*name).to_owned()).collect();
        Self::UnknownName { kind, name: name.to_owned(), valid }
    }
}

impl From<TeamError> for RunError {
    fn from(source: TeamError) -> Self {
        let exit_code = source.exit_code();
        Self::Workers { source, exit_code }
    }
}

/// Which number is not finite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NonFinite {
    /// A loss, by its name.
    Loss(String),
    /// The weight of a layer, by its path.
    Layer(String),
    /// A number that a checkpoint has, by its part.
    Part(String),
}

impl fmt::Display for NonFinite {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loss(name) => write!(formatter, "the loss '{name}'"),
            Self::Layer(path) => write!(formatter, "the weight '{path}'"),
            Self::Part(name) => write!(formatter, "a number of '{name}'"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn only_what_the_training_did_is_of_the_training() {
        let (what, value) = (NonFinite::Layer("conv1.weight".into()), f64::INFINITY);
        assert!(RunError::NonFinite { what, value, step: 1 }.is_of_training());
        assert!(RunError::Saturated { below: 0.01, since: 1, step: 2 }.is_of_training());
        assert!(RunError::score(io::Error::other("an image is NaN")).is_of_training());
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let path = PathBuf::from("run.json");
        let folder = FolderError::Write { path: path.clone(), source: full() };
        assert!(!RunError::from(folder).is_of_training());
        assert!(!RunError::from(RecordError::Io { path, source: full() }).is_of_training());
        let lost = CheckpointError::None { folder: PathBuf::from("run") };
        assert!(!RunError::from(lost).is_of_training());
    }
}
