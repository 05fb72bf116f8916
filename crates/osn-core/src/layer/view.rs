//! Which linear map a weight tensor is seen as.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::key_values::{KeyValueError, KeyValues};
use crate::measure::convolution::geometry::{Boundary, Convolution};
use crate::names::hint;

/// The linear map A whose largest singular value is measured.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum View {
    /// The weight itself, a matrix `[rows, columns]` or its transpose: linear layers, embeddings.
    Matrix,
    /// Output axis first, the rest flattened in order: `[out, in·k₁·k₂]` for a convolution.
    ///
    /// This is the SN-GAN convention (Miyato et al. 2018): the σ of the reshaped kernel R, **not**
    /// of the convolution. At stride 1 the norm of the circular convolution lies between σ(R) and
    /// √(k₁k₂)·σ(R).
    Reshaped,
    /// σ = (σ(`[out, in·k₁·k₂]`) + σ(`[in, out·k₁·k₂]`))/2, the mean of both reshapings of a
    /// convolution (Lin, Sekar, Fanti 2021); for linear layers the same as `Matrix`.
    ///
    /// It is no norm of one map: `A` is a stand-in, and ∂σ/∂W is the mean of the two u vᵀ.
    Bidirectional,
    /// The convolution itself, with its stride, dilation, padding and groups: the true Lipschitz
    /// constant of the layer at this input size.
    Operator(Convolution),
    /// The weight cut into `count` equal blocks along `axis`, each seen as if it were a weight of
    /// its own: attention heads, fused Q/K/V, gates of LSTM and GRU, groups of a convolution.
    ///
    /// Each block has its own σ, action and decision. A convolution with groups maps each group
    /// by itself, so its norm is the largest of the blocks', not their product.
    Blocks {
        /// The axis of the weight that is cut.
        axis: usize,
        /// How many blocks it is cut into.
        count: usize,
    },
}

/// The parameters of the views that have any.
const OPERATOR_KEYS: [&str; 7] =
    ["size", "stride", "dilation", "padding", "groups", "boundary", "transposed"];
const BLOCKS_KEYS: [&str; 2] = ["axis", "count"];

impl View {
    /// The names of all views, as in text.
    pub const NAMES: [&str; 5] = ["matrix", "reshaped", "bidirectional", "operator", "blocks"];

    /// The view's name, without its parameters.
    pub fn name(&self) -> &'static str {
        let [matrix, reshaped, bidirectional, operator, blocks] = Self::NAMES;
        match self {
            Self::Matrix => matrix,
            Self::Reshaped => reshaped,
            Self::Bidirectional => bidirectional,
            Self::Operator(_) => operator,
            Self::Blocks { .. } => blocks,
        }
    }
}

/// Why a text does not name a view.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// No view has this name.
    #[error("unknown view `{name}`{}: expected one of {}", hint(name, View::NAMES.iter().copied()), View::NAMES.join(", "))]
    UnknownView {
        /// The name.
        name: String,
    },
    /// The text of the parameters is not one of the view's parameters and their values.
    #[error("view `{view}` has {source}")]
    Parameters {
        /// The view.
        view: &'static str,
        /// What is wrong with it.
        source: KeyValueError,
    },
    /// A parameter without a default is not given.
    #[error("view `{view}` needs {key}={expected}")]
    Missing {
        /// The view.
        view: &'static str,
        /// The parameter.
        key: &'static str,
        /// What it should be.
        expected: String,
    },
    /// The value of a parameter cannot be used.
    #[error("view `{view}`: {key} is `{value}`, expected {expected}")]
    BadValue {
        /// The view.
        view: &'static str,
        /// The parameter.
        key: &'static str,
        /// Its value.
        value: String,
        /// What would be a good one.
        expected: String,
    },
}

impl FromStr for View {
    type Err = ViewError;

