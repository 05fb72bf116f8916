//! A number for all that a model is, by which workers find that they have parted.

use std::fmt::Write as _;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Int, Tensor};

use crate::osn::Osn;
use crate::state::walks::Walk;

/// Of every parameter of a model, to the bit, and of what is wanted and in force on its layers.
pub(crate) fn of<M: Module>(model: &M, osn: &Osn) -> u64 {
    let mut digest = Digest::default();
    model.visit(&mut digest);
    let decided = format!("{:?}{:?}", osn.wanted(), osn.applied());
    digest.add(decided.bytes().map(u32::from));
    digest.value
}

/// The path and the shape of every parameter.
pub(crate) fn shapes<M: Module>(model: &M) -> String {
    let mut shapes = Shapes::default();
    model.visit(&mut shapes);
    shapes.text
}

/// FNV-1a (Fowler, Noll and Vo) over words of 32 bits.
struct Digest {
    value: u64,
}

impl Default for Digest {
    fn default() -> Self {
        Self { value: 0xcbf2_9ce4_8422_2325 }
    }
}

impl Digest {
    fn add(&mut self, words: impl Iterator<Item = u32>) {
        let next = |value: u64, word| (value ^ u64::from(word)).wrapping_mul(0x100_0000_01b3);
        self.value = words.fold(self.value, next);
    }
}

impl ModuleVisitor for Digest {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let data = param.base().without_autodiff().into_data();
        self.add(data.iter::<f32>().map(f32::to_bits));
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        let data = param.val().without_autodiff().into_data();
        self.add(data.iter::<i32>().map(i32::cast_unsigned));
    }
}

#[derive(Default)]
struct Shapes {
    walk: Walk,
    text: String,
}

impl Shapes {
    fn add(&mut self, shape: impl std::fmt::Debug) {
        let _ = write!(self.text, "{} {shape:?}, ", self.walk.path());
    }
}

impl ModuleVisitor for Shapes {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.add(param.lazy_shape());
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.add(param.lazy_shape());
    }

    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.walk.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.walk.exit();
    }
}
