//! A network's and an optimizer's numbers as parts, each under its path.
//!
//! Burn identifies parameters by numbers that are drawn at random in each process. A checkpoint has
//! paths instead: the records that Burn writes are taken apart, and put together again with the numbers
//! of the process that loads them.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::ModuleRecord;
use burn_pack::{Bytes, DType, Reader, Scalar, Tensor, Writer};
use safetensors::tensor::Dtype;

use crate::run::checkpoint::contents::{CheckpointContents, ContentsError, Part};

/// What Burn calls the number of axes of a parameter among what an optimizer counts.
const RANK: &str = "__rank";

/// Puts every number of a network under `name`: weights, running values, and osn's u, v and σ.
///
/// # Errors
///
/// [`ContentsError::Part`] for numbers of a kind that files have not.
pub(crate) fn save_network<M: Module>(
    parts: &mut CheckpointContents,
    name: &str,
    network: &M,
) -> Result<(), ContentsError> {
    for tensor in tensors_of(name, network)? {
        let path = format!("{name}/{}", tensor.name);
        parts.put(path.clone(), part_of(&path, tensor)?);
    }
    Ok(())
}

/// The network with the numbers that were put under `name`; all else stays, its parameters' numbers too.
pub(crate) fn load_network<M: Module>(
    parts: &CheckpointContents,
    name: &str,
    network: M,
) -> Result<M, ContentsError> {
    let saved = tensors_of(name, &network)?.into_iter().map(|tensor| {
        let path = format!("{name}/{}", tensor.name);
        let part = parts.part(&path)?;
        must_fit(&path, part, &tensor)?;
        tensor_of(&tensor.name, part, tensor.param_id)
    });
    let bytes = Writer::new(saved.collect::<Result<_, _>>()?).into_bytes();
    let bytes = bytes.map_err(|error| ContentsError::part(name, &error))?;
    let record =
        ModuleRecord::from_bytes(bytes).map_err(|error| ContentsError::part(name, &error))?;
    network.try_load_record(record).map_err(|error| ContentsError::part(name, &error))
}

/// Puts the moments and step counts of an optimizer under `name`.
pub(crate) fn save_optimizer(
    parts: &mut CheckpointContents,
    name: &str,
    optimizer: &ModuleOptimizer,
) -> Result<(), ContentsError> {
    let bytes = optimizer.into_bytes().map_err(|error| ContentsError::part(name, &error))?;
    let reader = Reader::from_bytes(bytes).map_err(|error| ContentsError::part(name, &error))?;
    let paths = reader.metadata().clone();
    let counts: BTreeMap<String, Scalar> = reader
        .scalars()
        .iter()
        .map(|(key, &count)| Ok((with_path(name, key, &paths)?, count)))
        .collect::<Result<_, ContentsError>>()?;
    parts.put_value(&counts_of(name), &counts)?;
    for tensor in reader.into_tensors().map_err(|error| ContentsError::part(name, &error))? {
        let path = format!("{name}/{}", with_path(name, &tensor.name, &paths)?);
        parts.put(path.clone(), part_of(&path, tensor)?);
    }
    Ok(())
}

/// The optimizer of `network` with the moments and step counts that were put under `name`.
pub(crate) fn load_optimizer<M: Module>(
    parts: &CheckpointContents,
    name: &str,
    optimizer: ModuleOptimizer,
    network: &M,
) -> Result<ModuleOptimizer, ContentsError> {
    let parameters: BTreeMap<String, Tensor> = tensors_of(name, network)?
        .into_iter()
        .map(|tensor| (tensor.name.clone(), tensor))
        .collect();
    let prefix = format!("{name}/");
    let saved = parts.names().filter_map(|part| part.strip_prefix(&prefix));
    let saved = saved.map(|key| {
        let (path, field) = path_and_field(name, key)?;
        let (parameter, id) = parameter(name, path, &parameters)?;
        let place = format!("{name}/{key}");
        let part = parts.part(&place)?;
        must_fit(&place, part, parameter)?;
        tensor_of(&format!("{id}.{field}"), part, Some(id))
    });
    let mut writer = Writer::new(saved.collect::<Result<_, _>>()?);
    for (key, count) in parts.value::<BTreeMap<String, Scalar>>(&counts_of(name))? {
        let (path, field) = path_and_field(name, &key)?;
        let (parameter, id) = parameter(name, path, &parameters)?;
        let id = id.to_string();
        must_count(&counts_of(name), field, count, parameter)?;
        writer = writer.with_scalar(&format!("{id}.{field}"), count).with_metadata(&id, path);
    }
    let bytes = writer.into_bytes().map_err(|error| ContentsError::part(name, &error))?;
    let loaded = optimizer.from_bytes(bytes).map_err(|error| ContentsError::part(name, &error))?;
    must_be_whole(parts, name, &loaded)?;
    Ok(loaded)
}

