//! Weights of ONNX graphs.
//!
//! Exporters keep the names of parameters where they can, and make up others for tensors that they fold: the transposed
//! weight of a linear layer is `val_87` or `onnx::MatMul_87`. Where a product is followed by the sum with a bias that kept
//! its name, the weight gets its name back, and its orientation; weights of convolutions get the path of their node.

mod graph;
mod tensors;
mod wire;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use serde_json::json;

use super::{Contents, ConvertError, SourceTensor};
use graph::{Graph, GraphNode};
use tensors::{ExternalFiles, dequantized, numbers};

/// Where the window of the `STFT` operation is filed, which exporters give no name of its own.
pub(super) const STFT_WINDOW: &str = "stft.window";
/// What names that exporters make up begin with.
const MADE_UP: &str = "onnx::";
/// Why scales, zero points and quantised integers are left out.
const QUANTIZED: &str = "part of a quantised tensor";

/// Reads the initialisers of a graph; external data are looked for in `folder`.
pub(super) fn read(bytes: &[u8], folder: &Path) -> Result<Contents, ConvertError> {
    let graph = graph::model(bytes)?;
    let mut weights = Weights::read(&graph, folder)?;
    weights.dequantize(&graph)?;
    weights.rename(&graph)?;
    weights.into_contents(&graph)
}

/// Tensors by the name under which nodes read them.
#[derive(Default)]
struct Weights {
    tensors: BTreeMap<String, SourceTensor>,
    /// The name that a tensor is filed under, where it is another.
    names: HashMap<String, String>,
    skipped: BTreeMap<String, &'static str>,
    /// The hashes of the files beside the graph that hold tensors.
    beside: BTreeMap<String, String>,
    /// What goes into each rounding of floats, by what comes out of it.
    rounded: HashMap<String, String>,
}

impl Weights {
    fn read(graph: &Graph, folder: &Path) -> Result<Self, ConvertError> {
        let (mut weights, mut files) = (Self::default(), ExternalFiles::beside(folder));
        let constants = graph.nodes.iter().filter(|node| node.operation == "Constant").filter_map(|node| {
            let name = node.outputs.first()?.clone();
            Some((name, node.value.as_ref()?))
        });
        let initializers = graph.initializers.iter().map(|tensor| (tensor.name.clone(), tensor));
        for (name, tensor) in initializers.chain(constants) {
            match numbers(tensor, &mut files)? {
                Some(tensor) => {
                    if weights.tensors.insert(name.clone(), tensor).is_some() {
                        return Err(ConvertError::content(format!("two tensors are called `{name}`")));
                    }
                }
                None => _ = weights.skipped.insert(name, "not numbers of a supported type"),
            }
        }
        weights.beside = files.hashes();
        Ok(weights)
    }

    /// Replaces quantised integers by their floats. Floats that the graph rounds by `QuantizeLinear` stay as they are.
    fn dequantize(&mut self, graph: &Graph) -> Result<(), ConvertError> {
        for node in graph.nodes.iter().filter(|node| node.operation.to_lowercase().ends_with("quantizelinear")) {
            let (Some(from), Some(to)) = (node.inputs.first(), node.outputs.first()) else { continue };
            self.rounded.insert(to.clone(), from.clone());
            for name in node.inputs.iter().skip(1) {
                self.skipped.insert(name.clone(), QUANTIZED);
            }
        }
        for node in graph.nodes.iter().filter(|node| node.operation == "DequantizeLinear") {
            let input = |n: usize| node.inputs.get(n).and_then(|name| self.tensors.get(name));
            let (Some(quantized), Some(scale)) = (input(0), input(1)) else { continue };
            if node.integer("block_size").is_some_and(|size| size != 0) {
                return Err(ConvertError::content(format!("`{}` is quantised in blocks", node.inputs[0])));
            }
            let floats = dequantized(quantized, scale, input(2), node.integer("axis").unwrap_or(1));
            let floats = floats.map_err(|error| ConvertError::content(format!("`{}`: {error}", node.inputs[0])))?;
            let Some(output) = node.outputs.first() else { continue };
            self.tensors.insert(output.clone(), floats);
            self.names.insert(output.clone(), plain_name(output));
            self.skipped.insert(node.inputs[0].clone(), QUANTIZED);
        }
        Ok(())
    }

