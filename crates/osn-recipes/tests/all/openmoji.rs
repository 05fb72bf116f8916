//! `osn_recipes::data::openmoji`: small packages written here, drawn and read back as pairs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use image::RgbImage;
use osn_recipes::data::openmoji::{self, ImportError, Imported};
use osn_recipes::data::pairs;
use osn_recipes::data::svg::SvgError;
use tempfile::TempDir;

const START: &str = "<svg viewBox=\"0 0 72 72\" xmlns=\"http://www.w3.org/2000/svg\">";

fn svg(shapes: &str) -> String {
    format!("{START}{shapes}</svg>")
}

fn rect(left: usize, colour: &str) -> String {
    svg(&format!("<rect x=\"{left}\" y=\"9\" width=\"18\" height=\"54\" fill=\"{colour}\"/>"))
}

/// A folder with a package in it and room for what is made of it.
struct Package(TempDir);

impl Package {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// Emoji that all look different.
    fn of(names: &[&str]) -> Self {
        let package = Self::new();
        for (index, name) in names.iter().enumerate() {
            let grey = format!("rgb({0},{0},{0})", index % 200);
            package.add(name, &rect(index / 200 * 9, &grey), &rect(9, "red"));
        }
        package
    }

    fn add(&self, name: &str, line_art: &str, colour: &str) {
        for (folder, picture) in [("black/svg", line_art), ("color/svg", colour)] {
            let folder = self.path().join(folder);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(format!("{name}.svg")), picture).unwrap();
        }
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("package")
    }

    fn out(&self) -> PathBuf {
        self.0.path().join("made/pairs")
    }

    fn import(&self) -> Result<Imported, ImportError> {
        openmoji::import(&self.path(), &self.out(), 8, |_, _| ())
    }

    /// The names of the pairs that are in the inputs of a part.
    fn names(&self, part: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(self.out().join(part).join("input")).unwrap();
        let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
        entries.map(|entry| stem(entry.unwrap().path())).collect()
    }

    fn picture(&self, side: &str, name: &str) -> RgbImage {
        let parts = ["train", "test"].map(|part| self.out().join(part).join(side));
        let paths = parts.map(|folder| folder.join(format!("{name}.png")));
        let path = paths.iter().find(|path| path.exists()).unwrap();
        image::open(path).unwrap().to_rgb8()
    }
}

/// Names of emoji that are not variants of each other.
fn many_names() -> Vec<String> {
    (0..300).map(|code| format!("1{code:04X}")).collect()
}

fn as_strs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

#[test]
fn line_art_is_the_input_and_colour_the_target_on_white() {
    let package = Package::new();
    package.add("1F600", &rect(0, "black"), &rect(54, "#0000ff"));
    package.import().unwrap();
    let (input, target) = (package.picture("input", "1F600"), package.picture("target", "1F600"));
    assert_eq!((input.dimensions(), target.dimensions()), ((8, 8), (8, 8)));
    // Of 72 units nine are a pixel: the rectangle covers two columns and rows 1 to 6.
    for (x, y, pixel) in input.enumerate_pixels() {
        let is_black = x < 2 && (1..7).contains(&y);
        assert_eq!(pixel.0, if is_black { [0; 3] } else { [255; 3] }, "{x} {y}");
    }
    assert_eq!(target.get_pixel(7, 3).0, [0, 0, 255]);
    assert_eq!(target.get_pixel(0, 3).0, [255, 255, 255]);
}

#[test]
fn a_wide_picture_lies_in_the_middle() {
    let package = Package::new();
    let wide = "<svg viewBox=\"0 0 80 40\" xmlns=\"http://www.w3.org/2000/svg\">\
                <rect width=\"80\" height=\"40\"/></svg>";
    package.add("25AD", wide, wide);
    package.import().unwrap();
    let input = package.picture("input", "25AD");
    let column: Vec<u8> = (0..8).map(|y| input.get_pixel(4, y).0[0]).collect();
    assert_eq!(column, [255, 255, 0, 0, 0, 0, 255, 255]);
}

#[test]
fn what_is_written_is_read_as_pairs() {
    let names = many_names();
    let package = Package::of(&as_strs(&names));
    let imported = package.import().unwrap();
    let read = pairs::load(package.out().to_str(), 8).unwrap();
    assert_eq!((read.train.len(), read.test.len()), (imported.train, imported.test));
    assert_eq!((read.train.inputs.channels, read.train.targets.channels), (1, 3));
    assert_eq!(imported.train + imported.test, 300);
    assert!((15..=45).contains(&imported.test), "about one in ten: {}", imported.test);
    let licence = fs::read_to_string(package.out().join("LICENCE.txt")).unwrap();
    assert!(licence.contains("CC BY-SA 4.0") && licence.contains("OpenMoji"), "{licence}");
}

#[test]
fn the_split_is_the_same_every_time_and_does_not_depend_on_the_others() {
    let names = many_names();
    let (all, some) = (Package::of(&as_strs(&names)), Package::of(&as_strs(&names[100..])));
    all.import().unwrap();
    some.import().unwrap();
    let some_names: BTreeSet<_> = names[100..].iter().cloned().collect();
    let expected = all.names("test").intersection(&some_names).cloned().collect::<BTreeSet<_>>();
    assert_eq!(some.names("test"), expected);
    assert!(!expected.is_empty());
}

