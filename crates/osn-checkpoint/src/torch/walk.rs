//! Finds the tensors among the values of a pickle, and gives them names.

use std::sync::Arc;

use super::TorchError;
use super::storage::{StorageId, Storages, dtype_of_name};
use crate::dtype::Dtype;
use crate::error::quoted;
use crate::pickle::{Node, Object, Pickle, Value};
use crate::placement::{Placement, Region};
use crate::tensor::{Content, Lazy, StoredFile, Tensor};

/// Values inside values; each nested module takes two or three.
const MAX_DEPTH: usize = 500;
/// Steps that a walk may take for each instruction of the pickle, each worth about a byte of
/// memory. An honest checkpoint takes a few; one in which values refer to each other again and
/// again takes any number.
const STEPS_PER_INSTRUCTION: u64 = 128;
const FREE_STEPS: u64 = 1 << 16;

/// What a tensor takes to list, and each of its axes.
const TENSOR_STEPS: usize = 192;
const AXIS_STEPS: usize = 32;

/// PyTorch allows no more axes.
const MAX_RANK: usize = 64;

/// What a module keeps its parts in; these names are not part of a tensor's.
const MODULE_PARTS: [&str; 3] = ["_parameters", "_buffers", "_modules"];

/// Lists the tensors of a pickle in its order, each by the path of keys, attributes and positions
/// that leads to it, with `prefix` before it.
pub(crate) fn tensors(
    pickle: &Pickle,
    prefix: &str,
    file: &Arc<StoredFile>,
    storages: &Storages,
) -> Result<Vec<Tensor>, TorchError> {
    let steps_left = FREE_STEPS + STEPS_PER_INSTRUCTION.saturating_mul(pickle.instructions);
    let (name, open, found) = (prefix.to_owned(), Vec::new(), Vec::new());
    let mut walk = Walk { pickle, file, storages, name, open, found, steps_left };
    walk.value(pickle.root)?;
    Ok(walk.found)
}

struct Walk<'a> {
    pickle: &'a Pickle,
    file: &'a Arc<StoredFile>,
    storages: &'a Storages,
    /// The path to the value at hand.
    name: String,
    /// The values on that path: one that comes again is a circle, and has been listed.
    open: Vec<Value>,
    found: Vec<Tensor>,
    steps_left: u64,
}

type Done = Result<(), TorchError>;

impl<'a> Walk<'a> {
    fn value(&mut self, value: Value) -> Done {
        self.pay(1)?;
        let pickle = self.pickle;
        let Some(node) = pickle.node(value) else { return Ok(()) };
        if matches!(node, Node::Text(_) | Node::Global(_)) {
            return Ok(());
        }
        self.pay(self.name.len() + self.open.len())?;
        if self.open.contains(&value) {
            return Ok(());
        }
        self.open.push(value);
        match node {
            Node::Tuple(values) | Node::List(values) => self.positions(values),
            Node::Dict(pairs) => self.pairs(pairs),
            Node::Object(object) => self.object(object),
            Node::Text(_) | Node::Global(_) | Node::Persistent(_) => Ok(()),
        }?;
        self.open.pop();
        Ok(())
    }

    /// A step costs what it may search and allocate.
    fn pay(&mut self, price: usize) -> Done {
        let left = self.steps_left.checked_sub(price as u64);
        let left = left.filter(|_| self.open.len() < MAX_DEPTH);
        self.steps_left = left.ok_or(TorchError::Tangled)?;
        Ok(())
    }

    fn positions(&mut self, values: &[Value]) -> Done {
        let mut values = values.iter().enumerate();
        values.try_for_each(|(i, &value)| self.named(&i.to_string(), value))
    }

    fn pairs(&mut self, pairs: &[(Value, Value)]) -> Done {
        pairs.iter().enumerate().try_for_each(|(i, &(key, value))| match self.key(key) {
            Some(key) => self.named(&key, value),
            None => self.named(&i.to_string(), value),
        })
    }

    fn key(&self, key: Value) -> Option<String> {
        match key {
            Value::Int(number) => Some(number.to_string()),
            Value::Bool(truth) => Some(truth.to_string()),
            key => self.pickle.text(key).map(str::to_owned),
        }
    }

    fn named(&mut self, key: &str, value: Value) -> Done {
        let length = self.name.len();
        if length > 0 {
            self.name.push('.');
        }
        self.name.push_str(key);
        self.value(value)?;
        self.name.truncate(length);
        Ok(())
    }

    fn object(&mut self, object: &'a Object) -> Done {
        if !self.rebuilt(object.callable, object.arguments)? {
            self.arguments(object)?;
        }
        self.positions(&object.items)?;
        self.pairs(&object.pairs)?;
        object.states.iter().try_for_each(|&state| self.state(state))
    }

