//! The first chunk of a PNG file, which says its size.

/// What a PNG file begins with, up to the fields of its first chunk.
const BEGINNING: &[u8; 16] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

/// The size of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    /// Pixels from left to right.
    pub width: i32,
    /// Pixels from top to bottom.
    pub height: i32,
    /// 1 grey, 2 grey and alpha, 3 RGB or a palette, 4 RGBA.
    pub channels: i32,
}

/// Reads the size of a PNG file; none where the bytes begin like no PNG file.
pub(super) fn size(png: &[u8]) -> Option<Size> {
    let fields = png.strip_prefix(BEGINNING)?;
    let number = |start: usize| Some(i32::from_be_bytes(*fields.get(start..)?.first_chunk()?));
    let channels = match fields.get(9)? {
        0 => 1,
        2 | 3 => 3,
        4 => 2,
        6 => 4,
        _ => return None,
    };
    Some(Size { width: number(0)?, height: number(4)?, channels })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(colour_type: u8) -> Vec<u8> {
        [&BEGINNING[..], &[0, 0, 1, 2, 0, 0, 0, 7, 8, colour_type, 0, 0, 0]].concat()
    }

    #[test]
    fn every_colour_type_of_the_standard_has_its_channels() {
        for (colour_type, channels) in [(0, 1), (2, 3), (3, 3), (4, 2), (6, 4)] {
            assert_eq!(size(&file(colour_type)), Some(Size { width: 258, height: 7, channels }));
        }
        assert_eq!(size(&file(5)), None);
    }

    #[test]
    fn a_file_that_is_cut_or_another_has_no_size() {
        let whole = file(0);
        // Behind the colour type nothing is asked for.
        assert!((0..26).all(|end| size(&whole[..end]).is_none()));
        assert!(size(&whole[..26]).is_some());
        assert_eq!(size(&[b"\xff\xd8\xff\xe0", &whole[4..]].concat()), None);
    }
}
