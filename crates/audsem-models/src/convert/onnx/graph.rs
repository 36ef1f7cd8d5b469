//! The messages of ONNX that weights need: graph, nodes and tensors (`onnx.proto`, version 3 of the schema).

use super::ConvertError;
use super::wire::{Wire, fields};

/// Most graphs within graphs that are followed.
const MAX_DEPTH: usize = 4;

/// A graph: its nodes and initialisers.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) nodes: Vec<GraphNode>,
    pub(super) initializers: Vec<RawTensor>,
}

/// A node of a graph.
#[derive(Debug, Default)]
pub(super) struct GraphNode {
    pub(super) operation: String,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    /// Integer attributes by name.
    pub(super) integers: Vec<(String, i64)>,
    /// The tensor of a `Constant`.
    pub(super) value: Option<RawTensor>,
}

impl GraphNode {
    pub(super) fn integer(&self, name: &str) -> Option<i64> {
        self.integers.iter().find(|(found, _)| found == name).map(|(_, value)| *value)
    }
}

/// A tensor as the file has it.
#[derive(Debug, Default, Clone)]
pub(super) struct RawTensor {
    pub(super) name: String,
    pub(super) dims: Vec<i64>,
    pub(super) data_type: i64,
    /// Little-endian numbers of `raw_data`, `float_data` or `double_data`.
    pub(super) bytes: Vec<u8>,
    /// Numbers of `int32_data` and `int64_data`.
    pub(super) integers: Vec<i64>,
    /// Entries of `external_data`: `location`, `offset`, `length`.
    pub(super) external: Vec<(String, String)>,
    pub(super) is_external: bool,
}

/// Reads a `ModelProto`.
pub(super) fn model(bytes: &[u8]) -> Result<Graph, ConvertError> {
    let mut graph = None;
    for field in fields(bytes) {
        if let (7, value) = field? {
            graph = Some(value.bytes()?);
        }
    }
    let bytes = graph.ok_or_else(|| ConvertError::content("the file holds no graph"))?;
    let mut graph = Graph::default();
    read_graph(bytes, &mut graph, 0)?;
    Ok(graph)
}

/// Adds the nodes and initialisers of a graph, and of the graphs in its nodes.
fn read_graph(bytes: &[u8], graph: &mut Graph, depth: usize) -> Result<(), ConvertError> {
    if depth > MAX_DEPTH {
        return Err(ConvertError::content(format!("graphs within graphs, more than {MAX_DEPTH} deep")));
    }
    for field in fields(bytes) {
        match field? {
            (1, value) => read_node(value.bytes()?, graph, depth)?,
            (5, value) => graph.initializers.push(tensor(value.bytes()?)?),
            (15, _) => return Err(ConvertError::content("sparse initialisers are not supported")),
            _ => {}
        }
    }
    Ok(())
}

fn read_node(bytes: &[u8], graph: &mut Graph, depth: usize) -> Result<(), ConvertError> {
    let mut node = GraphNode::default();
    for field in fields(bytes) {
        match field? {
            (1, value) => node.inputs.push(value.text()?),
            (2, value) => node.outputs.push(value.text()?),
            (4, value) => node.operation = value.text()?,
            (5, value) => read_attribute(value.bytes()?, &mut node, graph, depth)?,
            _ => {}
        }
    }
    graph.nodes.push(node);
    Ok(())
}

fn read_attribute(bytes: &[u8], node: &mut GraphNode, graph: &mut Graph, depth: usize) -> Result<(), ConvertError> {
    let (mut name, mut integer, mut value) = (String::new(), None, None);
    for field in fields(bytes) {
        match field? {
            (1, text) => name = text.text()?,
            (3, number) => integer = Some(number.integer()?),
            (5, found) => value = Some(tensor(found.bytes()?)?),
            (6 | 11, inner) => read_graph(inner.bytes()?, graph, depth + 1)?,
            _ => {}
        }
    }
    if let Some(integer) = integer {
        node.integers.push((name, integer));
    } else if name == "value" {
        node.value = value;
    }
    Ok(())
}

fn tensor(bytes: &[u8]) -> Result<RawTensor, ConvertError> {
    let mut tensor = RawTensor::default();
    for field in fields(bytes) {
        let (number, value) = field?;
        match number {
            1 => value.integers(&mut tensor.dims)?,
            2 => tensor.data_type = value.integer()?,
            4 | 10 => value.fixed(&mut tensor.bytes)?,
            5 | 7 => value.integers(&mut tensor.integers)?,
            8 => tensor.name = value.text()?,
            9 => tensor.bytes = value.bytes()?.to_vec(),
            13 => tensor.external.push(entry(value)?),
            14 => tensor.is_external = value.integer()? == 1,
            3 => return Err(ConvertError::content("tensors in segments are not supported")),
            _ => {}
        }
    }
    Ok(tensor)
}

fn entry(value: Wire<'_>) -> Result<(String, String), ConvertError> {
    let (mut key, mut text) = (String::new(), String::new());
    for field in fields(value.bytes()?) {
        match field? {
            (1, value) => key = value.text()?,
            (2, value) => text = value.text()?,
            _ => {}
        }
    }
    Ok((key, text))
}
