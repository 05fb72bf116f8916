//! Edges of images, as another set of images.

use crate::data::image_set::ImageSet;

/// A step from black to white along one axis has this gradient: four times the pixel's 255.
const STEP: f64 = 4.0;

/// The Sobel gradient magnitude of each plane of each image, by the formula in
/// [`load`](crate::data::pairs::load) of the pairs.
///
/// `I` is black outside the image, as [`ImageSet::padded`] makes it. Only corners can pass white,
/// by a factor of at most `√20/4 ≈ 1.12`, and are cut off. Sizes, channels and labels stay as they
/// are.
pub(super) fn edges(images: &ImageSet) -> ImageSet {
    let (height, width) = (images.height, images.width);
    let planes = images.pixels.chunks_exact(height * width);
    let source = format!("Sobel edges of {}", images.source);
    ImageSet {
        pixels: planes.flat_map(|plane| plane_edges(plane, height, width)).collect(),
        source,
        ..images.without_pixels()
    }
}

fn plane_edges(plane: &[u8], height: usize, width: usize) -> Vec<u8> {
    let framed = framed(plane, height, width);
    let stride = width + 2;
    let places = (0..height).flat_map(|row| (0..width).map(move |column| row * stride + column));
    places.map(|corner| magnitude(&framed[corner..], stride)).collect()
}

/// The plane with one black pixel around it, so that every pixel has eight neighbours.
fn framed(plane: &[u8], height: usize, width: usize) -> Vec<i32> {
    let stride = width + 2;
    let mut framed = vec![0; (height + 2) * stride];
    for (row, line) in plane.chunks_exact(width).enumerate() {
        let start = (row + 1) * stride + 1;
        for (target, &pixel) in framed[start..].iter_mut().zip(line) {
            *target = i32::from(pixel);
        }
    }
    framed
}

/// The edge at the middle of the 3×3 pixels that begin at the first of `pixels`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a magnitude becomes the nearest byte, saturating, as intended"
)]
fn magnitude(pixels: &[i32], stride: usize) -> u8 {
    let at = |row: usize, column: usize| pixels[row * stride + column];
    let column = |column| at(0, column) + 2 * at(1, column) + at(2, column);
    let row = |row| at(row, 0) + 2 * at(row, 1) + at(row, 2);
    let (across, down) = (column(2) - column(0), row(2) - row(0));
    let squared = f64::from(across * across + down * down);
    (squared.sqrt() / STEP).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(pixels: Vec<u8>, channels: usize, height: usize, width: usize) -> ImageSet {
        ImageSet { channels, height, width, pixels, labels: None, source: "test".to_owned() }
    }

    /// `scipy.ndimage.sobel` along both axes with `mode="constant"`, then √(gx² + gy²) / 4.
    #[test]
    fn edges_are_those_of_scipy() {
        let pixels =
            [[0, 0, 10, 200, 255], [0, 90, 0, 17, 0], [255, 255, 0, 3, 128], [0, 0, 0, 0, 0]];
        let expected = [
            [32, 45, 86, 123, 104],
            [220, 198, 50, 162, 127],
            [152, 135, 147, 65, 7],
            [202, 202, 90, 46, 65],
        ];
        assert_eq!(edges(&images(pixels.concat(), 1, 4, 5)).pixels, expected.concat());
    }

    #[test]
    fn every_plane_is_for_itself() {
        let one = edges(&images(vec![9, 8, 7, 200, 0, 0], 1, 2, 3)).pixels;
        let other = edges(&images(vec![0, 50, 0, 0, 0, 90], 1, 2, 3)).pixels;
        let both = images(vec![9, 8, 7, 200, 0, 0, 0, 50, 0, 0, 0, 90], 2, 2, 3);
        assert_eq!(edges(&both).pixels, [one, other].concat());
    }

    #[test]
    fn a_step_is_white_and_a_corner_no_more_than_that() {
        let step = [0, 0, 255, 255].repeat(5);
        let found = edges(&images(step, 1, 5, 4)).pixels;
        assert_eq!(found[4 * 2..4 * 3], [0, 255, 255, 255], "the right border is a step too");
        // √20/4 of white without the cut.
        let corner = vec![0, 0, 0, 0, 0, 255, 255, 255, 255];
        assert_eq!(edges(&images(corner, 1, 3, 3)).pixels[4], 255);
    }
}
