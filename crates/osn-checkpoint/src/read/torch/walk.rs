//! Finds the tensors among the values of a pickle, and gives them names.

use std::collections::HashSet;
use std::sync::Arc;

use super::error::TorchError;
use super::path::{Part, Path};
use super::rebuild::Rebuilder;
use super::rebuilt::Rebuilt;
use super::storage::Storages;
use crate::read::pickle::value::{Node, Object, Pickle, Value};
use crate::read::tensor::{Content, StoredFile, Tensor};

/// Values inside values; each nested module takes two or three.
const MAX_DEPTH: usize = 500;
/// Steps that a walk may take, each worth about a byte of memory: some for each byte of the pickle.
/// An honest checkpoint takes a few; one in which values refer to each other again and again takes
/// any number.
const STEPS_PER_BYTE: u64 = 16;
const FREE_STEPS: u64 = 1 << 20;

/// What a tensor takes to list, and each of its axes.
const TENSOR_STEPS: usize = 256;
const AXIS_STEPS: usize = 32;

/// How often names are made anew because two tensors had one.
const MAX_RENAMINGS: usize = 4;

/// What a module keeps its parts in; these names are not part of a tensor's.
const MODULE_PARTS: [&str; 3] = ["_parameters", "_buffers", "_modules"];
/// Those of its parts that are tensors.
const TENSOR_PARTS: [&str; 2] = ["_parameters", "_buffers"];

/// Lists the tensors of a pickle in its order, each by the path of keys, attributes and positions
/// that leads to it, with `prefix` before it.
///
/// Where two paths have one name they are told apart by quotes: `a.b` and `"a.b"`.
pub(crate) fn tensors(
    pickle: &Pickle,
    prefix: &str,
    file: &Arc<StoredFile>,
    storages: &Storages,
) -> Result<Vec<Tensor>, TorchError> {
    let (mut ambiguous, mut rounds) = (HashSet::new(), 0);
    loop {
        let mut walk = Walk {
            pickle,
            file,
            storages,
            ambiguous: &ambiguous,
            owned: owned(pickle),
            path: Path::new(prefix),
            open: Vec::new(),
            walked: vec![false; pickle.nodes.len()],
            place: Place::Plain,
            found: Vec::new(),
            steps_left: FREE_STEPS + STEPS_PER_BYTE.saturating_mul(pickle.byte_count),
        };
        walk.value(pickle.root)?;
        let (found, count) = (walk.found, ambiguous.len());
        let mut names = HashSet::with_capacity(found.len());
        let repeated = found.iter().map(Tensor::name).filter(|name| !names.insert(*name));
        ambiguous.extend(repeated.map(str::to_owned));
        rounds += 1;
        if ambiguous.len() == count || rounds > MAX_RENAMINGS {
            return Ok(found);
        }
    }
}

/// The nodes that are parameters or buffers of some module.
fn owned(pickle: &Pickle) -> HashSet<u32> {
    let states = pickle.nodes.iter().flat_map(|node| match node {
        Node::Object(object) => &object.states[..],
        _ => &[],
    });
    let parts = states.flat_map(|&state| pickle.pairs(state).unwrap_or(&[]));
    let parts =
        parts.filter(|(key, _)| pickle.text(*key).is_some_and(|k| TENSOR_PARTS.contains(&k)));
    let tensors = parts.flat_map(|&(_, part)| pickle.pairs(part).unwrap_or(&[]));
    tensors.filter_map(|(_, value)| value.node()).collect()
}

struct Walk<'a> {
    pickle: &'a Pickle,
    file: &'a Arc<StoredFile>,
    storages: &'a Storages,
    /// Names that several paths have.
    ambiguous: &'a HashSet<String>,
    /// The parameters and buffers of modules, which have their names there.
    owned: HashSet<u32>,
    /// The path to the value at hand.
    path: Path,
    /// The values on that path: one that comes again is a circle, and has been listed.
    open: Vec<Value>,
    /// The nodes that have been seen, by number.
    walked: Vec<bool>,
    place: Place,
    found: Vec<Tensor>,
    steps_left: u64,
}

/// What the path to a value goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Dictionaries, lists, and the parts of modules.
    Plain,
    /// An attribute of an object: what is kept there has often been listed elsewhere.
    Attribute,
    /// An attribute of a module or a tensor.
    Aside,
}

type Done = Result<(), TorchError>;

impl<'a> Walk<'a> {
    fn value(&mut self, value: Value) -> Done {
        self.pay(1)?;
        let pickle = self.pickle;
        let (Some(node), Some(number)) = (pickle.node(value), value.node()) else {
            return Ok(());
        };
        if matches!(node, Node::Text(_) | Node::Global(_)) {
            return Ok(());
        }
        self.pay(self.path.plain.len() + self.open.len())?;
        let was_walked = std::mem::replace(&mut self.walked[number as usize], true);
        if self.place != Place::Plain && (was_walked || self.owned.contains(&number)) {
            return Ok(());
        }
        if self.open.contains(&value) {
            return Ok(());
        }
        self.open.push(value);
        self.node(value, node)?;
        self.open.pop();
        Ok(())
    }

