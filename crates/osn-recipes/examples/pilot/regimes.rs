//! The tasks, and for each the regimes: what favours one way of holding D or another.

use crate::vectors::{Change, Data, VectorGan};

/// One setting in which all arms are compared.
#[derive(Clone)]
pub(crate) struct Regime {
    pub(crate) name: String,
    pub(crate) about: &'static str,
    pub(crate) trains: Trains,
}

#[derive(Clone)]
pub(crate) enum Trains {
    /// Fully connected networks on points or small images.
    Vectors(VectorGan),
    /// The recipe `gan`, with these settings.
    Images(Vec<(&'static str, &'static str)>),
}

impl Regime {
    pub(crate) fn is_chosen(&self, parts: &[String]) -> bool {
        parts.is_empty() || parts.iter().any(|part| self.name.contains(part.as_str()))
    }
}

pub(crate) fn all() -> Vec<Regime> {
    [plane("ring", Data::Ring), plane("grid", Data::Grid), digits(), images()].concat()
}

fn vectors(name: &str, about: &'static str, gan: VectorGan) -> Regime {
    Regime { name: name.to_owned(), about, trains: Trains::Vectors(gan) }
}

fn plane(task: &str, data: Data) -> Vec<Regime> {
    let base = VectorGan { data, ..VectorGan::default() };
    let about = "60 points, two D steps for each of G";
    let mut regimes = of_all(task, &base, &VectorGan { count: 60, ..base.clone() }, about);
    let cut = VectorGan { change: Some(Change::Count(60)), ..base };
    regimes.push(vectors(&format!("{task}/cut"), "60 points from half-way on", cut));
    regimes
}

fn digits() -> Vec<Regime> {
    let base = VectorGan {
        data: Data::Digits,
        width: 128,
        generator_width: 128,
        latents: 16,
        ..VectorGan::default()
    };
    let few = VectorGan { count: 100, ..base.clone() };
    of_all("digits", &base, &few, "100 images, two D steps for each of G")
}

/// The regimes of every task of vectors; `few` has few of them, and is `about` that.
fn of_all(task: &str, base: &VectorGan, few: &VectorGan, about: &'static str) -> Vec<Regime> {
    let base = || base.clone();
    let jump = Some(Change::LearningRate(5.0));
    let regimes = [
        ("plain", "nothing special", base()),
        ("hot", "learning rate x 5", VectorGan { learning_rate: 5e-3, ..base() }),
        (
            "momentum",
            "Adam's beta1 0.9, five D steps for each of G",
            VectorGan { beta_1: 0.9, n_dis: 5, ..base() },
        ),
        ("deep", "six hidden layers in D", VectorGan { depth: 6, ..base() }),
        ("narrow", "8 units in each layer of D", VectorGan { width: 8, ..base() }),
        ("few", about, VectorGan { n_dis: 2, ..few.clone() }),
        ("slow", "learning rate / 5", VectorGan { learning_rate: 2e-4, ..base() }),
        ("jump", "learning rate x 5 from half-way on", VectorGan { change: jump, ..base() }),
    ];
    let named = |(name, about, gan)| vectors(&format!("{task}/{name}"), about, gan);
    regimes.into_iter().map(named).collect()
}

fn images() -> Vec<Regime> {
    const SMALL: [(&str, &str); 7] = [
        ("g_channels", "16"),
        ("d_channels", "8"),
        ("steps", "600"),
        ("eval_every", "150"),
        ("eval_images", "500"),
        ("final_images", "500"),
        ("ema", "null"),
    ];
    let image = |name: &str, about, settings: &[(&'static str, &'static str)]| Regime {
        name: name.to_owned(),
        about,
        trains: Trains::Images(SMALL.iter().chain(settings).copied().collect()),
    };
    vec![
        image("images/plain", "the recipe gan, smaller", &[]),
        image("images/hot", "learning rate x 7", &[("learning_rate", "0.002")]),
    ]
}