/// Burn skips parameters whose moments are incomplete; their moments would start anew.
fn must_be_whole(
    parts: &CheckpointContents,
    name: &str,
    loaded: &ModuleOptimizer,
) -> Result<(), ContentsError> {
    let mut again = CheckpointContents::default();
    save_optimizer(&mut again, name, loaded)?;
    let lost = parts.names().filter(|part| part.starts_with(&format!("{name}/")));
    let differs = |part: &str| parts.part(part).ok() != again.part(part).ok();
    match lost.chain([counts_of(name).as_str()]).find(|part| differs(part)) {
        None => Ok(()),
        Some(part) => Err(ContentsError::part(part, "the moments of its parameter are not whole")),
    }
}

/// The part with what an optimizer counts.
fn counts_of(name: &str) -> String {
    format!("{name}.counts")
}

/// Every tensor of a network, in the order of its walk.
fn tensors_of<M: Module>(name: &str, network: &M) -> Result<Vec<Tensor>, ContentsError> {
    // Validation mode settles running values whose last update is still pending.
    let _ = network.valid();
    let bytes = network.clone().into_record().into_bytes();
    let bytes = bytes.map_err(|error| ContentsError::part(name, &error))?;
    let reader = Reader::from_bytes(bytes).map_err(|error| ContentsError::part(name, &error))?;
    reader.into_tensors().map_err(|error| ContentsError::part(name, &error))
}

/// `12345.moment_1` with the path of parameter 12345 in place of its number.
fn with_path(
    name: &str,
    key: &str,
    paths: &BTreeMap<String, String>,
) -> Result<String, ContentsError> {
    let unknown = || ContentsError::part(name, &format!("'{key}' is of no parameter"));
    let (id, field) = key.split_once('.').ok_or_else(unknown)?;
    Ok(format!("{}:{field}", paths.get(id).ok_or_else(unknown)?))
}

fn path_and_field<'a>(name: &str, key: &'a str) -> Result<(&'a str, &'a str), ContentsError> {
    key.rsplit_once(':').ok_or_else(|| ContentsError::part(name, &format!("'{key}' has no field")))
}

/// The parameter of a path, and its number in this process.
fn parameter<'a>(
    name: &str,
    path: &str,
    parameters: &'a BTreeMap<String, Tensor>,
) -> Result<(&'a Tensor, u64), ContentsError> {
    let unknown = || ContentsError::part(name, &format!("the network has no '{path}'"));
    let found = parameters.get(path).and_then(|tensor| Some((tensor, tensor.param_id?)));
    found.ok_or_else(unknown)
}

/// Burn takes numbers of any kind and number, and fails when it computes with them.
fn must_fit(path: &str, part: &Part, expected: &Tensor) -> Result<(), ContentsError> {
    let (shape, dtype) = (expected.shape.to_vec(), expected.dtype);
    if part.shape == shape && DTYPES.contains(&(dtype, part.dtype)) {
        return Ok(());
    }
    let Part { shape: found, dtype: of, .. } = part;
    Err(ContentsError::part(
        path,
        &format!("it is {found:?} of {of:?}, not {shape:?} of {dtype:?}"),
    ))
}

/// Beside the steps, to which optimizers add, Burn counts the axes of a parameter's moments.
fn must_count(part: &str, field: &str, count: Scalar, of: &Tensor) -> Result<(), ContentsError> {
    let count = u64::try_from(count).ok();
    let fits = match field {
        RANK => count == Some(of.shape.to_vec().len() as u64),
        _ => count.is_some_and(|count| count < u64::MAX / 2),
    };
    let problem =
        || ContentsError::part(part, &format!("its '{field}' of '{}' is no count", of.name));
    if fits { Ok(()) } else { Err(problem()) }
}

/// What numbers are called in memory and in files.
const DTYPES: [(DType, Dtype); 9] = [
    (DType::F64, Dtype::F64),
    (DType::F32, Dtype::F32),
    (DType::F16, Dtype::F16),
    (DType::BF16, Dtype::BF16),
    (DType::I64, Dtype::I64),
    (DType::I32, Dtype::I32),
    (DType::I16, Dtype::I16),
    (DType::I8, Dtype::I8),
    (DType::U8, Dtype::U8),
];

fn part_of(name: &str, tensor: Tensor) -> Result<Part, ContentsError> {
    let found = DTYPES.into_iter().find(|(dtype, _)| *dtype == tensor.dtype);
    let no_type =
        || ContentsError::part(name, &format!("no file has numbers of {:?}", tensor.dtype));
    let (_, dtype) = found.ok_or_else(no_type)?;
    let shape = tensor.shape.to_vec();
    let bytes = tensor.into_bytes().map_err(|error| ContentsError::part(name, &error))?.to_vec();
    Ok(Part { dtype, shape, bytes })
}

fn tensor_of(name: &str, part: &Part, id: Option<u64>) -> Result<Tensor, ContentsError> {
    let found = DTYPES.into_iter().find(|(_, dtype)| *dtype == part.dtype);
    let no_type =
        || ContentsError::part(name, &format!("no network has numbers of {:?}", part.dtype));
    let (dtype, _) = found.ok_or_else(no_type)?;
    let bytes = Bytes::from_bytes_vec(part.bytes.clone());
    Ok(Tensor::new(name.to_owned(), dtype, part.shape.clone(), id, bytes))
}
