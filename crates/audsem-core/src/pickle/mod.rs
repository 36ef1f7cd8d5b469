//! Pickled Python objects, read as data: nothing is imported, called or executed.
//!
//! A pickle is a program for a small stack machine that may call any function of Python. [`Pickle::read`] runs the part
//! that builds values and records calls as [`Node::Object`] with their arguments, so that a reader decides which of them
//! it understands.
//!
//! ```
//! use audsem_core::pickle::Pickle;
//!
//! // pickle.dumps({"a": [1, 2.5]}, protocol=2)
//! let bytes = b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01]q\x02(K\x01G@\x04\x00\x00\x00\x00\x00\x00es.";
//! let pickle = Pickle::read(&mut &bytes[..])?;
//! let list = pickle.root().get("a").expect("the dictionary has this key");
//! assert_eq!(list.items().next().and_then(|item| item.as_i64()), Some(1));
//! assert_eq!(pickle.root().to_json(100)?.to_string(), r#"{"a":[1,2.5]}"#);
//! # Ok::<(), audsem_core::pickle::PickleError>(())
//! ```

mod json;
mod machine;
#[cfg(test)]
mod tests;

use machine::Machine;

/// Why a pickle cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PickleError {
    /// The bytes end within the pickle.
    #[error("the pickle ends at byte {at}, before its end mark")]
    Truncated {
        /// Offset of the operation that lacks bytes.
        at: usize,
    },
    /// An operation that belongs to Python 1, to extension registries or to out-of-band buffers.
    #[error("the pickle has the operation {code:#04x} at byte {at}, which is not supported")]
    Operation {
        /// The operation code.
        code: u8,
        /// Its offset.
        at: usize,
    },
    /// An operation whose operands are not there or of another kind.
    #[error("the pickle is damaged: {what} at byte {at}")]
    Damaged {
        /// What is wrong.
        what: &'static str,
        /// Offset of the operation.
        at: usize,
    },
    /// A value that has more parts than a reader is willing to write down, or that contains itself.
    #[error("the pickled value has more than {most} parts, or contains itself")]
    TooLarge {
        /// The most parts that were allowed.
        most: usize,
    },
}

/// Index of a value in its pickle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

/// A value of a pickle. Values that Python shares are shared here: they have the same [`NodeId`].
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// `None`.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer of at most 64 bits.
    Int(i64),
    /// A longer integer: two's complement, little endian.
    Long(Vec<u8>),
    /// A float.
    Float(f64),
    /// A text.
    Text(String),
    /// Bytes, and texts of Python 2 that are not UTF-8.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<NodeId>),
    /// A tuple.
    Tuple(Vec<NodeId>),
    /// A set or frozen set.
    Set(Vec<NodeId>),
    /// A dictionary, also an `OrderedDict` or `defaultdict`, in the order of insertion; a key may be there twice, where
    /// the later entry counts.
    Dict(Vec<(NodeId, NodeId)>),
    /// A function or class by its name, which is not looked up.
    Global {
        /// Its module.
        module: String,
        /// Its name in the module.
        name: String,
    },
    /// The result of a call that was not made.
    Object(Box<PickledObject>),
    /// A value that is stored outside the pickle, by its identifier.
    Persistent(NodeId),
}

/// A call that a pickle asks for and that is not made.
#[derive(Debug, Clone, PartialEq)]
pub struct PickledObject {
    /// What would be called.
    pub callable: NodeId,
    /// The tuple of its arguments.
    pub args: NodeId,
    /// The state that the object would be given, as a rule the dictionary of its fields.
    pub state: Option<NodeId>,
    /// Items that would be appended or added to the object.
    pub items: Vec<NodeId>,
    /// Entries that would be set in the object.
    pub entries: Vec<(NodeId, NodeId)>,
}

/// All values of one pickle.
#[derive(Debug, Clone, PartialEq)]
pub struct Pickle {
    nodes: Vec<Node>,
    root: NodeId,
}

