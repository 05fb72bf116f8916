//! Files that tests give to osn.

use std::fs;
use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize_to_file};

/// A file of the tests of `osn-checkpoint`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../osn-checkpoint/tests/fixtures").join(name)
}

/// A safetensors file of one tensor.
pub(crate) fn write_tensor(path: &Path, name: &str, shape: &[usize], values: &[f32]) {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, shape.to_vec(), &bytes).unwrap();
    serialize_to_file([(name, view)], None, path).unwrap();
}

/// A checkpoint of one weight in a folder.
pub(crate) fn checkpoint(folder: &Path) -> PathBuf {
    let file = folder.join("model.safetensors");
    write_tensor(&file, "w", &[2, 2], &[3.0, 0.0, 0.0, 1.0]);
    file
}

/// A picture of one colour as a file of a folder.
pub(crate) fn draw(folder: &Path, index: u8, red: u8) {
    let picture = RgbImage::from_pixel(28, 28, Rgb([red, index, 200]));
    picture.save(folder.join(format!("{index:02}.png"))).unwrap();
}

/// A folder of sixty pictures.
pub(crate) fn pictures(folder: &Path) {
    fs::create_dir(folder).unwrap();
    (0..60).for_each(|index| draw(folder, index, 9));
}

/// A package of two emoji, one of them blank.
pub(crate) fn emoji_package(folder: &Path) {
    let picture = |shape: &str| {
        format!("<svg viewBox=\"0 0 9 9\" xmlns=\"http://www.w3.org/2000/svg\">{shape}</svg>")
    };
    for side in ["black/svg", "color/svg"].map(|side| folder.join(side)) {
        fs::create_dir_all(&side).unwrap();
        fs::write(side.join("1F600.svg"), picture("<circle cx=\"4\" cy=\"4\" r=\"3\"/>")).unwrap();
        fs::write(side.join("2B1C.svg"), picture("")).unwrap();
    }
}
