//! The state dictionary of a pickled object.

use std::collections::{BTreeMap, HashSet};

use audsem_core::pickle::{Node, PickledValue};
use serde_json::json;

use super::{Contents, ConvertError};
use crate::convert::{SourceDtype, SourceTensor};

/// Keys under which training programs keep the state dictionary, in order of preference.
const STATE_KEYS: [&str; 5] = ["state_dict", "model_state_dict", "model", "module", "net"];
/// What `DataParallel` puts before every name.
const PARALLEL_PREFIX: &str = "module.";
/// Most parts of the values beside the tensors that are written down; optimisers can have millions.
const MOST_PARTS: usize = 200_000;
/// Wrappers within wrappers around a tensor.
const MAX_WRAPPERS: usize = 8;

type Storages = BTreeMap<String, Vec<u8>>;

/// Tensors and other values of a pickled object.
pub(super) fn contents(
    pickle: &audsem_core::pickle::Pickle,
    storages: &Storages,
    key: Option<&str>,
) -> Result<Contents, ConvertError> {
    let root = pickle.root();
    let (state, inside) = find(root, key)?;
    let mut contents = Contents::default();
    let tensors: Vec<_> = state.entries().filter_map(|(name, value)| Some((name, tensor_call(value)?))).collect();
    let is_parallel = !tensors.is_empty()
        && tensors.iter().all(|(name, _)| name.as_str().is_some_and(|name| name.starts_with(PARALLEL_PREFIX)));
    for (name, args) in tensors {
        let name = name.as_str().ok_or_else(|| ConvertError::content("a tensor has a name that is no text"))?;
        let plain = if is_parallel { &name[PARALLEL_PREFIX.len()..] } else { name };
        let tensor = rebuilt(args, storages).map_err(|error| ConvertError::content(format!("`{name}`: {error}")))?;
        contents.insert(plain.to_owned(), tensor)?;
    }
    let beside = state.entries().filter(|(_, value)| tensor_call(*value).is_none());
    let around = root.entries().filter(|(name, _)| inside.is_some() && name.as_str() != inside);
    for (name, value) in beside.chain(around) {
        let name = match name.as_str() {
            Some(name) => name.to_owned(),
            None => name.to_json(MOST_PARTS)?.to_string(),
        };
        if walk(value).into_iter().any(|part| tensor_call(part).is_some()) {
            contents.metadata.insert(name, json!({ "left_out": "holds tensors that are no weights of the network" }));
        } else {
            contents.metadata.insert(name, value.to_json(MOST_PARTS)?);
        }
    }
    if let Some(inside) = inside {
        contents.metadata.insert("state_dictionary".to_owned(), json!(inside));
    }
    Ok(contents)
}

/// The dictionary of tensors, and the key it is under.
fn find<'a>(root: PickledValue<'a>, key: Option<&'a str>) -> Result<(PickledValue<'a>, Option<&'a str>), ConvertError> {
    let holds_tensors = |value: PickledValue<'_>| value.entries().any(|(_, value)| tensor_call(value).is_some());
    let keys = || root.entries().filter_map(|(name, _)| name.as_str()).take(12).collect::<Vec<_>>();
    if let Some(key) = key {
        let found = root.get(key).filter(|value| holds_tensors(*value));
        let none = || ConvertError::content(format!("no tensors under `{key}`; the keys are {}", keys().join(", ")));
        return Ok((found.ok_or_else(none)?, Some(key)));
    }
    if holds_tensors(root) {
        return Ok((root, None));
    }
    let found = STATE_KEYS.into_iter().find_map(|key| Some((root.get(key).filter(|v| holds_tensors(*v))?, Some(key))));
    let pickled_module = root.call().and_then(|(callable, _)| callable.global());
    found.ok_or_else(|| match pickled_module {
        Some((module, name)) => ConvertError::content(format!(
            "the file holds a pickled object of class `{module}.{name}`, not a dictionary of tensors\nhint: save its state_dict()"
        )),
        None => ConvertError::content(format!(
            "no dictionary of tensors under any of {}; the keys are {}\nhint: name the key with `--key`",
            STATE_KEYS.join(", "),
            keys().join(", ")
        )),
    })
}

