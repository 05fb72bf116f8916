//! Samples for people: images as one picture, text as one table.

use std::io;

use image::{DynamicImage, ImageFormat, ImageResult, Rgb, RgbImage, imageops};
use osn_runs::folder::RunFolder;
use osn_runs::folder_error::{FolderError, write_error, write_whole};
use serde::{Deserialize, Serialize};

use crate::data::image_set::pixel;

/// Text to show row by row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextTable {
    /// The name of each column.
    pub columns: Vec<String>,
    /// Each row, with a text for each column.
    pub rows: Vec<Vec<String>>,
}

/// The gap between two images, in pixels of the written picture.
const GAP: u32 = 2;
/// Each pixel is drawn as a square of this many, so that small images can be seen.
const ZOOM: u32 = 2;
/// A grey that sets off black and white images alike.
const GAP_COLOUR: Rgb<u8> = Rgb([96, 96, 96]);

/// Images to show side by side.
///
/// # Shapes
///
/// `values`: `[count, channels, height, width]`, row-major, each in [−1, 1]; 1 or 3 channels. Values
/// outside are clamped, and NaN is drawn black.
#[derive(Clone, Debug)]
pub struct ImageGrid {
    /// The pixels.
    pub values: Vec<f32>,
    /// How many images.
    pub count: usize,
    /// 1 for grey, 3 for red, green and blue.
    pub channels: usize,
    /// Rows of each image.
    pub height: usize,
    /// Columns of each image.
    pub width: usize,
    /// Images in a row of the picture; the last row may be shorter.
    pub columns: usize,
}

/// Writes the samples of a step as `samples/step-000500.png`.
///
/// # Errors
///
/// [`FolderError::Write`] when the system refuses.
///
/// # Panics
///
/// If the values do not fill the images of the grid.
pub(super) fn write_picture(
    folder: &RunFolder,
    step: u64,
    grid: &ImageGrid,
) -> Result<(), FolderError> {
    let path = folder.sample_path(step, ".png");
    let png = grid.to_png().map_err(|error| write_error(&path, io::Error::other(error)))?;
    write_whole(&path, &png)
}

/// Writes the samples of a step that are text as `samples/step-000500.json`.
///
/// # Errors
///
/// [`FolderError::Write`] when the system refuses.
pub(super) fn write_table(
    folder: &RunFolder,
    step: u64,
    table: &TextTable,
) -> Result<(), FolderError> {
    let path = folder.sample_path(step, ".json");
    let json = serde_json::to_vec_pretty(table)
        .map_err(|error| write_error(&path, io::Error::other(error)))?;
    write_whole(&path, &json)
}

impl ImageGrid {
    /// Draws the grid as the bytes of a PNG file.
    ///
    /// # Errors
    ///
    /// What the encoder says.
    ///
    /// # Panics
    ///
    /// If the values do not fill the images, if these are none, are neither grey nor in colour, or are
    /// too large for a picture.
    pub(crate) fn to_png(&self) -> ImageResult<Vec<u8>> {
        let picture = DynamicImage::ImageRgb8(self.draw());
        // Grey images stay grey: a third of the bytes.
        let picture = if self.channels == 1 { picture.to_luma8().into() } else { picture };
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut bytes, ImageFormat::Png)?;
        Ok(bytes.into_inner())
    }

    fn draw(&self) -> RgbImage {
        let Self { count, channels, columns, .. } = *self;
        assert!(channels == 1 || channels == 3, "images have 1 or 3 channels, not {channels}");
        assert!(count > 0 && columns > 0, "no picture of {count} images in {columns} columns");
        assert_eq!(self.values.len(), count * self.image_len(), "values of {count} images");
        let cell = (zoomed(self.width), zoomed(self.height));
        let extent = |count: usize, side: u32| (side + GAP) * short(count) - GAP;
        let (width, height) = (extent(columns, cell.0), extent(count.div_ceil(columns), cell.1));
        let mut picture = RgbImage::from_pixel(width, height, GAP_COLOUR);
        for (index, values) in self.values.chunks(self.image_len()).enumerate() {
            let at = |place: usize, side: u32| i64::from(short(place) * (side + GAP));
            let (x, y) = (at(index % columns, cell.0), at(index / columns, cell.1));
            imageops::replace(&mut picture, &self.image(values, cell), x, y);
        }
        picture
    }

    fn image_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// One image, zoomed.
    fn image(&self, values: &[f32], (width, height): (u32, u32)) -> RgbImage {
        let plane = self.height * self.width;
        RgbImage::from_fn(width, height, |x, y| {
            let at = (y / ZOOM) as usize * self.width + (x / ZOOM) as usize;
            // A grey image shows its one channel three times.
            Rgb(std::array::from_fn(|channel| {
                pixel(values[channel.min(self.channels - 1) * plane + at])
            }))
        })
    }
}

/// A side of an image in the picture.
fn zoomed(side: usize) -> u32 {
    short(side) * ZOOM
}

fn short(number: usize) -> u32 {
    u32::try_from(number).expect("a picture has fewer pixels")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(values: &[f32], [count, channels, height, width]: [usize; 4]) -> ImageGrid {
        ImageGrid { values: values.to_vec(), count, channels, height, width, columns: 2 }
    }

    fn decode(png: &[u8]) -> DynamicImage {
        image::load_from_memory_with_format(png, ImageFormat::Png).unwrap()
    }

    #[test]
    fn images_lie_row_by_row_with_gaps_between() {
        // Three grey images of 1×2 pixels, two in a row.
        let grid = grid(&[-1.0, 1.0, 0.0, -1.0, 1.0, 1.0], [3, 1, 1, 2]);
        let picture = decode(&grid.to_png().unwrap());
        assert_eq!((picture.width(), picture.height()), (4 + 2 + 4, 2 + 2 + 2));
        let DynamicImage::ImageLuma8(grey) = picture else { panic!("not grey") };
        let at = |x, y| grey.get_pixel(x, y).0[0];
        assert_eq!([at(0, 0), at(1, 1), at(2, 0), at(3, 1)], [0, 0, 255, 255]);
        assert_eq!([at(6, 0), at(8, 1)], [128, 0], "the second image");
        assert_eq!([at(0, 4), at(3, 5)], [255, 255], "the third image, in the second row");
        assert_eq!([at(4, 0), at(0, 2), at(9, 5)], [96, 96, 96], "gaps and the empty place");
    }

    #[test]
    fn colours_keep_their_channels() {
        let grid = grid(&[1.0, -1.0, 0.0], [1, 3, 1, 1]);
        let picture = decode(&grid.to_png().unwrap()).to_rgb8();
        assert_eq!(picture.get_pixel(0, 0).0, [255, 0, 128]);
    }

    #[test]
    #[should_panic(expected = "values of 1 images")]
    fn values_that_do_not_fill_the_images_are_a_mistake() {
        let _ = grid(&[0.0; 5], [1, 1, 2, 2]).to_png();
    }
}
