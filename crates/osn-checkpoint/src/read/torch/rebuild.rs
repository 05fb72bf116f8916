//! The description of one tensor in a pickle: PyTorch writes the function that makes it, and its arguments.

use super::error::TorchError;
use super::rebuilt::{MAX_RANK, Rebuilt, numpy_array, sizes};
use super::storage::{StorageId, Storages};
use crate::read::dtype::{Dtype, Names};
use crate::read::names::quoted;
use crate::read::pickle::value::{Node, Object, Pickle, Value};
use crate::read::strided_layout::{LayoutError, Region, StridedLayout};
use crate::read::tensor::{Content, Lazy};

/// Tensors in tensors: a parameter of a distributed tensor of a class takes four.
const MAX_DEPTH: usize = 16;

const UTILS: &str = "torch._utils";
const DEQUANTIZE: &str = "is quantized; save what dequantize() gives";
const SPARSE: &str = "is sparse; save what to_dense() gives";
const NESTED: &str = "is nested, its parts have shapes of their own";
const META: &str = "has no elements, it is on the device meta";
const LAZY: &str = "has no elements, its module was not used yet";
const BARE_STORAGE: &str = "is a storage without a shape";
const PART: &str = "is a part of a larger tensor, of which other files have the rest";
const PARTIAL: &str = "is a summand of a distributed tensor, of which other files have the rest";
const SHARDED: &str = "is a ShardedTensor, whose parts may lie in several files";
const TOO_LARGE: &str = "its size overflows";

type Found = Result<Option<Rebuilt>, TorchError>;

/// Reads descriptions of tensors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rebuilder<'a> {
    pub(crate) pickle: &'a Pickle,
    pub(crate) storages: &'a Storages,
    /// The tensor's name, for messages.
    pub(crate) name: &'a str,
}

impl<'a> Rebuilder<'a> {
    /// The tensor that a value is; `None` where it is none.
    pub(crate) fn value(self, value: Value) -> Found {
        self.inner(value, 0)
    }

    fn inner(self, value: Value, depth: usize) -> Found {
        if depth > MAX_DEPTH {
            return Err(TorchError::Tangled);
        }
        match self.pickle.node(value) {
            Some(Node::Object(object)) => self.object(object, depth),
            Some(&Node::Persistent(name)) => Ok(self.bare_storage(name)),
            _ => Ok(None),
        }
    }

    fn object(self, object: &'a Object, depth: usize) -> Found {
        if let Some(array) = numpy_array(self.pickle, object) {
            return Ok(Some(array));
        }
        let found = self.call(object.callable, object.arguments, depth)?;
        Ok(found.map(|found| match found.content {
            // What is not read may keep its elements there.
            Content::Missing(_) => found,
            Content::Stored { .. } => found.with_states(&object.states),
        }))
    }

    /// What a function makes of its arguments.
    fn call(self, callable: Value, arguments: Value, depth: usize) -> Found {
        let Some(callable) = self.pickle.global(callable) else {
            return Ok(None);
        };
        let arguments = self.pickle.tuple(arguments).unwrap_or(&[]);
        match (&*callable.module, &*callable.name) {
            (UTILS, "_rebuild_tensor" | "_rebuild_tensor_v2") => self.tensor(arguments, None, 6),
            (UTILS, "_rebuild_tensor_v3") => self.tensor(arguments, Some(6), 7),
            (
                UTILS,
                "_rebuild_parameter"
                | "_rebuild_parameter_with_state"
                | "_rebuild_device_tensor_from_cpu_tensor",
            ) => self.wrapped(arguments, depth),
            (UTILS, "_rebuild_device_tensor_from_numpy" | "_rebuild_xla_tensor") => {
                self.wrapped(&arguments[..arguments.len().min(1)], depth)
            }
            (UTILS, "_rebuild_qtensor") => Ok(Some(self.unread(arguments, 2, DEQUANTIZE))),
            (UTILS, "_rebuild_meta_tensor_no_storage") => Ok(Some(self.unread(arguments, 1, META))),
            (UTILS, "_rebuild_sparse_tensor") => self.sparse(arguments, depth),
            (UTILS, "_rebuild_nested_tensor") => self.nested(arguments.first(), depth),
            (_, "_rebuild_njt") => self.jagged(arguments, depth),
            (_, "_rebuild_from_type" | "_rebuild_from_type_v2") => self.of_class(arguments, depth),
            (UTILS, "_rebuild_wrapper_subclass") => self.wrapper(arguments, Value::None, depth),
            (_, "UninitializedParameter" | "UninitializedBuffer") => {
                Ok(Some(Rebuilt::unknown(LAZY)))
            }
            (module, "ShardedTensor") if module.starts_with("torch.") => {
                Ok(Some(Rebuilt::unknown(SHARDED)))
            }
            (module, name) if module.starts_with("torch") && name.starts_with("_rebuild_") => {
                let reason = format!("is made by {}, which is not known", quoted(name));
                Ok(Some(Rebuilt::unknown(reason)))
            }
            _ => Ok(None),
        }
    }

