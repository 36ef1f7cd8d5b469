//! The stack machine of pickles, without calls.

use std::collections::HashMap;

use super::{Node, NodeId, PickleError, PickledObject};

type Result<T> = std::result::Result<T, PickleError>;

/// Reads operations and keeps what they make.
pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Offset of the operation in progress.
    operation: usize,
    nodes: Vec<Node>,
    stack: Vec<NodeId>,
    /// Heights of the stack at the marks that are open.
    marks: Vec<usize>,
    memo: HashMap<u32, NodeId>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let (nodes, stack, marks) = (Vec::new(), Vec::new(), Vec::new());
        Self { bytes, at: 0, operation: 0, nodes, stack, marks, memo: HashMap::new() }
    }

    /// The values made, and the number of bytes read.
    pub(super) fn finish(self) -> (Vec<Node>, usize) {
        (self.nodes, self.at)
    }

    /// Runs to the end mark and returns the value on top of the stack.
    pub(super) fn run(&mut self) -> Result<NodeId> {
        loop {
            self.operation = self.at;
            let [code] = self.array()?;
            if code == b'.' {
                return self.pop();
            }
            self.step(code)?;
        }
    }

    fn step(&mut self, code: u8) -> Result<()> {
        match code {
            0x80 => self.array::<1>().map(drop),
            // A frame only tells how many bytes could be read at once.
            0x95 => self.array::<8>().map(drop),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.pop().map(drop),
            b'1' => self.pop_to_mark().map(drop),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
                Ok(())
            }
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.remember_or_recall(code),
            b'N' | 0x88 | 0x89 | b'K' | b'M' | b'J' | b'G' | 0x8a | 0x8b => self.number(code),
            b'X' | 0x8c | 0x8d | b'U' | b'T' | b'C' | b'B' | 0x8e | 0x96 => self.text_or_bytes(code),
            b'c' | 0x93 => self.global(code),
            b'Q' => {
                let id = self.pop()?;
                self.push(Node::Persistent(id))
            }
            b'R' | 0x81 | 0x92 => self.call(code),
            b'b' => self.build(),
            _ => self.container(code),
        }
    }

    fn container(&mut self, code: u8) -> Result<()> {
        match code {
            b']' => self.push(Node::List(Vec::new())),
            b')' => self.push(Node::Tuple(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            0x8f => self.push(Node::Set(Vec::new())),
            b'l' => self.of_mark(Node::List),
            b't' => self.of_mark(Node::Tuple),
            0x91 => self.of_mark(Node::Set),
            0x85..=0x87 => {
                let first = self.stack.len().checked_sub(usize::from(code - 0x84));
                let first =
                    first.filter(|first| *first >= self.floor()).ok_or_else(|| self.damaged("a short tuple"))?;
                let items = self.stack.split_off(first);
                self.push(Node::Tuple(items))
            }
            b'd' => {
                let entries = self.pairs()?;
                self.push(Node::Dict(entries))
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item])
            }
            b'e' | 0x90 => {
                let items = self.pop_to_mark()?;
                self.extend(items)
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(vec![(key, value)])
            }
            b'u' => {
                let entries = self.pairs()?;
                self.set(entries)
            }
            _ => Err(PickleError::Operation { code, at: self.operation }),
        }
    }

    fn number(&mut self, code: u8) -> Result<()> {
        let node = match code {
            b'N' => Node::None,
            0x88 | 0x89 => Node::Bool(code == 0x88),
            b'K' => Node::Int(i64::from(u8::from_le_bytes(self.array()?))),
            b'M' => Node::Int(i64::from(u16::from_le_bytes(self.array()?))),
            b'J' => Node::Int(i64::from(i32::from_le_bytes(self.array()?))),
            // Floats alone are big endian.
            b'G' => Node::Float(f64::from_be_bytes(self.array()?)),
            _ => {
                let length = if code == 0x8a { self.length1()? } else { self.length4()? };
                long(self.take(length)?)
            }
        };
        self.push(node)
    }

    fn text_or_bytes(&mut self, code: u8) -> Result<()> {
        let length = match code {
            0x8c | b'U' | b'C' => self.length1()?,
            b'X' | b'T' | b'B' => self.length4()?,
            _ => self.length8()?,
        };
        let bytes = self.take(length)?;
        let node = match (code, std::str::from_utf8(bytes)) {
            (b'C' | b'B' | 0x8e | 0x96, _) => Node::Bytes(bytes.to_vec()),
            (_, Ok(text)) => Node::Text(text.to_owned()),
            // Texts of Python 2 have no encoding; those of Python 3 may hold half surrogates.
            (_, Err(_)) => Node::Bytes(bytes.to_vec()),
        };
        self.push(node)
    }

    fn remember_or_recall(&mut self, code: u8) -> Result<()> {
        let key = match code {
            b'q' | b'h' => self.length1()? as u32,
            b'r' | b'j' => u32::from_le_bytes(self.array()?),
            _ => self.memo.len() as u32,
        };
        if code == b'h' || code == b'j' {
            let id = *self.memo.get(&key).ok_or_else(|| self.damaged("a reference to nothing"))?;
            self.stack.push(id);
        } else {
            let top = self.top()?;
            self.memo.insert(key, top);
        }
        Ok(())
    }

    fn global(&mut self, code: u8) -> Result<()> {
        let (module, name) = if code == b'c' {
            (self.line()?, self.line()?)
        } else {
            let name = self.pop()?;
            let module = self.pop()?;
            match (self.node(module), self.node(name)) {
                (Node::Text(module), Node::Text(name)) => (module.clone(), name.clone()),
                _ => return Err(self.damaged("a name that is no text")),
            }
        };
        self.push(Node::Global { module, name })
    }

    fn call(&mut self, code: u8) -> Result<()> {
        // Keyword arguments are kept as the state of the object.
        let state = if code == 0x92 { Some(self.pop()?) } else { None };
        let args = self.pop()?;
        let callable = self.pop()?;
        let node = match self.node(callable) {
            Node::Global { module, name }
                if module == "collections" && (name == "OrderedDict" || name == "defaultdict") =>
            {
                Node::Dict(self.ordered_entries(args))
            }
            _ => {
                Node::Object(Box::new(PickledObject { callable, args, state, items: Vec::new(), entries: Vec::new() }))
            }
        };
        self.push(node)
    }

    /// The entries that Python 2 gives to `OrderedDict`: a list of lists of key and value.
    fn ordered_entries(&self, args: NodeId) -> Vec<(NodeId, NodeId)> {
        let Node::Tuple(args) = self.node(args) else { return Vec::new() };
        let Some(Node::List(pairs)) = args.first().map(|id| self.node(*id)) else { return Vec::new() };
        let pair = |id: &NodeId| match self.node(*id) {
            Node::List(pair) | Node::Tuple(pair) if pair.len() == 2 => Some((pair[0], pair[1])),
            _ => None,
        };
        pairs.iter().filter_map(pair).collect()
    }

    fn build(&mut self) -> Result<()> {
        let state = self.pop()?;
        let target = self.top()?;
        // Attributes of a dictionary, such as the `_metadata` of state dictionaries, are no entries of it.
        if let Node::Object(object) = &mut self.nodes[target.0 as usize] {
            object.state = Some(state);
        }
        Ok(())
    }

    fn extend(&mut self, mut new: Vec<NodeId>) -> Result<()> {
        let target = self.top()?;
        match &mut self.nodes[target.0 as usize] {
            Node::List(items) | Node::Set(items) => items.append(&mut new),
            Node::Object(object) => object.items.append(&mut new),
            _ => return Err(self.damaged("items for what is no list")),
        }
        Ok(())
    }

    fn set(&mut self, mut new: Vec<(NodeId, NodeId)>) -> Result<()> {
        let target = self.top()?;
        match &mut self.nodes[target.0 as usize] {
            Node::Dict(entries) => entries.append(&mut new),
            Node::Object(object) => object.entries.append(&mut new),
            _ => return Err(self.damaged("entries for what is no dictionary")),
        }
        Ok(())
    }

    fn of_mark(&mut self, node: fn(Vec<NodeId>) -> Node) -> Result<()> {
        let items = self.pop_to_mark()?;
        self.push(node(items))
    }

    fn pairs(&mut self) -> Result<Vec<(NodeId, NodeId)>> {
        let items = self.pop_to_mark()?;
        let (pairs, rest) = items.as_chunks::<2>();
        match rest {
            [] => Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect()),
            _ => Err(self.damaged("a key without a value")),
        }
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    fn push(&mut self, node: Node) -> Result<()> {
        let id = u32::try_from(self.nodes.len()).map_err(|_| self.damaged("more than 2³² values"))?;
        self.nodes.push(node);
        self.stack.push(NodeId(id));
        Ok(())
    }

    /// The stack below it belongs to an outer mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<NodeId> {
        if self.stack.len() <= self.floor() {
            return Err(self.damaged("an operand that is not there"));
        }
        self.stack.pop().ok_or_else(|| self.damaged("an operand that is not there"))
    }

    fn top(&self) -> Result<NodeId> {
        let found = self.stack.last().filter(|_| self.stack.len() > self.floor());
        found.copied().ok_or_else(|| self.damaged("an operand that is not there"))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<NodeId>> {
        let mark = self.marks.pop().ok_or_else(|| self.damaged("no mark"))?;
        Ok(self.stack.split_off(mark))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(PickleError::Truncated { at: self.operation })?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| PickleError::Truncated { at: self.operation })
    }

    fn length1(&mut self) -> Result<usize> {
        Ok(usize::from(u8::from_le_bytes(self.array()?)))
    }

    fn length4(&mut self) -> Result<usize> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn length8(&mut self) -> Result<usize> {
        let length = u64::from_le_bytes(self.array()?);
        usize::try_from(length).map_err(|_| PickleError::Truncated { at: self.operation })
    }

    fn line(&mut self) -> Result<String> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|byte| *byte == b'\n');
        let length = length.ok_or(PickleError::Truncated { at: self.operation })?;
        let line = self.take(length + 1)?;
        let line = std::str::from_utf8(&line[..length]).map_err(|_| self.damaged("a name that is no text"))?;
        Ok(line.trim_end_matches('\r').to_owned())
    }

    fn damaged(&self, what: &'static str) -> PickleError {
        PickleError::Damaged { what, at: self.operation }
    }
}

/// An integer in two's complement, little endian.
fn long(bytes: &[u8]) -> Node {
    if bytes.len() > 8 {
        return Node::Long(bytes.to_vec());
    }
    let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
    let mut wide = [if negative { 0xff } else { 0 }; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Node::Int(i64::from_le_bytes(wide))
}
