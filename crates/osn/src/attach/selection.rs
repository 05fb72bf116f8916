//! Which layers to hold, and as which linear map.

use osn_core::layer::{GlobError, Globs, Kind, Position, Select, View};
use serde::{Deserialize, Serialize};

/// Some layers, and the linear map that each of their weights is measured as.
///
/// It is plain data: a malformed glob is an error of [`Plan::attach`](crate::Plan::attach). A layer is selected if
/// all that is set matches it; [`Selection::default`] selects every layer.
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
    /// Selects the layers whose path matches a glob: `*` is one segment, `**` any number, `{a,b}` one of several.
    pub fn paths(glob: impl Into<String>) -> Self {
        Self { paths: vec![glob.into()], ..Self::default() }
    }

    /// Leaves out the layers whose path matches a glob.
    pub fn exclude(mut self, glob: impl Into<String>) -> Self {
        self.exclude.push(glob.into());
        self
    }

    /// Selects only layers of this kind; of any of them, if it is called several times.
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kinds.push(kind);
        self
    }

    /// Selects only the layer at this position; at any of them, if it is called several times.
    pub fn position(mut self, position: Position) -> Self {
        self.positions.push(position);
        self
    }

    /// Sets the linear map whose σ is measured. Default: [`View::Reshaped`].
    pub fn view(mut self, view: View) -> Self {
        self.view = Some(view);
        self
    }

    /// Sets the axis of the weights that indexes outputs. Default: that of Burn's own layers, which is 1 for linear
    /// layers (`[in, out]`) and transposed convolutions (`[in, out, k…]`) and 0 for all others.
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