    /// A parameter, or a tensor from another device: the tensor at place 0, attributes at place 3.
    fn wrapped(self, arguments: &[Value], depth: usize) -> Found {
        let Some(&data) = arguments.first() else {
            return Err(self.misdescribed("too little"));
        };
        let found = self.inner(data, depth + 1)?;
        let states = arguments.get(3).copied();
        Ok(found.map(|found| found.with_states(states.as_slice())))
    }

    /// A tensor whose elements are not read, its shape at `place`.
    fn unread(self, arguments: &[Value], place: usize, reason: &'static str) -> Rebuilt {
        let shape = arguments.get(place).and_then(|&sizes| self.sizes(sizes));
        let storage = arguments.first().copied().unwrap_or(Value::None);
        let dtype = match self.storage_id(storage) {
            Some(id) => id.dtype,
            None => self.named_dtype(storage),
        };
        Rebuilt::missing(shape.unwrap_or_default(), dtype.unwrap_or(Dtype::Unknown), reason)
    }

    /// `(layout, (indices…, values, size, …))`.
    fn sparse(self, arguments: &[Value], depth: usize) -> Found {
        let data = arguments.get(1).and_then(|&data| self.pickle.tuple(data)).unwrap_or(&[]);
        let size = data.iter().position(|&value| self.sizes(value).is_some());
        let shape = size.and_then(|place| self.sizes(data[place])).unwrap_or_default();
        let values = size.and_then(|place| data.get(place.checked_sub(1)?));
        Ok(Some(Rebuilt::missing(shape, self.dtype_of(values, depth)?, SPARSE)))
    }

    fn nested(self, values: Option<&Value>, depth: usize) -> Found {
        Ok(Some(Rebuilt::missing(Vec::new(), self.dtype_of(values, depth)?, NESTED)))
    }

    /// A nested tensor of the layout jagged, by a dictionary.
    fn jagged(self, arguments: &[Value], depth: usize) -> Found {
        let given = arguments.first().copied().unwrap_or(Value::None);
        self.nested(self.pickle.entry(given, "values").as_ref(), depth)
    }

    fn dtype_of(self, value: Option<&Value>, depth: usize) -> Result<Dtype, TorchError> {
        let found = value.map_or(Ok(None), |&value| self.inner(value, depth + 1))?;
        Ok(found.map_or(Dtype::Unknown, |found| found.dtype))
    }

    /// `(function, class, arguments, state)`: a tensor of a class of its own.
    fn of_class(self, arguments: &[Value], depth: usize) -> Found {
        let &[function, _, given, ref states @ ..] = arguments else {
            return Err(self.misdescribed("too little"));
        };
        let name = self.pickle.global(function).map(|function| &*function.name);
        if name == Some("_rebuild_wrapper_subclass") {
            let given = self.pickle.tuple(given).unwrap_or(&[]);
            return self.wrapper(given, states.first().copied().unwrap_or(Value::None), depth);
        }
        if name == Some("_rebuild_njt") {
            return self.call(function, given, depth + 1);
        }
        let found = self.call(function, given, depth + 1)?;
        let unknown = || Rebuilt::unknown("is of a class that is not known");
        Ok(Some(found.unwrap_or_else(unknown).with_states(states)))
    }