    /// Gives weights of products the name of the bias behind them, and the window of the spectrum its own.
    fn rename(&mut self, graph: &Graph) -> Result<(), ConvertError> {
        let sums: HashMap<&str, &GraphNode> = graph
            .nodes
            .iter()
            .filter(|node| node.operation == "Add")
            .flat_map(|node| node.inputs.iter().map(move |input| (input.as_str(), node)))
            .collect();
        let mut oriented = HashSet::new();
        for node in &graph.nodes {
            let constants: Vec<_> = node.inputs.iter().map(|name| self.constant(name)).collect();
            let constant = |n: usize| constants.get(n).cloned().flatten();
            match node.operation.as_str() {
                "STFT" => {
                    if let Some(window) = constant(2) {
                        self.names.insert(window, STFT_WINDOW.to_owned());
                    }
                }
                "MatMul" => {
                    let sum = node.outputs.first().and_then(|output| sums.get(output.as_str()));
                    let bias = sum.and_then(|sum| sum.inputs.iter().find_map(|input| self.bias_of(input)));
                    if let (Some(weight), Some(layer)) = (constant(1), bias)
                        && oriented.insert(weight.clone())
                    {
                        let transposed = self.tensors.get(&weight).map(SourceTensor::transposed).transpose()?;
                        self.tensors.extend(transposed.map(|tensor| (weight.clone(), tensor)));
                        self.names.insert(weight, format!("{layer}.weight"));
                    }
                }
                "Conv" => {
                    let layer = node.outputs.first().and_then(|output| layer_of(output));
                    for (n, part) in [(1, "weight"), (2, "bias")] {
                        if let (Some(tensor), Some(layer)) = (constant(n), &layer)
                            && tensor.starts_with(MADE_UP)
                        {
                            self.names.insert(tensor, format!("{layer}.{part}"));
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The tensor that a node reads under a name, before it is rounded.
    fn constant<'a>(&'a self, mut name: &'a String) -> Option<String> {
        // A weight is rounded by two nodes.
        for _ in 0..2 {
            match self.rounded.get(name) {
                Some(from) if !self.tensors.contains_key(name) => name = from,
                _ => break,
            }
        }
        self.tensors.contains_key(name).then(|| name.clone())
    }

    /// The layer whose bias is read under this name.
    fn bias_of(&self, input: &str) -> Option<String> {
        self.tensors.get(input).filter(|tensor| tensor.shape().len() == 1)?;
        let name = self.names.get(input).map_or(input, String::as_str);
        name.strip_suffix(".bias").map(str::to_owned)
    }

    fn into_contents(self, graph: &Graph) -> Result<Contents, ConvertError> {
        let mut contents = Contents { skipped: self.skipped, beside: self.beside, ..Contents::default() };
        for (name, tensor) in self.tensors {
            if contents.skipped.contains_key(&name) {
                continue;
            }
            if !tensor.dtype().is_float() {
                contents.skipped.insert(name, "integers: sizes and indices of the graph");
            } else if tensor.shape().is_empty() {
                contents.skipped.insert(name, "a single number: a constant of the graph");
            } else {
                let name = self.names.get(&name).cloned().unwrap_or(name);
                contents.insert(name, tensor)?;
            }
        }
        contents.metadata.insert("nodes".to_owned(), json!(graph.nodes.len()));
        Ok(contents)
    }
}

/// The layer that a convolution's output is called after: `/model/layer1/conv/Conv_output_0`.
fn layer_of(output: &str) -> Option<String> {
    let path = output.strip_prefix('/')?.strip_suffix("/Conv_output_0")?;
    Some(path.replace('/', "."))
}

/// The name of a parameter without what quantisation appended to it.
fn plain_name(output: &str) -> String {
    let suffixes = ["_dq", "_qdq", "_dequantized", "_DequantizeLinear_Output"];
    suffixes.iter().find_map(|suffix| output.strip_suffix(suffix)).unwrap_or(output).to_owned()
}

#[cfg(test)]
mod tests;