#[test]
fn skin_tones_and_sexes_of_one_emoji_stay_together() {
    let mut names = Vec::new();
    for code in 10..50 {
        for tone in ["", "-FE0F", "-1F3FB", "-1F3FC", "-1F3FD", "-1F3FE", "-1F3FF"] {
            for sex in ["", "-200D-2640-FE0F", "-200D-2642-FE0F"] {
                names.push(format!("1F9{code}{tone}{sex}"));
            }
        }
    }
    let package = Package::of(&as_strs(&names));
    package.import().unwrap();
    let codes = |part: &str| -> BTreeSet<String> {
        package.names(part).iter().map(|name| name[..5].to_owned()).collect()
    };
    let (train, test) = (codes("train"), codes("test"));
    assert!(!test.is_empty() && train.len() + test.len() == 40, "{test:?}");
}

#[test]
fn emoji_with_the_same_line_art_stay_together() {
    let package = Package::new();
    for (index, name) in many_names().iter().enumerate() {
        let left = index / 6;
        package.add(name, &rect(left, "black"), &rect(index % 60, "red"));
    }
    package.import().unwrap();
    let arts = |part: &str| -> BTreeSet<Vec<u8>> {
        let art = |name: &String| package.picture("input", name).into_raw();
        package.names(part).iter().map(art).collect()
    };
    let (train, test) = (arts("train"), arts("test"));
    assert!(!test.is_empty() && train.is_disjoint(&test));
}

#[test]
fn a_frame_that_many_emoji_share_does_not_join_them() {
    let package = Package::new();
    for (index, name) in many_names().iter().enumerate() {
        package.add(name, &rect(9, "black"), &rect(index % 60, "red"));
    }
    let imported = package.import().unwrap();
    assert!((15..=45).contains(&imported.test), "about one in ten: {}", imported.test);
}

#[test]
fn a_blank_side_leaves_the_pair_out_by_name() {
    let package = Package::of(&["A1", "A2", "A3"]);
    package.add("B1", &svg(""), &rect(9, "red"));
    package.add("B2", &rect(9, "black"), &rect(9, "white"));
    let imported = package.import().unwrap();
    assert_eq!(imported.blank, ["B1", "B2"]);
    assert_eq!(imported.train + imported.test, 3);
    let names = &package.names("train") | &package.names("test");
    assert_eq!(names, ["A1", "A2", "A3"].map(String::from).into());
}

#[test]
fn progress_counts_every_emoji_once() {
    let package = Package::of(&["A1", "A2", "A3"]);
    let seen = Mutex::new(Vec::new());
    openmoji::import(&package.path(), &package.out(), 8, |done, all| {
        seen.lock().unwrap().push((done, all));
    })
    .unwrap();
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    assert_eq!(seen, [(1, 3), (2, 3), (3, 3)]);
}

// --- What is refused -------------------------------------------------------------------------

/// What is wrong with a picture that is put beside good ones; its file must be named and nothing
/// written.
fn refused(line_art: &str) -> SvgError {
    let package = Package::of(&["A1", "A2"]);
    package.add("BAD", line_art, &rect(9, "red"));
    let error = package.import().unwrap_err();
    assert!(!error.to_string().contains('\n'), "{error}");
    assert_nothing_written(&package);
    let ImportError::Svg { path, problem } = error else { panic!("{error}") };
    assert!(path.ends_with("black/svg/BAD.svg"), "{}", path.display());
    problem
}

fn assert_nothing_written(package: &Package) {
    let made = package.out().parent().unwrap().to_owned();
    assert!(!made.exists() || fs::read_dir(made).unwrap().next().is_none());
}

#[test]
fn a_broken_picture_is_named() {
    let rect = rect(9, "black");
    assert!(matches!(refused(&rect[..rect.len() - 3]), SvgError::Xml(_)));
    assert!(matches!(refused("<html/>"), SvgError::NotPlain { element } if element == "html"));
    assert!(matches!(refused("<g/>"), SvgError::Svg(_)));
    let nothing = "<svg width=\"0\" height=\"0\" xmlns=\"http://www.w3.org/2000/svg\"/>";
    assert!(matches!(refused(nothing), SvgError::Svg(_)));
}

#[test]
fn a_picture_that_would_load_a_file_is_refused() {
    let other = Package::of(&["A1"]);
    let file = other.path().join("color/svg/A1.svg");
    for (element, attribute) in [("image", "href"), ("use", "href"), ("feImage", "xlink:href")] {
        let shape = format!(
            "<{element} xmlns:xlink=\"http://www.w3.org/1999/xlink\" width=\"72\" height=\"72\" \
             {attribute}=\"{}\"/>",
            file.display()
        );
        assert!(
            matches!(refused(&svg(&shape)), SvgError::NotPlain { element: found } if found == element)
        );
    }
}

