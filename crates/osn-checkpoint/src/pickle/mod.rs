//! Reads Python pickles as data: what they would import or call becomes an inert description.
//!
//! A pickle is a program for a stack machine. The [`machine`] runs its instructions, but where
//! Python would import a name it notes the name, and where Python would call something it notes
//! what would be called with what. Nothing is ever imported or called, so nothing in a pickle can
//! do more than cost time and memory, of which each byte of it is granted so much.

mod machine;

pub(crate) use machine::read;

/// Why a pickle cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PickleError {
    /// The file ends inside.
    #[error("its pickle is cut short; get the file again")]
    Truncated,
    /// An instruction that no pickle has.
    #[error("byte {at} is {code:#04x}, which is no instruction of a pickle")]
    Instruction {
        /// Where in the file.
        at: u64,
        /// The byte.
        code: u8,
    },
    /// An instruction that finds something else than it needs.
    #[error("the instruction {code:#04x} at byte {at} of its pickle finds {problem}")]
    Damaged {
        /// Where in the file.
        at: u64,
        /// The instruction.
        code: u8,
        /// What it finds, as the rest of a sentence.
        problem: &'static str,
    },
    /// It makes values that take far more memory than its bytes, as only a hostile file does.
    #[error("its pickle takes more than {limit} bytes of memory, too many for its size")]
    TooLarge {
        /// As many as are granted.
        limit: u64,
    },
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(std::io::Error),
}

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
    nodes: Vec<Node>,
    pub(crate) root: Value,
    /// How long it is.
    pub(crate) byte_count: u64,
    /// Where in the source it ends.
    pub(crate) end: u64,
}

impl Pickle {
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

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
