//! Which layers to hold, and as which linear map.

use osn_core::layer::{GlobError, Globs, Kind, Position, Select, View};
use serde::{Deserialize, Serialize};

/// Some layers, and how their weights are seen.
///
/// It is plain data: a glob with a mistake in it is an error of [`Plan::attach`](crate::Plan::attach).
///
/// # Example
///
/// ```
/// use osn::{prelude::*, select::Kind, views::View};
///
/// let plan = Plan::new()
///     .select("**.weight") // a glob alone is a selection
///     .select(Selection::paths("attention.*.weight").view(View::Blocks { axis: 1, count: 4 }))
///     .select(Selection::paths("**").exclude("output.*").kind(Kind::Conv));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct Selection {
    paths: Vec<String>,
    exclude: Vec<String>,
    kinds: Vec<Kind>,
    positions: Vec<Position>,
    view: Option<View>,
    output_axis: Option<usize>,
}

impl Selection {
    /// The layers whose path matches a glob: `*` is one segment, `**` any number, `{a,b}` one of several.
    pub fn paths(glob: impl Into<String>) -> Self {
        Self { paths: vec![glob.into()], ..Self::default() }
    }

    /// Leaves out the layers whose path matches a glob.
    pub fn exclude(mut self, glob: impl Into<String>) -> Self {
        self.exclude.push(glob.into());
        self
    }

    /// Only layers of this kind, or of one of several if it is called several times.
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kinds.push(kind);
        self
    }

    /// Only the layer at this position, or at one of several if it is called several times.
    pub fn position(mut self, position: Position) -> Self {
        self.positions.push(position);
        self
    }

    /// The linear map whose σ is measured. Default: [`View::Reshaped`].
    pub fn view(mut self, view: View) -> Self {
        self.view = Some(view);
        self
    }

    /// The axis of the weights that indexes outputs.
    ///
    /// Default: that of Burn's own layers: 1 for linear layers (`[in, out]`) and transposed convolutions, 0 for all
    /// else.
    pub fn output_axis(mut self, axis: usize) -> Self {
        self.output_axis = Some(axis);
        self
    }

    /// The compiled form.
    pub(crate) fn select(&self) -> Result<Select, GlobError> {
        Ok(Select {
            paths: Globs::new(self.paths.iter().map(String::as_str))?,
            exclude: Globs::new(self.exclude.iter().map(String::as_str))?,
            kinds: self.kinds.clone(),
            positions: self.positions.clone(),
            ..Select::default()
        })
    }

    pub(crate) fn view_or_default(&self) -> &View {
        self.view.as_ref().unwrap_or(&View::Reshaped)
    }

    /// The axis that was set.
    pub(crate) fn own_output_axis(&self) -> Option<usize> {
        self.output_axis
    }
}

impl From<&str> for Selection {
    fn from(glob: &str) -> Self {
        Self::paths(glob)
    }
}

impl From<String> for Selection {
    fn from(glob: String) -> Self {
        Self::paths(glob)
    }
}
