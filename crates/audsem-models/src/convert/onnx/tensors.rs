//! Numbers of ONNX tensors, in the file or beside it.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::ConvertError;
use super::graph::RawTensor;
use crate::convert::{SourceDtype, SourceTensor, read, sha256};

/// Files of external data that have been read, by their names.
#[derive(Debug)]
pub(super) struct ExternalFiles<'a> {
    folder: &'a Path,
    read: BTreeMap<String, Vec<u8>>,
}

impl<'a> ExternalFiles<'a> {
    pub(super) fn beside(folder: &'a Path) -> Self {
        Self { folder, read: BTreeMap::new() }
    }

    /// The hashes of the files that were read, by their names.
    pub(super) fn hashes(&self) -> BTreeMap<String, String> {
        self.read.iter().map(|(name, bytes)| (name.clone(), sha256(bytes))).collect()
    }

    /// The bytes that a tensor refers to. Only files in the folder of the graph and below it are opened.
    fn bytes(&mut self, tensor: &RawTensor) -> Result<Vec<u8>, ConvertError> {
        let entry = |key: &str| tensor.external.iter().find(|(found, _)| found == key).map(|(_, value)| value.as_str());
        let number = |key: &str| entry(key).map(str::parse::<usize>).transpose();
        let bad = |_| ConvertError::content(format!("`{}`: offset or length is no number", tensor.name));
        let (offset, length) = (number("offset").map_err(bad)?.unwrap_or(0), number("length").map_err(bad)?);
        let location = entry("location").unwrap_or_default();
        let path = PathBuf::from(location);
        if location.is_empty() || !path.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(ConvertError::content(format!("`{}` lies in `{location}`, outside its folder", tensor.name)));
        }
        if !self.read.contains_key(location) {
            let path = self.folder.join(path);
            self.read.insert(location.to_owned(), read(&path)?);
        }
        let file = self.read.get(location).map(Vec::as_slice).unwrap_or_default();
        let end = length.map_or(Some(file.len()), |length| offset.checked_add(length));
        let bytes = end.and_then(|end| file.get(offset..end));
        bytes
            .map(<[u8]>::to_vec)
            .ok_or_else(|| ConvertError::content(format!("`{}` lies beyond `{location}`", tensor.name)))
    }
}

/// The numbers of a tensor; none if it holds texts, complex numbers or numbers of 4 or 8 bits that are no integers.
pub(super) fn numbers(tensor: &RawTensor, files: &mut ExternalFiles<'_>) -> Result<Option<SourceTensor>, ConvertError> {
    let dtype = match tensor.data_type {
        1 => SourceDtype::F32,
        // Booleans take a byte.
        2 | 9 => SourceDtype::U8,
        3 => SourceDtype::I8,
        5 => SourceDtype::I16,
        6 => SourceDtype::I32,
        7 => SourceDtype::I64,
        10 => SourceDtype::F16,
        11 => SourceDtype::F64,
        16 => SourceDtype::Bf16,
        _ => return Ok(None),
    };
    let shape = tensor.dims.iter().map(|dim| usize::try_from(*dim).ok()).collect::<Option<Vec<_>>>();
    let shape =
        shape.ok_or_else(|| ConvertError::content(format!("`{}` has the shape {:?}", tensor.name, tensor.dims)))?;
    let bytes = if tensor.is_external {
        files.bytes(tensor)?
    } else if tensor.integers.is_empty() {
        tensor.bytes.clone()
    } else {
        // One number in each, whatever its size; floats of 16 bits are there as their bits.
        tensor.integers.iter().flat_map(|value| value.to_le_bytes().into_iter().take(dtype.size())).collect()
    };
    let tensor_of = SourceTensor::new(dtype, shape, bytes);
    tensor_of.map(Some).map_err(|error| ConvertError::content(format!("`{}`: {error}", tensor.name)))
}

/// The floats (q − zero point) · scale of quantised integers, for the whole tensor or along `axis`.
pub(super) fn dequantized(
    quantized: &SourceTensor,
    scale: &SourceTensor,
    zero_point: Option<&SourceTensor>,
    axis: i64,
) -> Result<SourceTensor, ConvertError> {
    let shape = quantized.shape().to_vec();
    let (scales, zeros) = (scale.values(), zero_point.map(SourceTensor::integers));
    let axis = usize::try_from(if axis < 0 { axis + shape.len() as i64 } else { axis }).unwrap_or(usize::MAX);
    let along = if scales.len() == 1 { 1 } else { shape.get(axis).copied().unwrap_or(0) };
    if scale.shape().len() > 1 || scales.len() != along || zeros.as_ref().is_some_and(|zeros| zeros.len() != along) {
        let message = format!("{} scales along dimension {axis} of shape {shape:?}", scales.len());
        return Err(ConvertError::content(message));
    }
    // Numbers from one index along the axis to the next.
    let inner: usize = if along == 1 { 1 } else { shape.iter().skip(axis + 1).product() };
    let value = |(n, q): (usize, i64)| {
        let at = (n / inner) % along;
        (q - zeros.as_ref().map_or(0, |zeros| zeros[at])) as f32 * scales[at]
    };
    let values: Vec<f32> = quantized.integers().into_iter().enumerate().map(value).collect();
    SourceTensor::from_f32(shape, &values)
}
