//! Draws an SVG picture, and trusts nothing in it.

use image::RgbImage;
use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{self, Options, Tree, roxmltree};

/// What a picture may be made of. Nothing in this list loads a file, repeats another part of the
/// picture or takes more memory than the picture itself.
const SHAPES: [&str; 14] = [
    "svg", "g", "path", "circle", "ellipse", "rect", "line", "polyline", "polygon", "defs",
    "clipPath", "title", "desc", "metadata",
];
/// No element lies in more of the others: what walks the tree does so by recursion.
const MAX_DEPTH: usize = 64;

/// Shapes reach no further than so many times the picture's size: the renderer's fixed-point numbers
/// end somewhere, and it panics there.
const MAX_REACH: f32 = 100.0;

/// Why an SVG picture is not drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SvgError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// The file is too large.
    #[error("is larger than {limit} bytes")]
    TooLarge {
        /// The largest file that is read.
        limit: u64,
    },
    /// The file is not UTF-8.
    #[error("is no text")]
    NotText(#[from] std::str::Utf8Error),
    /// The text is not XML.
    #[error("is no XML ({0})")]
    Xml(#[from] roxmltree::Error),
    /// The XML is not a picture.
    #[error("is no picture ({0})")]
    Svg(#[from] usvg::Error),
    /// There is something in it besides plain shapes.
    #[error("holds <{element}>, and only plain shapes are drawn")]
    NotPlain {
        /// The element's name.
        element: String,
    },
    /// The elements lie too deep inside each other.
    #[error("holds elements more than {MAX_DEPTH} deep inside each other")]
    TooDeep,
    /// A shape reaches far outside of the picture.
    #[error("draws more than {MAX_REACH} times its own size away")]
    TooFar,
}

/// Draws a picture of plain shapes on white, as large as fits into `size`×`size` and in its middle.
///
/// # Panics
///
/// If `size` is zero.
pub(super) fn draw(bytes: &[u8], size: u32) -> Result<RgbImage, SvgError> {
    let document = roxmltree::Document::parse(std::str::from_utf8(bytes)?)?;
    refuse_all_but_shapes(&document)?;
    let tree = Tree::from_xmltree(&document, &Options::default())?;
    refuse_far_shapes(&tree)?;
    let mut canvas = Pixmap::new(size, size).expect("a canvas has at least one pixel");
    canvas.fill(Color::WHITE);
    resvg::render(&tree, into_the_middle(&tree, size), &mut canvas.as_mut());
    Ok(opaque(&canvas, size))
}

fn refuse_all_but_shapes(document: &roxmltree::Document) -> Result<(), SvgError> {
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        let element = node.tag_name().name();
        if !SHAPES.contains(&element) {
            return Err(SvgError::NotPlain { element: element.to_owned() });
        }
        if node.ancestors().nth(MAX_DEPTH).is_some() {
            return Err(SvgError::TooDeep);
        }
    }
    Ok(())
}

fn refuse_far_shapes(tree: &Tree) -> Result<(), SvgError> {
    let bounds = tree.root().abs_stroke_bounding_box();
    let limit = MAX_REACH * tree.size().width().max(tree.size().height());
    let edges = [bounds.left(), bounds.top(), bounds.right(), bounds.bottom()];
    // A NaN is within nothing.
    let is_near = edges.iter().all(|edge| edge.abs() <= limit);
    if is_near { Ok(()) } else { Err(SvgError::TooFar) }
}

fn into_the_middle(tree: &Tree, size: u32) -> Transform {
    let side = size as f32;
    let (width, height) = (tree.size().width(), tree.size().height());
    let scale = side / width.max(height);
    let (left, top) = ((side - width * scale) / 2.0, (side - height * scale) / 2.0);
    Transform::from_scale(scale, scale).post_translate(left, top)
}

/// On white nothing is left transparent, so the colours are those of the pixels as they are.
fn opaque(canvas: &Pixmap, size: u32) -> RgbImage {
    let colours = canvas.pixels().iter().map(|pixel| [pixel.red(), pixel.green(), pixel.blue()]);
    RgbImage::from_raw(size, size, colours.flatten().collect()).expect("three bytes a pixel")
}