    /// `(class, dtype, size, …)`: a tensor of a class that keeps its elements in its own way.
    fn wrapper(self, arguments: &[Value], state: Value, depth: usize) -> Found {
        let class = arguments.first().and_then(|&class| self.pickle.global(class));
        let class = class.map_or("", |class| &*class.name);
        let shape = arguments.get(2).and_then(|&size| self.sizes(size)).unwrap_or_default();
        if class == "DTensor" {
            return self.distributed(shape, state, depth);
        }
        let dtype = arguments.get(1).and_then(|&dtype| self.named_dtype(dtype));
        let reason = match class {
            "ShardedTensor" => SHARDED.to_owned(),
            class => {
                let class = quoted(class);
                format!("is of the class {class}, which keeps its elements in its own way")
            }
        };
        Ok(Some(Rebuilt::missing(shape, dtype.unwrap_or(Dtype::Unknown), reason)))
    }

    /// The part of a distributed tensor that this process had, which may be all of it.
    fn distributed(self, shape: Vec<usize>, state: Value, depth: usize) -> Found {
        let local = self.attribute(state, "_local_tensor").unwrap_or(Value::None);
        let Some(found) = self.inner(local, depth + 1)? else {
            return Err(self.misdescribed("a distributed tensor without its part"));
        };
        let spec = self.attribute(state, "_spec").unwrap_or(Value::None);
        Ok(Some(if self.is_partial(spec) {
            Rebuilt::missing(shape, found.dtype, PARTIAL)
        } else if found.shape == shape {
            found
        } else {
            Rebuilt::missing(shape, found.dtype, PART)
        }))
    }

    /// An attribute in a state, which is a dictionary or one for each way to keep attributes.
    fn attribute(self, state: Value, name: &str) -> Option<Value> {
        let ways = self.pickle.tuple(state).unwrap_or(&[]);
        let mut ways = ways.iter().copied().chain([state]);
        ways.find_map(|dict| self.pickle.entry(dict, name))
    }

    /// Whether a distributed tensor is the sum of its parts.
    fn is_partial(self, spec: Value) -> bool {
        let Some(Node::Object(spec)) = self.pickle.node(spec) else {
            return false;
        };
        let placements = spec.states.iter().find_map(|&it| self.attribute(it, "placements"));
        let placements = placements.and_then(|placements| self.pickle.tuple(placements));
        placements.unwrap_or(&[]).iter().any(|&placement| self.is_partial_placement(placement))
    }

    fn is_partial_placement(self, placement: Value) -> bool {
        let Some(Node::Object(object)) = self.pickle.node(placement) else {
            return false;
        };
        let given = self.pickle.tuple(object.arguments).unwrap_or(&[]).first().copied();
        let classes = [Some(object.callable), given].into_iter().flatten();
        let mut classes = classes.filter_map(|class| self.pickle.global(class));
        classes.any(|class| class.name.ends_with("Partial"))
    }

    /// A storage that is saved for itself.
    fn bare_storage(self, name: Value) -> Option<Rebuilt> {
        let id = StorageId::read(self.pickle, name)?;
        Some(Rebuilt::missing(Vec::new(), id.dtype.unwrap_or(Dtype::U8), BARE_STORAGE))
    }