/// All parts of a value, each once, the value among them.
pub(super) fn walk(value: PickledValue<'_>) -> Vec<PickledValue<'_>> {
    let (mut seen, mut open, mut found) = (HashSet::new(), vec![value], Vec::new());
    while let Some(value) = open.pop() {
        if seen.insert(value.id()) {
            open.extend(value.items());
            open.extend(value.entries().flat_map(|(key, value)| [key, value]));
            open.extend(value.call().into_iter().flat_map(|(callable, args)| [callable, args]));
            open.extend(value.persistent());
            found.push(value);
        }
    }
    found
}

/// The arguments of `_rebuild_tensor_v2` for a value that is a tensor or a parameter.
fn tensor_call(mut value: PickledValue<'_>) -> Option<PickledValue<'_>> {
    for _ in 0..MAX_WRAPPERS {
        let (callable, args) = value.call()?;
        match callable.global()? {
            ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => return Some(args),
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => value = args.item(0)?,
            // A subclass of tensors: the function that rebuilds it, its type, and the arguments.
            ("torch._tensor", "_rebuild_from_type_v2") if args.item(0)?.global()?.1.starts_with("_rebuild_tensor") => {
                return args.item(2);
            }
            _ => return None,
        }
    }
    None
}

/// A tensor from the arguments storage, offset, shape and strides.
fn rebuilt(args: PickledValue<'_>, storages: &Storages) -> Result<SourceTensor, ConvertError> {
    let broken = || ConvertError::content("a tensor lacks its storage, offset, shape or strides");
    let storage = StorageRef::of(args.item(0).and_then(PickledValue::persistent).ok_or_else(broken)?)?;
    let sizes = |n: usize| args.item(n)?.items().map(PickledValue::as_usize).collect::<Option<Vec<_>>>();
    let offset = args.item(1).and_then(PickledValue::as_usize).ok_or_else(broken)?;
    let (shape, strides) = (sizes(2).ok_or_else(broken)?, sizes(3).ok_or_else(broken)?);
    let bytes = storages.get(storage.key);
    let bytes = bytes.ok_or_else(|| ConvertError::content(format!("storage `{}` is not in the file", storage.key)))?;
    SourceTensor::strided(storage.dtype, bytes, offset, &shape, &strides)
}

/// What a persistent identifier says of a storage.
pub(super) struct StorageRef<'a> {
    pub(super) key: &'a str,
    pub(super) dtype: SourceDtype,
}

impl<'a> StorageRef<'a> {
    /// Reads `('storage', class, key, device, number of elements, …)`.
    pub(super) fn of(id: PickledValue<'a>) -> Result<Self, ConvertError> {
        let class = id.item(1).and_then(PickledValue::global).map(|(_, name)| name);
        let key = id.item(2).and_then(PickledValue::as_str);
        let is_storage = id.item(0).and_then(PickledValue::as_str) == Some("storage");
        let (Some(class), Some(key), true) = (class, key, is_storage) else {
            return Err(ConvertError::content("a reference to something that is no storage of numbers"));
        };
        // A view of another storage has no numbers of its own; no version of torch in use writes one.
        if id.item(5).is_some_and(|view| *view.node() != Node::None) {
            return Err(ConvertError::content(format!("storage `{key}` is a view of another")));
        }
        let dtype = match class {
            "FloatStorage" => SourceDtype::F32,
            "DoubleStorage" => SourceDtype::F64,
            "HalfStorage" => SourceDtype::F16,
            "BFloat16Storage" => SourceDtype::Bf16,
            "CharStorage" => SourceDtype::I8,
            "ByteStorage" | "BoolStorage" => SourceDtype::U8,
            "ShortStorage" => SourceDtype::I16,
            "IntStorage" => SourceDtype::I32,
            "LongStorage" => SourceDtype::I64,
            other => return Err(ConvertError::content(format!("storage `{key}` holds numbers of type `{other}`"))),
        };
        Ok(Self { key, dtype })
    }
}
