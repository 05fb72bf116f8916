//! Layers by the module that holds them, for runs of too many to be looked at one by one.

/// Layers of one module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module<'a> {
    /// Their network.
    pub network: &'a str,
    /// The module's path; of a layer that stands alone that layer's.
    pub path: &'a str,
    /// The places of its layers among all.
    pub layers: Vec<usize>,
}

/// The modules of layers, each given by its network and path, in the order of their first layers.
///
/// `encoder.0.attention.query.weight[2]` is in `encoder.0.attention`: the block, the parameter and its own module
/// are left out. A layer that is alone in its module has its own path.
pub fn modules<'a>(layers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<Module<'a>> {
    let mut modules: Vec<(Module<'a>, &'a str)> = Vec::new();
    for (place, (network, path)) in layers.into_iter().enumerate() {
        let of = module_of(path);
        let is_it = |known: &&mut (Module, &str)| known.0.network == network && known.1 == of;
        match modules.iter_mut().rev().find(is_it).filter(|_| !of.is_empty()) {
            Some((module, of)) => {
                module.layers.push(place);
                module.path = *of;
            }
            None => modules.push((Module { network, path, layers: vec![place] }, of)),
        }
    }
    modules.into_iter().map(|(module, _)| module).collect()
}

/// The path of the module that holds a layer's own one; empty at the root.
fn module_of(path: &str) -> &str {
    let parameter = path.split('[').next().unwrap_or(path);
    let layer = parameter.rsplit_once('.').map_or("", |(layer, _)| layer);
    layer.rsplit_once('.').map_or("", |(module, _)| module)
}

/// The path with a star in place of each number, which modules of one kind share: `encoder.*.attention`.
pub fn kind_of(path: &str) -> String {
    let star = |part| if is_number(part) { "*" } else { part };
    path.split('.').map(star).collect::<Vec<_>>().join(".")
}

/// Whether a part of a path is a number, such as that of a layer.
pub(crate) fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_and_projections_of_an_attention_block_are_one_module() {
        let paths = [
            "embedding.weight",
            "encoder.0.attention.query.weight[0]",
            "encoder.0.attention.query.weight[1]",
            "encoder.0.attention.output.weight",
            "encoder.0.inner.weight",
            "encoder.1.attention.query.weight[0]",
            "output.weight",
        ];
        let found = modules(paths.iter().map(|path| ("transformer", *path)));
        let found: Vec<_> = found.iter().map(|it| (it.path, &it.layers[..])).collect();
        let expected: [(&str, &[usize]); 5] = [
            ("embedding.weight", &[0]),
            ("encoder.0.attention", &[1, 2, 3]),
            ("encoder.0.inner.weight", &[4]),
            ("encoder.1.attention.query.weight[0]", &[5]),
            ("output.weight", &[6]),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn modules_of_two_networks_are_two() {
        assert_eq!(
            modules([("a", "m.x.weight"), ("b", "m.x.weight"), ("a", "m.y.weight")]).len(),
            2
        );
    }

    #[test]
    fn a_kind_has_no_numbers() {
        assert_eq!(kind_of("encoder.12.attention"), "encoder.*.attention");
        assert_eq!(kind_of("conv1.weight"), "conv1.weight");
        assert_eq!(kind_of(""), "");
    }
}