    /// What PyTorch makes tensors by. False where the callable is something else.
    fn rebuilt(&mut self, callable: Value, arguments: Value) -> Result<bool, TorchError> {
        let pickle = self.pickle;
        let Some(callable) = pickle.global(callable) else { return Ok(false) };
        let arguments = pickle.tuple(arguments).unwrap_or(&[]);
        match (&*callable.module, &*callable.name, arguments) {
            (
                "torch._utils",
                "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3"
                | "_rebuild_qtensor",
                _,
            ) => self.tensor(arguments)?,
            (
                "torch._utils",
                "_rebuild_parameter" | "_rebuild_parameter_with_state",
                &[data, ..],
            ) => self.value(data)?,
            (
                "torch._tensor",
                "_rebuild_from_type_v2",
                &[function, _, arguments, ref rest @ ..],
            ) => {
                let rebuilt = self.rebuilt(function, arguments)?;
                rest.iter().try_for_each(|&state| self.state(state))?;
                return Ok(rebuilt);
            }
            _ => return Ok(false),
        }
        Ok(true)
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

    /// What an object is told of its attributes.
    fn state(&mut self, state: Value) -> Done {
        let pickle = self.pickle;
        let Some(Node::Dict(attributes)) = pickle.node(state) else {
            return self.value(state);
        };
        for &(key, value) in attributes {
            match pickle.text(key) {
                Some(part) if MODULE_PARTS.contains(&part) => self.value(value)?,
                _ => self.pairs(&[(key, value)])?,
            }
        }
        Ok(())
    }

    /// Lists the tensor of the arguments `(storage, offset, shape, strides, …)`; the third form has
    /// the dtype at place 6.
    fn tensor(&mut self, arguments: &[Value]) -> Done {
        let (region, dtype, offset) = self.storage(arguments)?;
        let sizes = |place| arguments.get(place).and_then(|&sizes| self.sizes(sizes));
        let (Some(shape), Some(strides)) = (sizes(2), sizes(3)) else {
            return Err(self.misdescribed("a shape or strides that are no sizes"));
        };
        if shape.len() > MAX_RANK {
            return Err(self.misdescribed("more axes than PyTorch allows"));
        }
        if shape.len() != strides.len() {
            return Err(self.misdescribed("unequal numbers of sizes and strides"));
        }
        self.pay(TENSOR_STEPS + AXIS_STEPS * shape.len())?;
        let element_bytes = dtype.element_bytes().unwrap_or(1);
        let placement = Placement::strided(region, element_bytes, offset, &shape, &strides);
        let placement = placement.map_err(|_| TorchError::Outside {
            tensor: quoted(&self.name),
            bytes: region.byte_count,
        })?;
        let (name, file, order) = (self.name.clone(), Arc::clone(self.file), self.storages.order);
        let content = Content::Stored { placement, order, lazy: Lazy::default() };
        self.found.push(Tensor { name, shape, dtype, file, content });
        Ok(())
    }

    /// The storage of a tensor's arguments, its dtype, and the tensor's first element in it.
    fn storage(&self, arguments: &[Value]) -> Result<(Region, Dtype, usize), TorchError> {
        let [storage, Value::Int(offset), ..] = *arguments else {
            return Err(self.misdescribed("too little to find it"));
        };
        let id = match self.pickle.node(storage) {
            Some(&Node::Persistent(name)) => StorageId::read(self.pickle, name),
            _ => None,
        };
        let id = id.ok_or_else(|| self.misdescribed("a storage of an unknown kind"))?;
        let named = || dtype_of_name(&self.pickle.global(*arguments.get(6)?)?.name);
        let dtype = id.dtype.or_else(named);
        let dtype = dtype.ok_or_else(|| self.misdescribed("an unknown dtype"))?;
        let region = self.storages.regions.get(id.key).copied();
        let region = region.ok_or_else(|| TorchError::MissingStorage {
            tensor: quoted(&self.name),
            storage: quoted(id.key),
        })?;
        let offset = usize::try_from(offset).ok().and_then(|offset| offset.checked_add(id.offset));
        let offset = offset.ok_or_else(|| self.misdescribed("an offset that is no size"))?;
        Ok((region, dtype, offset))
    }

    fn sizes(&self, value: Value) -> Option<Vec<usize>> {
        let sizes = match self.pickle.node(value)? {
            Node::Tuple(sizes) | Node::List(sizes) => sizes,
            // torch.Size is a tuple, called with one.
            Node::Object(object) => {
                let &[sizes] = self.pickle.tuple(object.arguments)? else { return None };
                self.pickle.tuple(sizes)?
            }
            _ => return None,
        };
        let size = |size: &Value| match size {
            Value::Int(size) => usize::try_from(*size).ok(),
            _ => None,
        };
        sizes.iter().take(MAX_RANK + 1).map(size).collect()
    }

    fn misdescribed(&self, problem: &'static str) -> TorchError {
        TorchError::Description { tensor: quoted(&self.name), problem }
    }
}