    /// Reads `matrix`, `reshaped`, `bidirectional`, `blocks:axis=0,count=3`, or
    /// `operator:size=28x28` with any of
    ///
    /// | parameter | value |
    /// |---|---|
    /// | `size` | positions of the layer's input, `32x32`; one number for each dimension |
    /// | `stride`, `dilation` | `2` or `2x1` |
    /// | `padding` | `1` or `1x0`, and `1+2` for 1 before and 2 behind; all that keeps the size |
    /// | `groups` | a number |
    /// | `boundary` | `zero` or `circular` |
    /// | `transposed` | of a transposed convolution, its output padding: `0`, `1`, `1x0` |
    ///
    /// One number means all dimensions. What the view displays reads back as a view that means the
    /// same.
    ///
    /// # Errors
    ///
    /// [`ViewError`] names the word that cannot be used.
    fn from_str(text: &str) -> Result<Self, ViewError> {
        let (name, parameters) = text.split_once(':').unwrap_or((text, ""));
        let Some(&name) = Self::NAMES.iter().find(|known| **known == name.trim()) else {
            return Err(ViewError::UnknownView { name: name.trim().to_owned() });
        };
        let read = |keys| Parameters::new(name, keys, parameters);
        match name {
            "operator" => read(&OPERATOR_KEYS)?.convolution().map(Self::Operator),
            "blocks" => read(&BLOCKS_KEYS)?.blocks(),
            "matrix" => read(&[]).map(|_| Self::Matrix),
            "reshaped" => read(&[]).map(|_| Self::Reshaped),
            _ => read(&[]).map(|_| Self::Bidirectional),
        }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator(convolution) => write!(f, "{}:{convolution}", self.name()),
            Self::Blocks { axis, count } => write!(f, "{}:axis={axis},count={count}", self.name()),
            _ => f.pad(self.name()),
        }
    }
}

impl fmt::Display for Convolution {
    /// Writes the parameters of `operator` that are not at their default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size: Vec<_> = self.input_size.iter().map(ToString::to_string).collect();
        write!(f, "size={}", size.join("x"))?;
        for (key, values) in [("stride", &self.stride), ("dilation", &self.dilation)] {
            if !values.is_empty() {
                write!(f, ",{key}={}", joined(values, ToString::to_string))?;
            }
        }
        if let Some(padding) = &self.padding {
            write!(f, ",padding={}", joined(padding, both_sides))?;
        }
        if self.groups != 1 {
            write!(f, ",groups={}", self.groups)?;
        }
        if self.boundary == Boundary::Circular {
            f.write_str(",boundary=circular")?;
        }
        match &self.output_padding {
            Some(added) => write!(f, ",transposed={}", joined(added, ToString::to_string)),
            None => Ok(()),
        }
    }
}

/// Writes one number for all dimensions where they are the same, and 0 for none.
fn joined<T: PartialEq>(values: &[T], write: impl Fn(&T) -> String) -> String {
    let Some(first) = values.first() else { return "0".to_owned() };
    if values.iter().all(|value| value == first) {
        return write(first);
    }
    values.iter().map(write).collect::<Vec<_>>().join("x")
}

fn both_sides(&(before, after): &(usize, usize)) -> String {
    if before == after { before.to_string() } else { format!("{before}+{after}") }
}

/// The parameters of a view as they were written, each known to it.
struct Parameters<'a> {
    view: &'static str,
    pairs: KeyValues<'a>,
}

impl<'a> Parameters<'a> {
    fn new(view: &'static str, keys: &[&'static str], text: &'a str) -> Result<Self, ViewError> {
        let pairs = KeyValues::read(text, keys, |_| false)
            .map_err(|source| ViewError::Parameters { view, source })?;
        Ok(Self { view, pairs })
    }

    fn blocks(&self) -> Result<View, ViewError> {
        let axis = self.required("axis", "N")?;
        let count = self.required("count", "N")?;
        let count = self.number("count", count)?;
        if count == 0 {
            return Err(self.bad_value("count", "0", "at least 1"));
        }
        Ok(View::Blocks { axis: self.number("axis", axis)?, count })
    }

    fn convolution(&self) -> Result<Convolution, ViewError> {
        let size = self.required("size", "HxW")?;
        let whole = "whole numbers joined by x";
        let size = parts(size, read_number).ok_or_else(|| self.bad_value("size", size, whole))?;
        let convolution = Convolution::new(size);
        let dimensions = convolution.input_size.len();
        Ok(Convolution {
            stride: self.list("stride", dimensions, read_number)?.unwrap_or_default(),
            dilation: self.list("dilation", dimensions, read_number)?.unwrap_or_default(),
            padding: self.list("padding", dimensions, read_both_sides)?,
            groups: self
                .pairs
                .one("groups")
                .map_or(Ok(1), |groups| self.number("groups", groups))?,
            boundary: self.boundary()?,
            output_padding: self.list("transposed", dimensions, read_number)?,
            ..convolution
        })
    }

    fn boundary(&self) -> Result<Boundary, ViewError> {
        match self.pairs.one("boundary") {
            None | Some("zero") => Ok(Boundary::Zero),
            Some("circular") => Ok(Boundary::Circular),
            Some(other) => Err(self.bad_value("boundary", other, "zero or circular")),
        }
    }

    fn required(&self, key: &'static str, expected: &str) -> Result<&'a str, ViewError> {
        let missing = || ViewError::Missing { view: self.view, key, expected: expected.to_owned() };
        self.pairs.one(key).ok_or_else(missing)
    }

    fn number(&self, key: &'static str, value: &str) -> Result<usize, ViewError> {
        read_number(value).ok_or_else(|| self.bad_value(key, value, "a whole number"))
    }

    /// Returns the values of a parameter, one for each dimension.
    fn list<T: Clone>(
        &self,
        key: &'static str,
        dimensions: usize,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<Vec<T>>, ViewError> {
        let Some(text) = self.pairs.one(key) else { return Ok(None) };
        match parts(text, read) {
            Some(values) if values.len() == dimensions => Ok(Some(values)),
            Some(values) if values.len() == 1 => Ok(Some(vec![values[0].clone(); dimensions])),
            _ => {
                let expected = format!("one whole number, or {dimensions} joined by x");
                Err(self.bad_value(key, text, &expected))
            }
        }
    }

    fn bad_value(&self, key: &'static str, value: &str, expected: &str) -> ViewError {
        let (value, expected) = (value.to_owned(), expected.to_owned());
        ViewError::BadValue { view: self.view, key, value, expected }
    }
}

/// Reads what is joined by `x`.
fn parts<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    text.split('x').map(|part| read(part.trim())).collect()
}

