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