impl Pickle {
    /// Reads one pickle of protocol 2 to 5 (and the binary operations of protocol 1) from the front of `bytes`, which
    /// is advanced past it. Memory is proportional to the bytes read.
    ///
    /// # Errors
    /// [`PickleError`].
    pub fn read(bytes: &mut &[u8]) -> Result<Self, PickleError> {
        let mut machine = Machine::new(bytes);
        let root = machine.run()?;
        let (nodes, read) = machine.finish();
        *bytes = &bytes[read..];
        Ok(Self { nodes, root })
    }

    /// The value that was pickled.
    pub fn root(&self) -> PickledValue<'_> {
        PickledValue { pickle: self, id: self.root }
    }

    fn at(&self, id: NodeId) -> PickledValue<'_> {
        PickledValue { pickle: self, id }
    }
}

/// A value within its pickle.
#[derive(Debug, Clone, Copy)]
pub struct PickledValue<'a> {
    pickle: &'a Pickle,
    id: NodeId,
}

impl<'a> PickledValue<'a> {
    /// The value itself.
    pub fn node(self) -> &'a Node {
        &self.pickle.nodes[self.id.0 as usize]
    }

    /// Identifies the value in its pickle.
    pub fn id(self) -> NodeId {
        self.id
    }

    /// The text, if the value is one.
    pub fn as_str(self) -> Option<&'a str> {
        match self.node() {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if the value is one of at most 64 bits.
    pub fn as_i64(self) -> Option<i64> {
        match self.node() {
            Node::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The integer as a size, if the value is one.
    pub fn as_usize(self) -> Option<usize> {
        usize::try_from(self.as_i64()?).ok()
    }

    /// The items of a list, tuple or set; nothing for other values.
    pub fn items(self) -> impl ExactSizeIterator<Item = PickledValue<'a>> {
        let items: &[NodeId] = match self.node() {
            Node::List(items) | Node::Tuple(items) | Node::Set(items) => items,
            _ => &[],
        };
        items.iter().map(move |id| self.pickle.at(*id))
    }

    /// An item of a list or tuple.
    pub fn item(self, index: usize) -> Option<PickledValue<'a>> {
        self.items().nth(index)
    }

    /// Whether the value is a dictionary.
    pub fn is_dict(self) -> bool {
        matches!(self.node(), Node::Dict(_))
    }

    /// The entries of a dictionary; nothing for other values.
    pub fn entries(self) -> impl DoubleEndedIterator<Item = (PickledValue<'a>, PickledValue<'a>)> {
        let entries: &[(NodeId, NodeId)] = match self.node() {
            Node::Dict(entries) => entries,
            _ => &[],
        };
        entries.iter().map(move |(key, value)| (self.pickle.at(*key), self.pickle.at(*value)))
    }

    /// The value of a dictionary under a text key.
    pub fn get(self, key: &str) -> Option<PickledValue<'a>> {
        self.entries().rev().find(|(found, _)| found.as_str() == Some(key)).map(|(_, value)| value)
    }

    /// The module and name of a function or class, if the value is one.
    pub fn global(self) -> Option<(&'a str, &'a str)> {
        match self.node() {
            Node::Global { module, name } => Some((module, name)),
            _ => None,
        }
    }

    /// What would be called with which arguments, if the value is the result of a call.
    pub fn call(self) -> Option<(PickledValue<'a>, PickledValue<'a>)> {
        match self.node() {
            Node::Object(object) => Some((self.pickle.at(object.callable), self.pickle.at(object.args))),
            _ => None,
        }
    }

    /// The state that an object would be given, if the value is the result of a call and has one.
    pub fn state(self) -> Option<PickledValue<'a>> {
        match self.node() {
            Node::Object(object) => object.state.map(|state| self.pickle.at(state)),
            _ => None,
        }
    }

    /// The identifier of a value that is stored outside the pickle, if the value is one.
    pub fn persistent(self) -> Option<PickledValue<'a>> {
        match self.node() {
            Node::Persistent(id) => Some(self.pickle.at(*id)),
            _ => None,
        }
    }
}
