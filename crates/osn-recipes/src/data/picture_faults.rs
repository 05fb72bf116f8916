//! Faults of pictures that decoders ignore, or at which they panic.

const JPEG_START: [u8; 2] = [0xff, 0xd8];
const JPEG_END: [u8; 2] = [0xff, 0xd9];
const PNG_START: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Bytes of a colour, and of the checksum behind a chunk of a PNG.
const COLOUR_BYTES: usize = 3;
const CHECKSUM_BYTES: usize = 4;

/// What is wrong with the bytes of a picture and has to be found before they are decoded.
pub(super) fn fault(bytes: &[u8]) -> Option<&'static str> {
    if is_cut_jpeg(bytes) {
        Some("the file ends too early")
    } else if has_odd_palette(bytes) {
        Some("its palette is no list of colours")
    } else {
        None
    }
}

/// Whether a JPEG lacks its end: decoders make what is missing grey and say nothing.
///
/// Segments state their lengths up to the first scan; in a scan the end has bytes that nothing else has.
fn is_cut_jpeg(bytes: &[u8]) -> bool {
    let mut place = JPEG_START.len();
    while bytes.starts_with(&JPEG_START) {
        match bytes.get(place..place + 4) {
            None => return true,
            // Any number of these may stand before a marker.
            Some([0xff, 0xff, ..]) => place += 1,
            Some([0xff, 0xda, ..]) => return !bytes[place..].windows(2).any(|it| it == JPEG_END),
            Some([0xff, _, high, low]) => {
                place += 2 + usize::from(u16::from_be_bytes([*high, *low]));
            }
            Some(_) => return false,
        }
    }
    false
}

/// Whether the palette of a PNG ends within a colour: the crate `png` 0.18.1 panics there
/// (image-rs/image-png issue 694).
fn has_odd_palette(bytes: &[u8]) -> bool {
    let Some(mut chunks) = bytes.strip_prefix(PNG_START) else { return false };
    while let Some(([a, b, c, d, kind @ ..], rest)) = chunks.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        if kind == b"PLTE" && !length.is_multiple_of(COLOUR_BYTES) {
            return true;
        }
        chunks = rest.get(length.saturating_add(CHECKSUM_BYTES)..).unwrap_or_default();
    }
    false
}