fn read_number(text: &str) -> Option<usize> {
    text.parse().ok()
}

/// Reads `before+after`, or one number for both.
fn read_both_sides(text: &str) -> Option<(usize, usize)> {
    let (before, after) = text.split_once('+').unwrap_or((text, text));
    Some((read_number(before)?, read_number(after)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> View {
        text.parse().unwrap()
    }

    #[test]
    fn every_view_reads_back_as_it_is_written() {
        let texts = [
            "matrix",
            "reshaped",
            "bidirectional",
            "blocks:axis=1,count=3",
            "operator:size=28x28",
            "operator:size=7",
            "operator:size=5x6x7,stride=1x2x1,dilation=3,padding=0x1+2x4,groups=2",
            "operator:size=8x8,stride=2,padding=1,boundary=circular",
            "operator:size=8x8,padding=0+1,transposed=1x0",
            "operator:size=8x8,transposed=0",
        ];
        for text in texts {
            assert_eq!(read(text).to_string(), text);
            assert_eq!(read(&read(text).to_string()), read(text));
        }
    }

    #[test]
    fn one_number_means_all_dimensions() {
        let built = Convolution::new([28, 14]).stride([2, 2]).padding([1, 1]).groups(3);
        let text = " operator : groups=3, size=28x14, stride=2 , padding=1x1, boundary=zero";
        assert_eq!(read(text), View::Operator(built));
    }

    #[test]
    fn a_view_built_with_empty_lists_reads_back_as_one_that_means_the_same() {
        let built = Convolution::new([4, 4]).stride([2, 2]).padding([]).transposed([]);
        let View::Operator(read) = read(&View::Operator(built.clone()).to_string()) else {
            panic!("another view");
        };
        assert_eq!(read.geometry(&[1, 1, 3, 3]), built.geometry(&[1, 1, 3, 3]));
    }

    #[test]
    fn what_is_no_view_is_refused() {
        let refused = |text: &str| text.parse::<View>().unwrap_err();
        assert!(matches!(refused("conv"), ViewError::UnknownView { .. }));
        for text in ["matrix:axis=1", "operator:28x28", "operator:size=8,size=9"] {
            assert!(matches!(refused(text), ViewError::Parameters { .. }), "{text}");
        }
        assert!(matches!(refused("blocks:axis=1"), ViewError::Missing { key: "count", .. }));
        assert!(matches!(refused("operator"), ViewError::Missing { key: "size", .. }));
        for (text, bad) in [
            ("blocks:axis=1,count=0", "count"),
            ("blocks:axis=-1,count=2", "axis"),
            ("operator:size=8xa", "size"),
            ("operator:size=8x8,stride=1x1x1", "stride"),
            ("operator:size=8,padding=1+", "padding"),
            ("operator:size=8,boundary=wrap", "boundary"),
        ] {
            let error = refused(text);
            assert!(matches!(error, ViewError::BadValue { key, .. } if key == bad), "{text}");
        }
    }
}
