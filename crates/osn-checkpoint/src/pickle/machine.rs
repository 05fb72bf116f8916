//! The stack machine of pickles, protocols 0 to 5.

use std::collections::HashMap;
use std::io;

use super::{Global, Node, Object, Pickle, PickleError, Value};
use crate::source::{Source, Stream};

/// Memory that any pickle may take, and that each byte of it may.
///
/// In an honest pickle a value takes up to 8 bytes of memory for each of its bytes: a pair of short
/// texts about 8, a pair of numbers 6. What takes more, such as a list of empty lists, is not long.
const FREE_BYTES: u64 = 32 << 20;
const BYTES_PER_BYTE: u64 = 8;
/// What an entry of a memo with gaps and an allocation take, beside what is in them.
const MEMO_BYTES: usize = 48;
const ALLOCATION_BYTES: usize = 16;
/// What a mark counts: more than it takes, as marks are only as many as values are in each other.
const MARK_BYTES: usize = 64;
/// Values that are no nodes are kept up to this place of a list: shapes and states are shorter.
/// What is behind it, such as the losses of a long training, is only counted.
const KEPT: usize = 128;
/// Longer texts are passed over: no name and no key of a storage is that long.
const MAX_TEXT_BYTES: u64 = 4096;
/// No line of an old protocol is longer.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// Runs the pickle between two places of a source.
pub(crate) fn read(source: &dyn Source, start: u64, end: u64) -> Result<Pickle, PickleError> {
    let mut machine = Machine {
        stream: Stream::new(source, start, end),
        at: start,
        code: 0,
        nodes: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Memo::default(),
        taken: 0,
    };
    loop {
        if let Some(root) = machine.step()? {
            let end = machine.stream.position();
            return Ok(Pickle { nodes: machine.nodes, root, byte_count: end - start, end });
        }
        machine.check_memory(start)?;
    }
}

struct Machine<'a> {
    stream: Stream<'a>,
    /// Where the instruction at work is, and its code.
    at: u64,
    code: u8,
    nodes: Vec<Node>,
    stack: Vec<Value>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: Memo,
    /// Bytes that nodes and memo take.
    taken: usize,
}

/// Values that may come again, by number. Writers number them from 0 on.
#[derive(Debug, Default)]
struct Memo {
    in_order: Vec<Value>,
    others: HashMap<u64, Value>,
}

impl Memo {
    fn find(&self, number: u64) -> Option<Value> {
        let in_order = usize::try_from(number).ok().and_then(|place| self.in_order.get(place));
        in_order.or_else(|| self.others.get(&number)).copied()
    }

    /// Keeps a value; gives the bytes that it takes.
    fn keep(&mut self, number: u64, value: Value) -> usize {
        let place = usize::try_from(number).unwrap_or(usize::MAX);
        if let Some(kept) = self.in_order.get_mut(place) {
            *kept = value;
            0
        } else if place == self.in_order.len() {
            self.in_order.push(value);
            size_of::<Value>()
        } else if self.others.insert(number, value).is_none() {
            MEMO_BYTES
        } else {
            0
        }
    }
}

type Done<T = ()> = Result<T, PickleError>;

