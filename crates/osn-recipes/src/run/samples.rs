//! Lays out images as one picture.

use image::{DynamicImage, ImageFormat, Rgb, RgbImage, imageops};

/// The gap between two images, in pixels of the written picture.
const GAP: u32 = 2;
/// Each pixel is drawn as a square of this many, so that small images can be seen.
const ZOOM: u32 = 2;
/// A grey that sets off black and white images alike.
const GAP_COLOUR: Rgb<u8> = Rgb([96, 96, 96]);

/// Why images could not be laid out or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// The numbers do not fill the images.
    #[error("{n_values} values do not fill {count} images of {channels}×{height}×{width}")]
    WrongLength {
        /// How many values there are.
        n_values: usize,
        /// How many images were announced.
        count: usize,
        /// Channels of each.
        channels: usize,
        /// Rows of each.
        height: usize,
        /// Columns of each.
        width: usize,
    },
    /// Neither grey nor colour.
    #[error("images have 1 or 3 channels, not {channels}")]
    Channels {
        /// How many there are.
        channels: usize,
    },
    /// The grid has no images or is too large for a picture.
    #[error("a picture of {count} images in {columns} columns cannot be drawn")]
    Size {
        /// How many images.
        count: usize,
        /// How many in a row.
        columns: usize,
    },
    /// The picture could not be encoded.
    #[error("the picture cannot be encoded: {source}")]
    Encode {
        /// What the encoder said.
        source: image::ImageError,
    },
}

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

impl ImageGrid {
    /// Draws the grid as the bytes of a PNG file.
    ///
    /// # Errors
    ///
    /// [`SampleError`] when the numbers do not fit together.
    pub(crate) fn to_png(&self) -> Result<Vec<u8>, SampleError> {
        let picture = DynamicImage::ImageRgb8(self.draw()?);
        // Grey images stay grey: a third of the bytes.
        let picture = if self.channels == 1 { picture.to_luma8().into() } else { picture };
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture
            .write_to(&mut bytes, ImageFormat::Png)
            .map_err(|source| SampleError::Encode { source })?;
        Ok(bytes.into_inner())
    }

    fn draw(&self) -> Result<RgbImage, SampleError> {
        self.check()?;
        let layout = self.layout().ok_or_else(|| self.size_error())?;
        let mut picture = RgbImage::from_pixel(layout.width, layout.height, GAP_COLOUR);
        let columns = self.columns as u64;
        for (index, values) in self.values.chunks(self.image_len()).enumerate() {
            let (row, column) = (index as u64 / columns, index as u64 % columns);
            let (x, y) = layout.corner(row, column);
            imageops::replace(&mut picture, &self.image(values, layout.cell), x, y);
        }
        Ok(picture)
    }

    fn check(&self) -> Result<(), SampleError> {
        let &Self { count, channels, height, width, columns, .. } = self;
        if channels != 1 && channels != 3 {
            return Err(SampleError::Channels { channels });
        }
        let expected = [channels, height, width].into_iter().try_fold(count, usize::checked_mul);
        if expected != Some(self.values.len()) {
            let n_values = self.values.len();
            return Err(SampleError::WrongLength { n_values, count, channels, height, width });
        }
        if self.values.is_empty() || columns == 0 { Err(self.size_error()) } else { Ok(()) }
    }

    fn size_error(&self) -> SampleError {
        SampleError::Size { count: self.count, columns: self.columns }
    }

    fn image_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// `None` where the picture would be too large.
    fn layout(&self) -> Option<Layout> {
        let zoomed = |side: usize| u32::try_from(side).ok()?.checked_mul(ZOOM);
        let extent = |count: usize, side: u32| {
            u32::try_from(count).ok()?.checked_mul(side.checked_add(GAP)?)?.checked_sub(GAP)
        };
        let cell = (zoomed(self.width)?, zoomed(self.height)?);
        let width = extent(self.columns, cell.0)?;
        let height = extent(self.count.div_ceil(self.columns), cell.1)?;
        Some(Layout { cell, width, height })
    }

    /// One image, zoomed.
    fn image(&self, values: &[f32], (width, height): (u32, u32)) -> RgbImage {
        let plane = self.height * self.width;
        RgbImage::from_fn(width, height, |x, y| {
            let at = (y / ZOOM) as usize * self.width + (x / ZOOM) as usize;
            // A grey image shows its one channel three times.
            Rgb(std::array::from_fn(|channel| {
                to_byte(values[channel.min(self.channels - 1) * plane + at])
            }))
        })
    }
}

/// Where images lie in a picture, in its pixels.
struct Layout {
    cell: (u32, u32),
    width: u32,
    height: u32,
}

impl Layout {
    fn corner(&self, row: u64, column: u64) -> (i64, i64) {
        let at = |index: u64, side: u32| (index * u64::from(side + GAP)).cast_signed();
        (at(column, self.cell.0), at(row, self.cell.1))
    }
}

/// Maps [−1, 1] to 0–255; NaN becomes 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0–255")]
fn to_byte(value: f32) -> u8 {
    ((value.clamp(-1.0, 1.0) + 1.0) * 127.5).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(png: &[u8]) -> DynamicImage {
        image::load_from_memory_with_format(png, ImageFormat::Png).unwrap()
    }

    #[test]
    fn images_lie_row_by_row_with_gaps_between() {
        // Three grey images of 1×2 pixels, two in a row.
        let values = [-1.0, 1.0, 0.0, -1.0, 1.0, 1.0];
        let grid = ImageGrid {
            values: values.to_vec(),
            count: 3,
            channels: 1,
            height: 1,
            width: 2,
            columns: 2,
        };
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
        let values = [1.0, -1.0, 0.0];
        let grid = ImageGrid {
            values: values.to_vec(),
            count: 1,
            channels: 3,
            height: 1,
            width: 1,
            columns: 8,
        };
        let picture = decode(&grid.to_png().unwrap()).to_rgb8();
        assert_eq!(picture.get_pixel(0, 0).0, [255, 0, 128]);
    }

    #[test]
    fn values_outside_the_range_are_clamped() {
        assert_eq!([-7.0, 7.0, f32::NAN, f32::INFINITY].map(to_byte), [0, 255, 0, 255]);
    }

    #[test]
    fn numbers_that_do_not_fit_are_errors() {
        let grid = ImageGrid {
            values: vec![0.0; 5],
            count: 1,
            channels: 1,
            height: 2,
            width: 2,
            columns: 1,
        };
        assert!(matches!(grid.to_png(), Err(SampleError::WrongLength { n_values: 5, .. })));
        let huge = ImageGrid { count: usize::MAX, height: 1 << 40, ..grid.clone() };
        assert!(matches!(huge.to_png(), Err(SampleError::WrongLength { n_values: 5, .. })));
        let two = ImageGrid { channels: 2, ..grid.clone() };
        assert!(matches!(two.to_png(), Err(SampleError::Channels { channels: 2 })));
        let none = ImageGrid { values: vec![], count: 0, ..grid.clone() };
        assert!(matches!(none.to_png(), Err(SampleError::Size { count: 0, .. })));
        let no_columns = ImageGrid { values: vec![0.0; 4], columns: 0, ..grid.clone() };
        assert!(matches!(no_columns.to_png(), Err(SampleError::Size { columns: 0, .. })));
    }
}
