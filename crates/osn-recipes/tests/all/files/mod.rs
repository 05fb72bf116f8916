//! Files of data that tests write.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use image::{Rgb, RgbImage};

pub(crate) mod text;
pub(crate) mod wav;

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An IDX file of bytes.
pub(crate) fn idx(shape: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, u8::try_from(shape.len()).unwrap()];
    bytes.extend(shape.iter().flat_map(|size| size.to_be_bytes()));
    bytes.extend(values);
    bytes
}

/// The images and labels of one part, `train` or `t10k`: `pixel` has the image and the place in it.
pub(crate) fn write_idx(
    folder: &Path,
    part: &str,
    labels: &[u8],
    [rows, columns]: [u32; 2],
    pixel: impl Fn(usize, usize) -> u8,
) {
    let count = u32::try_from(labels.len()).unwrap();
    let size = (rows * columns) as usize;
    let pixels: Vec<u8> =
        (0..labels.len() * size).map(|place| pixel(place / size, place % size)).collect();
    let images = idx(&[count, rows, columns], &pixels);
    fs::write(folder.join(format!("{part}-images-idx3-ubyte")), images).unwrap();
    fs::write(folder.join(format!("{part}-labels-idx1-ubyte")), idx(&[count], labels)).unwrap();
}

/// Saves a picture, in folders that are created where they are missing.
pub(crate) fn save(folder: &Path, name: &str, image: &RgbImage) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image.save(&path).unwrap();
    path
}

/// So many pictures of one colour each, `000.png` and so on.
pub(crate) fn fill(folder: &Path, count: u8, side: u32, colour: impl Fn(u8) -> [u8; 3]) {
    for index in 0..count {
        let image = RgbImage::from_pixel(side, side, Rgb(colour(index)));
        save(folder, &format!("{index:03}.png"), &image);
    }
}

pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// A PNG that states so many rows and columns, with the checksum that goes with that.
pub(crate) fn with_side(mut png: Vec<u8>, side: u32) -> Vec<u8> {
    png[16..20].copy_from_slice(&side.to_be_bytes());
    png[20..24].copy_from_slice(&side.to_be_bytes());
    let checksum = crc32(&png[12..29]).to_be_bytes();
    png[29..33].copy_from_slice(&checksum);
    png
}
