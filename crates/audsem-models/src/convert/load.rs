//! Converted weights that a network loads without a folder in between.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{ConvertError, ConvertedNetwork};
use crate::clap::FeatureConfig;

impl ConvertedNetwork {
    /// The tensors, for the network that [`ConvertedNetwork::config`] describes. That they are those that it loads has been
    /// checked when they were converted.
    ///
    /// # Errors
    /// A tensor has numbers that are not finite; memory, device.
    pub fn var_builder(&self, device: &Device, dtype: DType) -> Result<VarBuilder<'static>, ConvertError> {
        let mut tensors: HashMap<String, Tensor> = HashMap::with_capacity(self.tensors.len());
        for (name, tensor) in &self.tensors {
            let values = tensor.values();
            if !values.iter().all(|value| value.is_finite()) {
                return Err(ConvertError::content(format!("`{name}` has NaN or infinite numbers")));
            }
            let loaded = Tensor::from_vec(values, tensor.shape(), device).map_err(crate::Error::from)?;
            tensors.insert(name.clone(), loaded);
        }
        Ok(VarBuilder::from_tensors(tensors, dtype, device))
    }

    /// What `config.json` would say.
    ///
    /// # Errors
    /// There is none, or it is another network's.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, ConvertError> {
        parsed(self.config.as_ref(), "config.json")
    }

    /// What `preprocessor_config.json` would say.
    ///
    /// # Errors
    /// There is none.
    pub fn features(&self) -> Result<FeatureConfig, ConvertError> {
        parsed(self.features.as_ref(), "preprocessor_config.json")
    }
}

fn parsed<T: DeserializeOwned>(object: Option<&Map<String, Value>>, name: &str) -> Result<T, ConvertError> {
    let object = object.ok_or_else(|| ConvertError::content(format!("this network has no {name}")))?;
    serde_json::from_value(Value::Object(object.clone()))
        .map_err(|error| ConvertError::content(format!("{name}: {error}")))
}
