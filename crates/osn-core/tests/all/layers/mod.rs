//! Layers to decide about.

use osn_core::layer::{Architecture, Kind, Layer};

/// Two convolutions of a discriminator.
pub(crate) fn layers() -> Vec<Layer> {
    let layer = |index| Layer {
        path: format!("blocks.{index}.weight"),
        network: "discriminator".to_owned(),
        kind: Kind::Conv,
        shape: vec![8, 4, 3, 3],
        index,
        count: 2,
        is_largest: index == 0,
        block: None,
        architecture: Architecture::default(),
    };
    (0..2).map(layer).collect()
}