impl Machine<'_> {
    /// Runs one instruction; gives the result when it was the last.
    fn step(&mut self) -> Done<Option<Value>> {
        self.at = self.stream.position();
        self.code = self.stream.byte()?;
        match self.code {
            b'.' => return self.pop().map(Some),
            0x80 | 0x95 => self.header(),
            b'(' | b'0' | b'1' | b'2' => self.arrange(),
            b'N' | b'I' | b'J' | b'K' | b'L' | b'M' | b'F' | b'G' | 0x88..=0x8b => self.number(),
            b'S' | b'T' | b'U' | b'V' | b'X' | 0x8c | 0x8d => self.text(),
            b'B' | b'C' | 0x8e | 0x96 => self.bytes(),
            b')' | b't' | 0x85..=0x87 => self.tuple(),
            b']' | b'a' | b'e' | b'l' | 0x8f..=0x91 => self.list(),
            b'}' | b'd' | b's' | b'u' => self.dict(),
            b'c' | 0x93 | 0x82..=0x84 => self.global(),
            b'i' | b'o' | b'R' | b'b' | 0x81 | 0x92 => self.object(),
            b'P' | b'Q' => self.persistent(),
            b'g' | b'h' | b'j' | b'p' | b'q' | b'r' | 0x94 => self.memo(),
            code => Err(PickleError::Instruction { at: self.at, code }),
        }?;
        Ok(None)
    }

    fn check_memory(&self, start: u64) -> Done {
        let read = self.stream.position().saturating_sub(start);
        let limit = FREE_BYTES.saturating_add(BYTES_PER_BYTE.saturating_mul(read));
        let stack = size_of::<Value>() * self.stack.len() + MARK_BYTES * self.marks.len();
        let taken = self.taken.saturating_add(stack) as u64;
        if taken > limit { Err(PickleError::TooLarge { limit }) } else { Ok(()) }
    }

    fn damaged(&self, problem: &'static str) -> PickleError {
        PickleError::Damaged { at: self.at, code: self.code, problem }
    }

    fn push_node(&mut self, node: Node) -> Done {
        let number =
            u32::try_from(self.nodes.len()).map_err(|_| self.damaged("too many values"))?;
        self.taken += size_of::<Node>() + inner_bytes(&node);
        self.nodes.push(node);
        self.stack.push(Value::Node(number));
        Ok(())
    }

    /// Pops a value; a mark stands in the way of those below it.
    fn pop(&mut self) -> Done<Value> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let value = if self.stack.len() > floor { self.stack.pop() } else { None };
        value.ok_or_else(|| self.damaged("no value on the stack"))
    }

    fn top(&self) -> Done<Value> {
        self.stack.last().copied().ok_or_else(|| self.damaged("no value on the stack"))
    }

    /// Pops everything above the last mark, and the mark.
    fn pop_marked(&mut self) -> Done<Vec<Value>> {
        let height = self.marks.pop().ok_or_else(|| self.damaged("no mark on the stack"))?;
        Ok(self.stack.split_off(height))
    }

    fn pop_pairs(&mut self) -> Done<Vec<(Value, Value)>> {
        let values = self.pop_marked()?;
        let (pairs, rest) = values.as_chunks::<2>();
        if rest.is_empty() {
            Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
        } else {
            Err(self.damaged("a key without a value"))
        }
    }

    /// The node of the value on top of the stack.
    fn top_node(&mut self) -> Done<Option<&mut Node>> {
        Ok(match self.top()? {
            Value::Node(number) => self.nodes.get_mut(number as usize),
            _ => None,
        })
    }

    /// PROTO, FRAME: nothing that matters here.
    fn header(&mut self) -> Done {
        let count = if self.code == 0x80 { 1 } else { 8 };
        self.stream.skip(count)?;
        Ok(())
    }

    /// MARK, POP, `POP_MARK`, DUP.
    fn arrange(&mut self) -> Done {
        match self.code {
            b'(' => self.marks.push(self.stack.len()),
            b'0' if self.marks.last() == Some(&self.stack.len()) => drop(self.marks.pop()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_marked()?),
            _ => {
                let top = self.top()?;
                self.stack.push(top);
            }
        }
        Ok(())
    }

    /// NONE, INT, BININT, BININT1, LONG, BININT2, FLOAT, BINFLOAT, NEWTRUE, NEWFALSE, LONG1, LONG4.
    fn number(&mut self) -> Done {
        let value = match self.code {
            b'N' => Value::None,
            b'I' => integer_line(&self.line()?),
            b'L' => integer_line(self.line()?.trim_end_matches('L')),
            b'J' => Value::Int(i32::from_le_bytes(self.stream.array()?).into()),
            b'K' => Value::Int(self.stream.byte()?.into()),
            b'M' => Value::Int(u16::from_le_bytes(self.stream.array()?).into()),
            b'F' => self.line().map(|_| Value::Other)?,
            b'G' => self.stream.skip(8).map(|()| Value::Other)?,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            0x8a => self.long_of_one_byte_length()?,
            _ => self.length::<4>().and_then(|count| self.long(count))?,
        };
        self.stack.push(value);
        Ok(())
    }

    fn long_of_one_byte_length(&mut self) -> Done<Value> {
        let count = self.stream.byte()?;
        self.long(count.into())
    }

    /// A little-endian integer in two's complement.
    fn long(&mut self, count: u64) -> Done<Value> {
        if count > 8 {
            self.stream.skip(count)?;
            return Ok(Value::Other);
        }
        let bytes = self.stream.bytes(usize::try_from(count).unwrap_or(8))?;
        let sign = if bytes.last().is_some_and(|&byte| byte >= 0x80) { 0xff } else { 0 };
        let mut whole = [sign; 8];
        whole[..bytes.len()].copy_from_slice(&bytes);
        Ok(Value::Int(i64::from_le_bytes(whole)))
    }

    /// STRING, BINSTRING, `SHORT_BINSTRING`, UNICODE, BINUNICODE, `SHORT_BINUNICODE`, BINUNICODE8.
    fn text(&mut self) -> Done {
        let text = match self.code {
            b'S' => self.line()?.trim_matches(['\'', '"']).to_owned(),
            b'V' => self.line()?,
            b'U' | 0x8c => return self.counted_text::<1>(),
            b'T' | b'X' => return self.counted_text::<4>(),
            _ => return self.counted_text::<8>(),
        };
        self.push_node(Node::Text(text.into()))
    }

    fn counted_text<const N: usize>(&mut self) -> Done {
        let count = self.length::<N>()?;
        if count > MAX_TEXT_BYTES {
            self.stream.skip(count)?;
            self.stack.push(Value::Other);
            return Ok(());
        }
        let bytes = self.stream.bytes(usize::try_from(count).unwrap_or(usize::MAX))?;
        self.push_node(Node::Text(String::from_utf8_lossy(&bytes).into()))
    }

    /// BINBYTES, `SHORT_BINBYTES`, BINBYTES8, BYTEARRAY8.
    fn bytes(&mut self) -> Done {
        let count = match self.code {
            b'C' => self.length::<1>()?,
            b'B' => self.length::<4>()?,
            _ => self.length::<8>()?,
        };
        self.stream.skip(count)?;
        self.stack.push(Value::Other);
        Ok(())
    }

    /// `EMPTY_TUPLE`, TUPLE, TUPLE1, TUPLE2, TUPLE3.
    fn tuple(&mut self) -> Done {
        let values = match self.code {
            b')' => Vec::new(),
            b't' => shortened(self.pop_marked()?),
            code => self.pop_last(usize::from(code - 0x84))?,
        };
        self.push_node(Node::Tuple(values))
    }

    fn pop_last(&mut self, count: usize) -> Done<Vec<Value>> {
        let mut values = (0..count).map(|_| self.pop()).collect::<Done<Vec<_>>>()?;
        values.reverse();
        Ok(values)
    }

    /// `EMPTY_LIST`, APPEND, APPENDS, LIST, `EMPTY_SET`, ADDITEMS, FROZENSET.
    fn list(&mut self) -> Done {
        let values = match self.code {
            b']' | 0x8f => return self.push_node(Node::List(Vec::new())),
            b'l' | 0x91 => {
                let values = shortened(self.pop_marked()?);
                return self.push_node(Node::List(values));
            }
            b'a' => vec![self.pop()?],
            _ => self.pop_marked()?,
        };
        let list = match self.top_node()? {
            Some(Node::List(list)) => list,
            Some(Node::Object(object)) => &mut object.items,
            _ => return Err(self.damaged("no list to append to")),
        };
        let before = list.len();
        for value in values {
            append(list, value);
        }
        self.taken += size_of::<Value>() * (list.len() - before);
        Ok(())
    }

    /// `EMPTY_DICT`, DICT, SETITEM, SETITEMS.
    fn dict(&mut self) -> Done {
        let added = match self.code {
            b'}' => return self.push_node(Node::Dict(Vec::new())),
            b'd' => {
                let pairs = self.pop_pairs()?;
                return self.push_node(Node::Dict(pairs));
            }
            b's' => {
                let value = self.pop()?;
                vec![(self.pop()?, value)]
            }
            _ => self.pop_pairs()?,
        };
        let pairs = match self.top_node()? {
            Some(Node::Dict(pairs)) => pairs,
            Some(Node::Object(object)) => &mut object.pairs,
            _ => return Err(self.damaged("no dictionary to put into")),
        };
        let before = pairs.len();
        for pair in added {
            if pairs.len() < KEPT || pair.1.node().is_some() {
                pairs.push(pair);
            }
        }
        self.taken += size_of::<(Value, Value)>() * (pairs.len() - before);
        Ok(())
    }

    /// GLOBAL, `STACK_GLOBAL`, and the numbered names EXT1, EXT2, EXT4, which only their program
    /// knows.
    fn global(&mut self) -> Done {
        match self.code {
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push_global(&module, &name)
            }
            0x93 => self.stack_global(),
            code => {
                self.stream.skip(1 << (code - 0x82))?;
                self.stack.push(Value::Other);
                Ok(())
            }
        }
    }

    fn stack_global(&mut self) -> Done {
        let (name, module) = (self.pop()?, self.pop()?);
        let text = |value| match value {
            Value::Node(number) => match self.nodes.get(number as usize) {
                Some(Node::Text(text)) => Ok(text.to_string()),
                _ => Err(self.damaged("a name that is no text")),
            },
            _ => Err(self.damaged("a name that is no text")),
        };
        let (module, name) = (text(module)?, text(name)?);
        self.push_global(&module, &name)
    }

    fn push_global(&mut self, module: &str, name: &str) -> Done {
        self.push_node(Node::Global(Box::new(Global { module: module.into(), name: name.into() })))
    }

    /// INST, OBJ, REDUCE, BUILD, NEWOBJ, `NEWOBJ_EX`.
    fn object(&mut self) -> Done {
        match self.code {
            b'b' => self.build(),
            b'i' => self.instance(),
            b'o' => self.marked_object(),
            0x92 => {
                let keywords = self.pop()?;
                self.call(Some(keywords))
            }
            _ => self.call(None),
        }
    }

    fn call(&mut self, keywords: Option<Value>) -> Done {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        self.push_object(callable, arguments, keywords)
    }

    fn push_object(&mut self, callable: Value, arguments: Value, keywords: Option<Value>) -> Done {
        let (items, pairs, states) = (Vec::new(), Vec::new(), keywords.into_iter().collect());
        self.push_node(Node::Object(Box::new(Object { callable, arguments, items, pairs, states })))
    }

    fn instance(&mut self) -> Done {
        let (module, name) = (self.line()?, self.line()?);
        let arguments = self.pop_marked()?;
        self.push_global(&module, &name)?;
        let callable = self.pop()?;
        self.push_node(Node::Tuple(arguments))?;
        let arguments = self.pop()?;
        self.push_object(callable, arguments, None)
    }

    fn marked_object(&mut self) -> Done {
        let mut values = self.pop_marked()?;
        if values.is_empty() {
            return Err(self.damaged("nothing to call"));
        }
        let callable = values.remove(0);
        self.push_node(Node::Tuple(values))?;
        let arguments = self.pop()?;
        self.push_object(callable, arguments, None)
    }

    /// What is given to something else than an object is passed over, as is the object itself.
    fn build(&mut self) -> Done {
        let state = self.pop()?;
        if let Some(Node::Object(object)) = self.top_node()? {
            object.states.push(state);
        }
        Ok(())
    }

    /// PERSID, BINPERSID.
    fn persistent(&mut self) -> Done {
        let name = if self.code == b'Q' {
            self.pop()?
        } else {
            let text = self.line()?;
            self.push_node(Node::Text(text.into()))?;
            self.pop()?
        };
        self.push_node(Node::Persistent(name))
    }

    /// GET, BINGET, `LONG_BINGET`, PUT, BINPUT, `LONG_BINPUT`, MEMOIZE.
    fn memo(&mut self) -> Done {
        let number = match self.code {
            b'g' | b'p' => {
                let line = self.line()?;
                line.parse().map_err(|_| self.damaged("a place of the memo that is no number"))?
            }
            b'h' | b'q' => self.length::<1>()?,
            b'j' | b'r' => self.length::<4>()?,
            _ => (self.memo.in_order.len() + self.memo.others.len()) as u64,
        };
        if matches!(self.code, b'g' | b'h' | b'j') {
            let value = self.memo.find(number);
            let value = value.ok_or_else(|| self.damaged("nothing in the memo"))?;
            self.stack.push(value);
        } else {
            let value = self.top()?;
            self.taken += self.memo.keep(number, value);
        }
        Ok(())
    }

    /// An unsigned little-endian integer of `N` bytes.
    fn length<const N: usize>(&mut self) -> Done<u64> {
        let mut whole = [0; 8];
        whole[..N].copy_from_slice(&self.stream.array::<N>()?);
        Ok(u64::from_le_bytes(whole))
    }

    fn line(&mut self) -> Done<String> {
        let mut line = Vec::new();
        loop {
            match self.stream.byte()? {
                b'\n' => return Ok(String::from_utf8_lossy(&line).trim_end_matches('\r').into()),
                _ if line.len() == MAX_LINE_BYTES => return Err(self.damaged("a line without end")),
                byte => line.push(byte),
            }
        }
    }
}