#[test]
fn entities_are_refused_so_that_none_can_load_or_grow() {
    let entity =
        format!("<!DOCTYPE svg [<!ENTITY a SYSTEM \"file:///etc/hostname\">]>{}", svg("&a;"));
    assert!(matches!(refused(&entity), SvgError::Xml(_)));
}

#[test]
fn deep_and_large_pictures_are_refused() {
    let deep = |depth| svg(&("<g>".repeat(depth) + &"</g>".repeat(depth)));
    assert!(matches!(refused(&deep(100)), SvgError::TooDeep));
    assert!(matches!(refused(&deep(100_000)), SvgError::TooDeep));
    let large = svg(&format!("<!--{}-->", " ".repeat(1 << 20)));
    assert!(matches!(refused(&large), SvgError::TooLarge { .. }));
}

#[test]
fn shapes_far_outside_of_the_picture_are_refused() {
    for number in ["1e38", "-1e38", "1e9", "-7300"] {
        let shape = format!("<path d=\"M0 0 L{number} 9 L9 {number}\" stroke=\"black\"/>");
        assert!(matches!(refused(&svg(&shape)), SvgError::TooFar), "{number}");
    }
    let wide = "<path d=\"M0 0 L9 9\" stroke=\"black\" stroke-width=\"1e9\"/>";
    assert!(matches!(refused(&svg(wide)), SvgError::TooFar));
    let small_frame = svg("<rect width=\"9\" height=\"9\"/>").replace("72 72", "1e-30 1e-30");
    assert!(matches!(refused(&small_frame), SvgError::TooFar));
}

#[test]
fn numbers_at_the_bounds_of_their_type_draw_something_or_nothing() {
    let package = Package::of(&["A1"]);
    for (index, number) in ["1e-38", "1e-45", "1e400", "nan", "7000", "-7000"].iter().enumerate() {
        let shape = format!(
            "<path d=\"M0 0 L{number} 9 L9 {number}\" stroke=\"black\" stroke-dasharray=\"{number}\"/>"
        );
        package.add(&format!("B{index}"), &svg(&shape), &rect(9, "red"));
    }
    let flat = svg("<rect width=\"9\" height=\"9\"/>").replace("72 72", "1e30 1e-30");
    package.add("C1", &flat, &rect(9, "red"));
    package.import().unwrap();
    assert_eq!(package.picture("target", "A1").dimensions(), (8, 8));
}

#[test]
fn a_picture_without_its_partner_is_named() {
    for (lost, kept) in [("black", "color"), ("color", "black")] {
        let package = Package::of(&["A1", "A2"]);
        fs::remove_file(package.path().join(lost).join("svg/A2.svg")).unwrap();
        let error = package.import().unwrap_err();
        let ImportError::Unpaired { path, partner } = &error else { panic!("{error}") };
        assert!(path.ends_with(format!("{kept}/svg/A2.svg")), "{error}");
        assert!(partner.ends_with(format!("{lost}/svg/A2.svg")), "{error}");
        assert_nothing_written(&package);
    }
}

#[test]
fn what_systems_leave_beside_the_drawings_is_passed_over() {
    let package = Package::of(&["1F600", "1F601"]);
    fs::write(package.path().join("black/svg/._1F600.svg"), [0, 5, 22, 7]).unwrap();
    let Imported { train, test, blank } = package.import().unwrap();
    assert_eq!((train + test, blank.len()), (2, 0));
}

#[test]
fn more_than_memory_holds_is_refused_before_anything_is_drawn() {
    let package = Package::of(&["1F600", "1F601"]);
    for size in [1 << 16, u32::MAX] {
        let imported = openmoji::import(&package.path(), &package.out(), size, |_, _| {});
        let refused =
            matches!(imported, Err(ImportError::TooLarge { count: 2, size: of }) if of == size);
        assert!(refused, "{imported:?}");
    }
    assert_nothing_written(&package);
}

#[test]
fn another_folder_than_the_package_is_refused() {
    let package = Package::new();
    for _ in ["no folder", "an empty folder"] {
        let error = package.import().unwrap_err();
        assert!(matches!(error, ImportError::NotThePackage { folder: "black/svg", .. }), "{error}");
        fs::create_dir_all(package.path().join("black/svg")).unwrap();
    }
}

#[test]
fn what_is_there_is_not_replaced() {
    let package = Package::of(&["A1"]);
    package.import().unwrap();
    assert!(matches!(package.import(), Err(ImportError::Exists { .. })));
    let taken = package.path().join("file");
    fs::write(&taken, "mine").unwrap();
    assert!(openmoji::import(&package.path(), &taken, 8, |_, _| ()).is_err());
    assert_eq!(fs::read_to_string(&taken).unwrap(), "mine");
}

#[cfg(unix)]
#[test]
fn the_folder_has_the_rights_of_any_new_folder() {
    use std::os::unix::fs::PermissionsExt;
    let package = Package::of(&["A1"]);
    package.import().unwrap();
    let plain = package.0.path().join("plain");
    fs::create_dir(&plain).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&package.out()), mode(&plain));
    let left: Vec<_> = fs::read_dir(package.out().parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing temporary stays");
}
