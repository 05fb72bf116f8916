//! The values of a pickle, which describe what Python would make.

/// One value: small ones as they are, others by the number of their node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// A float, an integer of more than 64 bits, bytes, a long text: nothing that tensors need.
    Other,
    Node(u32),
    /// In a long list: so many values that are no nodes.
    Run(u64),
}

impl Value {
    /// The number of its node.
    pub(crate) fn node(self) -> Option<u32> {
        match self {
            Self::Node(number) => Some(number),
            _ => None,
        }
    }
}

/// A value that others may refer to.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Text(Box<str>),
    Tuple(Vec<Value>),
    /// A list or a set.
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    /// What Python would import.
    Global(Box<Global>),
    /// What Python would make by calling something.
    Object(Box<Object>),
    /// What the program that wrote the pickle keeps elsewhere, such as a storage.
    Persistent(Value),
}

/// The name of something that Python would import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Global {
    pub(crate) module: Box<str>,
    pub(crate) name: Box<str>,
}

/// What Python would make by calling something, and what it would put into it.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) callable: Value,
    pub(crate) arguments: Value,
    pub(crate) items: Vec<Value>,
    pub(crate) pairs: Vec<(Value, Value)>,
    pub(crate) states: Vec<Value>,
}

/// All values of a pickle; values may refer to each other in circles.
#[derive(Debug)]
pub(crate) struct Pickle {
    pub(crate) nodes: Vec<Node>,
    pub(crate) root: Value,
    /// How long it is.
    pub(crate) byte_count: u64,
    /// Where in the source it ends.
    pub(crate) end: u64,
}

impl Pickle {
    pub(crate) fn node(&self, value: Value) -> Option<&Node> {
        match value {
            Value::Node(number) => self.nodes.get(number as usize),
            _ => None,
        }
    }

    pub(crate) fn text(&self, value: Value) -> Option<&str> {
        match self.node(value) {
            Some(Node::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn tuple(&self, value: Value) -> Option<&[Value]> {
        match self.node(value) {
            Some(Node::Tuple(values)) => Some(values),
            _ => None,
        }
    }

    pub(crate) fn list(&self, value: Value) -> Option<&[Value]> {
        match self.node(value) {
            Some(Node::List(values)) => Some(values),
            _ => None,
        }
    }

    /// The pairs of a dictionary, a plain one or of a class.
    pub(crate) fn pairs(&self, value: Value) -> Option<&[(Value, Value)]> {
        match self.node(value) {
            Some(Node::Dict(pairs)) => Some(pairs),
            Some(Node::Object(object)) if !object.pairs.is_empty() => Some(&object.pairs),
            _ => None,
        }
    }

    /// The last entry of a dictionary under a text.
    pub(crate) fn entry(&self, dict: Value, key: &str) -> Option<Value> {
        let mut pairs = self.pairs(dict)?.iter().rev();
        pairs.find(|(found, _)| self.text(*found) == Some(key)).map(|&(_, value)| value)
    }

    pub(crate) fn global(&self, value: Value) -> Option<&Global> {
        match self.node(value) {
            Some(Node::Global(global)) => Some(global),
            _ => None,
        }
    }
}
