//! Layers that share a line where each has not room for one of its own.

use osn_recipes::run::observer::LayerStatus;
use osn_report::{kind_of, modules, short};

/// Layers of one line.
#[derive(Debug, PartialEq)]
pub(super) struct Group<'a> {
    /// The layer's path, that of the module that holds them, or of several modules with stars for numbers.
    pub(super) name: String,
    pub(super) layers: Vec<&'a LayerStatus>,
}

/// As many groups as fit into so many lines, as fine as they can be: layers, else modules, else modules of one kind,
/// which may still be too many.
pub(super) fn groups(layers: &[LayerStatus], room: usize) -> Vec<Group<'_>> {
    let each =
        || layers.iter().map(|layer| Group { name: layer.path.clone(), layers: vec![layer] });
    if layers.len() <= room {
        return each().collect();
    }
    let by_module = by_module(layers);
    if by_module.len() <= room {
        return by_module;
    }
    let by_kind = by_kind(by_module);
    if by_kind.len() < layers.len() { by_kind } else { each().collect() }
}

fn by_module(layers: &[LayerStatus]) -> Vec<Group<'_>> {
    let modules = modules(layers.iter().map(|layer| ("", layer.path.as_str())));
    let group = |module: &osn_report::Module| Group {
        name: module.path.to_owned(),
        layers: module.layers.iter().map(|place| &layers[*place]).collect(),
    };
    modules.iter().map(group).collect()
}

fn by_kind(modules: Vec<Group<'_>>) -> Vec<Group<'_>> {
    let mut kinds: Vec<Group> = Vec::new();
    for module in modules {
        let name = kind_of(&module.name);
        match kinds.iter_mut().find(|kind| kind.name == name) {
            Some(kind) => kind.layers.extend(module.layers),
            None => kinds.push(Group { name, ..module }),
        }
    }
    kinds
}

impl Group<'_> {
    /// The mean over its layers.
    pub(super) fn elasticity(&self) -> f64 {
        let sum: f64 = self.layers.iter().map(|layer| layer.elasticity).sum();
        sum / self.layers.len() as f64
    }

    /// How many of its layers are constrained, of how many.
    pub(super) fn held(&self) -> String {
        let n = self.layers.iter().filter(|layer| layer.elasticity > 0.0).count();
        format!("{n} of {} held", self.layers.len())
    }

    /// The smallest and the largest σ.
    pub(super) fn sigmas(&self) -> String {
        let of = |fold: fn(f64, f64) -> f64| {
            short(self.layers.iter().map(|layer| layer.sigma).fold(f64::NAN, fold))
        };
        format!("{} … {}", of(f64::min), of(f64::max))
    }

    /// The layer with the largest σ, of which something may go wrong first.
    pub(super) fn largest(&self) -> Option<&LayerStatus> {
        self.layers.iter().copied().max_by(|a, b| a.sigma.total_cmp(&b.sigma))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers() -> Vec<LayerStatus> {
        let blocks = |module: String| {
            ["query", "key"]
                .map(|role| {
                    (0..4).map(|head| format!("{module}.{role}.weight[{head}]")).collect::<Vec<_>>()
                })
                .concat()
        };
        let paths = (0..8).flat_map(|layer| blocks(format!("encoder.{layer}.attention")));
        let layer = |(place, path)| LayerStatus {
            path,
            sigma: place as f64,
            target: None,
            scale: 1.0,
            elasticity: if place % 2 == 0 { 1.0 } else { 0.0 },
            action: "cap".into(),
            reason: String::new(),
        };
        ["embedding.weight".to_owned()].into_iter().chain(paths).enumerate().map(layer).collect()
    }

    #[test]
    fn lines_are_as_fine_as_there_is_room() {
        let layers = layers();
        let names = |room| groups(&layers, room).into_iter().map(|it| it.name).collect::<Vec<_>>();
        assert_eq!(names(65).len(), 65);
        assert_eq!(names(20)[..2], ["embedding.weight", "encoder.0.attention"]);
        assert_eq!(names(20).len(), 9);
        assert_eq!(names(5), ["embedding.weight", "encoder.*.attention"]);
    }

    #[test]
    fn a_line_of_many_says_how_many_are_held_and_between_what_they_are() {
        let layers = layers();
        let all = &groups(&layers, 2)[1];
        assert_eq!((all.held(), all.sigmas()), ("32 of 64 held".into(), "1.000 … 64.00".into()));
        assert_eq!(all.elasticity(), 0.5);
        assert_eq!(all.largest().unwrap().sigma, 64.0);
    }
}