    fn node(&mut self, value: Value, node: &'a Node) -> Done {
        if let Some(rebuilt) = self.rebuilt(value)? {
            return self.list(rebuilt);
        }
        match node {
            Node::Tuple(values) | Node::List(values) => self.positions(values),
            Node::Dict(pairs) => self.pairs(pairs),
            Node::Object(object) => self.object(object),
            Node::Text(_) | Node::Global(_) | Node::Persistent(_) => Ok(()),
        }
    }

    /// A step costs what it may search and allocate.
    fn pay(&mut self, price: usize) -> Done {
        let left = self.steps_left.checked_sub(price as u64);
        let left = left.filter(|_| self.open.len() < MAX_DEPTH);
        self.steps_left = left.ok_or(TorchError::Tangled)?;
        Ok(())
    }

    fn positions(&mut self, values: &[Value]) -> Done {
        let mut position = 0;
        for &value in values {
            match value {
                Value::Run(count) => position += i128::from(count),
                value => {
                    self.named(Part::Number(position), value)?;
                    position += 1;
                }
            }
        }
        Ok(())
    }

    fn pairs(&mut self, pairs: &[(Value, Value)]) -> Done {
        let pickle = self.pickle;
        let mut pairs = pairs.iter().enumerate();
        pairs.try_for_each(|(i, &(key, value))| self.named(Part::of_key(pickle, key, i), value))
    }

    fn named(&mut self, part: Part, value: Value) -> Done {
        if value.node().is_none() {
            return self.pay(1);
        }
        let before = self.path.enter(part);
        self.value(value)?;
        self.path.leave(before);
        Ok(())
    }

    fn object(&mut self, object: &'a Object) -> Done {
        self.arguments(object)?;
        self.positions(&object.items)?;
        self.pairs(&object.pairs)?;
        object.states.iter().try_for_each(|&state| self.state(state, Place::Attribute))
    }

    /// What an unknown callable is given; Python 2 gives an ordered dictionary its pairs this way.
    fn arguments(&mut self, object: &Object) -> Done {
        let pickle = self.pickle;
        let arguments = pickle.tuple(object.arguments).unwrap_or(&[]);
        let is_ordered =
            pickle.global(object.callable).is_some_and(|callable| &*callable.name == "OrderedDict");
        match arguments {
            &[pairs] if is_ordered => {
                let pairs = pickle.list(pairs).unwrap_or(&[]);
                let pair = |&pair: &Value| match *pickle.list(pair).or(pickle.tuple(pair))? {
                    [key, value] => Some((key, value)),
                    _ => None,
                };
                let pairs: Vec<_> = pairs.iter().filter_map(pair).collect();
                self.pairs(&pairs)
            }
            arguments => self.positions(arguments),
        }
    }

    /// The attributes in an object's state: a dictionary, or one for each way to keep them.
    fn state(&mut self, state: Value, place: Place) -> Done {
        let pickle = self.pickle;
        if let Some(attributes) = pickle.pairs(state) {
            return self.attributes(attributes, place);
        }
        match pickle.tuple(state) {
            Some(&[first, second]) if pickle.pairs(second).is_some() => {
                self.state(first, place)?;
                self.state(second, place)
            }
            _ => self.at(place, |walk| walk.value(state)),
        }
    }

    fn attributes(&mut self, attributes: &[(Value, Value)], place: Place) -> Done {
        let pickle = self.pickle;
        let part = |key| pickle.text(key).filter(|name| MODULE_PARTS.contains(name));
        let is_module = attributes.iter().any(|&(key, _)| part(key).is_some());
        let place = if is_module { Place::Aside } else { place };
        for (i, &(key, value)) in attributes.iter().enumerate() {
            match pickle.text(key) {
                _ if part(key).is_some() => self.at(Place::Plain, |walk| walk.value(value))?,
                Some(name) => self.at(place, |walk| walk.named(Part::Attribute(name), value))?,
                None => self.at(place, |walk| walk.named(Part::of_key(pickle, key, i), value))?,
            }
        }
        Ok(())
    }

    /// Walks what is at another place than the values around it.
    fn at(&mut self, place: Place, walk: impl FnOnce(&mut Self) -> Done) -> Done {
        // What is in something aside is aside, too, but for the parts of a module in there.
        let is_inside = self.place == Place::Aside && place == Place::Attribute;
        let place = if is_inside { Place::Aside } else { place };
        let before = std::mem::replace(&mut self.place, place);
        walk(self)?;
        self.place = before;
        Ok(())
    }

    fn rebuilt(&mut self, value: Value) -> Result<Option<Rebuilt>, TorchError> {
        let (pickle, storages, name) = (self.pickle, self.storages, &self.path.plain);
        Rebuilder { pickle, storages, name }.value(value)
    }

    /// Lists a tensor, and those among its attributes.
    fn list(&mut self, rebuilt: Rebuilt) -> Done {
        let Rebuilt { shape, dtype, mut content, states } = rebuilt;
        if let (Place::Aside, Content::Stored { set_aside, .. }) = (self.place, &mut content) {
            *set_aside = true;
        }
        self.pay(TENSOR_STEPS + AXIS_STEPS * shape.len() + 2 * self.path.exact.len())?;
        let is_ambiguous = self.ambiguous.contains(&self.path.plain);
        let name = if is_ambiguous { &self.path.exact } else { &self.path.plain };
        let (name, file) = (name.clone(), Arc::clone(self.file));
        self.found.push(Tensor { name, shape, dtype, file, content });
        states.iter().try_for_each(|&state| self.state(state, Place::Aside))
    }
}