    /// `(storage, offset, shape, strides, …)`, the dtype and the dictionary of what is lazy at the
    /// given places.
    fn tensor(self, arguments: &[Value], dtype: Option<usize>, lazy: usize) -> Found {
        let (shape, strides) = self.layout(arguments)?;
        let dtype = match self.element_dtype(arguments, dtype)? {
            Ok(dtype) => dtype,
            Err(reason) => return Ok(Some(Rebuilt::missing(shape, Dtype::Unknown, reason))),
        };
        let lazy = self.lazy(arguments.get(lazy));
        if let Some(reason) = lazy.refusal(dtype) {
            return Ok(Some(Rebuilt::missing(shape, dtype, reason)));
        }
        let (region, offset) = self.region(arguments)?;
        let element_bytes = dtype.element_bytes().unwrap_or(1);
        let content = match StridedLayout::strided(region, element_bytes, offset, &shape, &strides)
        {
            Ok(layout) => Content::stored(layout, self.storages.order, lazy),
            Err(LayoutError::TooLarge) => Content::Missing(TOO_LARGE.into()),
            Err(LayoutError::Outside) => {
                let (tensor, bytes) = (quoted(self.name), region.byte_count);
                return Err(TorchError::Outside { tensor, bytes });
            }
        };
        Ok(Some(Rebuilt { shape, dtype, content, states: Vec::new() }))
    }

    fn layout(self, arguments: &[Value]) -> Result<(Vec<usize>, Vec<usize>), TorchError> {
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
        Ok((shape, strides))
    }

    /// What the elements are, by the storage or else at a place; or why that is not known.
    fn element_dtype(
        self,
        arguments: &[Value],
        place: Option<usize>,
    ) -> Result<Result<Dtype, String>, TorchError> {
        let storage = arguments.first().copied().unwrap_or(Value::None);
        let id = self.storage_id(storage);
        let id = id.ok_or_else(|| self.misdescribed("a storage of an unknown kind"))?;
        let named = place.and_then(|place| self.pickle.global(*arguments.get(place)?));
        let name = named.map_or(id.class, |named| &*named.name);
        let named = named.filter(|_| id.is_untyped());
        let dtype = id.dtype.or_else(|| Dtype::find(Names::Torch, &named?.name));
        Ok(dtype.ok_or_else(|| format!("is of the type {}, which is not known", quoted(name))))
    }

    /// What PyTorch calls by a name of its own, `torch.float32` and so on.
    fn named_dtype(self, value: Value) -> Option<Dtype> {
        Dtype::find(Names::Torch, &self.pickle.global(value)?.name)
    }

    fn lazy(self, noted: Option<&Value>) -> Lazy {
        let is_noted =
            |key| noted.and_then(|&noted| self.pickle.entry(noted, key)) == Some(Value::Bool(true));
        Lazy { negative: is_noted("neg"), conjugate: is_noted("conj") }
    }

    /// The storage of a tensor's arguments, and the tensor's first element in it.
    fn region(self, arguments: &[Value]) -> Result<(Region, usize), TorchError> {
        let [storage, Value::Int(offset), ..] = *arguments else {
            return Err(self.misdescribed("too little to find it"));
        };
        let id = self.storage_id(storage);
        let id = id.ok_or_else(|| self.misdescribed("a storage of an unknown kind"))?;
        let region = self.storages.regions.get(id.key).copied();
        let region = region.ok_or_else(|| TorchError::MissingStorage {
            tensor: quoted(self.name),
            storage: quoted(id.key),
        })?;
        let offset = usize::try_from(offset).ok().and_then(|offset| offset.checked_add(id.offset));
        Ok((region, offset.ok_or_else(|| self.misdescribed("an offset that is no size"))?))
    }

    fn storage_id(self, storage: Value) -> Option<StorageId<'a>> {
        match self.pickle.node(storage) {
            Some(&Node::Persistent(name)) => StorageId::read(self.pickle, name),
            _ => None,
        }
    }

    fn sizes(self, value: Value) -> Option<Vec<usize>> {
        sizes(self.pickle, value)
    }

    fn misdescribed(self, problem: &'static str) -> TorchError {
        TorchError::Description { tensor: quoted(self.name), problem }
    }
}