/// Bytes that a node takes outside of itself.
fn inner_bytes(node: &Node) -> usize {
    match node {
        Node::Text(text) => ALLOCATION_BYTES + text.len(),
        Node::Tuple(values) | Node::List(values) if values.is_empty() => 0,
        Node::Tuple(values) | Node::List(values) => {
            ALLOCATION_BYTES + size_of::<Value>() * values.len()
        }
        Node::Dict(pairs) => ALLOCATION_BYTES + size_of::<(Value, Value)>() * pairs.len(),
        Node::Global(global) => 3 * ALLOCATION_BYTES + global.module.len() + global.name.len(),
        Node::Object(_) => 2 * ALLOCATION_BYTES + size_of::<Object>(),
        Node::Persistent(_) => 0,
    }
}

/// Appends to a list, or only counts.
fn append(list: &mut Vec<Value>, value: Value) {
    if value.node().is_some() || list.len() < KEPT {
        list.push(value);
    } else if let Some(Value::Run(count)) = list.last_mut() {
        *count += 1;
    } else {
        list.push(Value::Run(1));
    }
}

/// A list of the same values, those that are only counted joined.
fn shortened(values: Vec<Value>) -> Vec<Value> {
    if values.len() <= KEPT {
        return values;
    }
    let mut list = Vec::new();
    for value in values {
        append(&mut list, value);
    }
    list
}

/// The text of an integer, or `00` and `01` for the truth values of protocol 0.
fn integer_line(line: &str) -> Value {
    match line {
        "00" => Value::Bool(false),
        "01" => Value::Bool(true),
        _ => line.parse().map_or(Value::Other, Value::Int),
    }
}

impl From<io::Error> for PickleError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::Read(error),
        }
    }
}
