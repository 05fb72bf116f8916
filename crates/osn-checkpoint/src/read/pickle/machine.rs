//! The stack machine of pickles, protocols 0 to 5.

use std::collections::HashMap;

use super::error::PickleError;
use super::value::{Global, Node, Object, Pickle, Value};
use crate::read::byte_source::ByteSource;
use crate::read::stream::Stream;

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
/// Longer texts are skipped: no name and no key of a storage is that long.
const MAX_TEXT_BYTES: u64 = 4096;
/// No line of an old protocol is longer.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// Runs the pickle between two places of a source.
pub(crate) fn run(source: &dyn ByteSource, start: u64, end: u64) -> Result<Pickle, PickleError> {
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

/// Instructions by their bytes, each with the name that Python's `pickletools` has for it.
impl Machine<'_> {
    /// Runs one instruction; gives the result when it was the last.
    fn step(&mut self) -> Done<Option<Value>> {
        self.at = self.stream.position();
        self.code = self.stream.byte()?;
        match self.code {
            b'.' => return self.pop().map(Some),       // STOP
            0x80 => self.stream.skip(1)?,              // PROTO
            0x95 => self.stream.skip(8)?,              // FRAME
            b'(' => self.marks.push(self.stack.len()), // MARK
            // POP, of a mark and of a value.
            b'0' if self.marks.last() == Some(&self.stack.len()) => drop(self.marks.pop()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_marked()?),     // POP_MARK
            b'2' => self.stack.push(self.top()?), // DUP
            b'a' | b'e' | 0x90 => self.append()?, // APPEND, APPENDS, ADDITEMS
            b's' | b'u' => self.set_items()?,     // SETITEM, SETITEMS
            b'b' => self.build()?,                // BUILD
            b'p' | b'q' | b'r' | 0x94 => self.memorize()?, // PUT, BINPUT, LONG_BINPUT, MEMOIZE
            _ => {
                let value = self.value()?;
                self.stack.push(value);
            }
        }
        Ok(None)
    }

    /// The value that an instruction pushes.
    fn value(&mut self) -> Done<Value> {
        Ok(match self.code {
            b'N' => Value::None,                                                 // NONE
            0x88 => Value::Bool(true),                                           // NEWTRUE
            0x89 => Value::Bool(false),                                          // NEWFALSE
            b'I' => integer_line(&self.line()?),                                 // INT
            b'L' => integer_line(self.line()?.trim_end_matches('L')),            // LONG
            b'J' => Value::Int(i32::from_le_bytes(self.stream.array()?).into()), // BININT
            b'K' => Value::Int(self.stream.byte()?.into()),                      // BININT1
            b'M' => Value::Int(u16::from_le_bytes(self.stream.array()?).into()), // BININT2
            0x8a => self.long::<1>()?,                                           // LONG1
            0x8b => self.long::<4>()?,                                           // LONG4
            b'F' => self.line().map(|_| Value::Other)?,                          // FLOAT
            b'G' => self.skipped(8)?,                                            // BINFLOAT
            b'C' => self.bytes::<1>()?,                                          // SHORT_BINBYTES
            b'B' => self.bytes::<4>()?,                                          // BINBYTES
            0x8e | 0x96 => self.bytes::<8>()?, // BINBYTES8, BYTEARRAY8
            b'S' | b'V' => self.text_line()?,  // STRING, UNICODE
            b'U' | 0x8c => self.counted_text::<1>()?, // SHORT_BINSTRING, SHORT_BINUNICODE
            b'T' | b'X' => self.counted_text::<4>()?, // BINSTRING, BINUNICODE
            0x8d => self.counted_text::<8>()?, // BINUNICODE8
            // EXT1, EXT2, EXT4: names that only their program knows, by number.
            0x82 => self.skipped(1)?,
            0x83 => self.skipped(2)?,
            0x84 => self.skipped(4)?,
            b'g' | b'h' | b'j' => self.recall()?, // GET, BINGET, LONG_BINGET
            _ => {
                let node = self.node()?;
                self.add(node)?
            }
        })
    }

    /// The node that an instruction makes.
    fn node(&mut self) -> Done<Node> {
        Ok(match self.code {
            b')' => Node::Tuple(Vec::new()),                    // EMPTY_TUPLE
            b't' => Node::Tuple(shortened(self.pop_marked()?)), // TUPLE
            0x85 => Node::Tuple(self.pop_last(1)?),             // TUPLE1
            0x86 => Node::Tuple(self.pop_last(2)?),             // TUPLE2
            0x87 => Node::Tuple(self.pop_last(3)?),             // TUPLE3
            b']' | 0x8f => Node::List(Vec::new()),              // EMPTY_LIST, EMPTY_SET
            b'l' | 0x91 => Node::List(shortened(self.pop_marked()?)), // LIST, FROZENSET
            b'}' => Node::Dict(Vec::new()),                     // EMPTY_DICT
            b'd' => Node::Dict(self.pop_pairs()?),              // DICT
            b'c' => self.global()?,                             // GLOBAL
            0x93 => self.stack_global()?,                       // STACK_GLOBAL
            b'i' => self.instance()?,                           // INST
            b'o' => self.marked_object()?,                      // OBJ
            b'R' | 0x81 => self.call(Vec::new())?,              // REDUCE, NEWOBJ
            0x92 => {
                // NEWOBJ_EX, with keywords.
                let keywords = vec![self.pop()?];
                self.call(keywords)?
            }
            b'P' => Node::Persistent(self.text_line()?), // PERSID
            b'Q' => Node::Persistent(self.pop()?),       // BINPERSID
            code => return Err(PickleError::Instruction { at: self.at, code }),
        })
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

    fn add(&mut self, node: Node) -> Done<Value> {
        let number =
            u32::try_from(self.nodes.len()).map_err(|_| self.damaged("too many values"))?;
        self.taken += size_of::<Node>() + inner_bytes(&node);
        self.nodes.push(node);
        Ok(Value::Node(number))
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

    fn pop_last(&mut self, count: usize) -> Done<Vec<Value>> {
        let mut values = (0..count).map(|_| self.pop()).collect::<Done<Vec<_>>>()?;
        values.reverse();
        Ok(values)
    }

    /// The node of the value on top of the stack.
    fn top_node(&mut self) -> Done<Option<&mut Node>> {
        Ok(match self.top()? {
            Value::Node(number) => self.nodes.get_mut(number as usize),
            _ => None,
        })
    }

    /// What tensors do not need, and how many bytes of it.
    fn skipped(&mut self, count: u64) -> Done<Value> {
        self.stream.skip(count)?;
        Ok(Value::Other)
    }

    fn bytes<const N: usize>(&mut self) -> Done<Value> {
        let count = self.length::<N>()?;
        self.skipped(count)
    }

    /// A little-endian integer in two's complement.
    fn long<const N: usize>(&mut self) -> Done<Value> {
        let count = self.length::<N>()?;
        if count > 8 {
            return self.skipped(count);
        }
        let bytes = self.stream.bytes(usize::try_from(count).unwrap_or(8))?;
        let sign = if bytes.last().is_some_and(|&byte| byte >= 0x80) { 0xff } else { 0 };
        let mut whole = [sign; 8];
        whole[..bytes.len()].copy_from_slice(&bytes);
        Ok(Value::Int(i64::from_le_bytes(whole)))
    }

    fn text(&mut self, text: &str) -> Done<Value> {
        self.add(Node::Text(text.into()))
    }

    fn text_line(&mut self) -> Done<Value> {
        let line = self.line()?;
        let quotes: &[char] = if self.code == b'S' { &['\'', '"'] } else { &[] };
        self.text(line.trim_matches(quotes))
    }

    fn counted_text<const N: usize>(&mut self) -> Done<Value> {
        let count = self.length::<N>()?;
        if count > MAX_TEXT_BYTES {
            return self.skipped(count);
        }
        let bytes = self.stream.bytes(usize::try_from(count).unwrap_or(usize::MAX))?;
        self.text(&String::from_utf8_lossy(&bytes))
    }

    fn append(&mut self) -> Done {
        let values = if self.code == b'a' { vec![self.pop()?] } else { self.pop_marked()? };
        let list = match self.top_node()? {
            Some(Node::List(list)) => list,
            Some(Node::Object(object)) => &mut object.items,
            _ => return Err(self.damaged("no list to append to")),
        };
        let before = list.len();
        for value in values {
            append_or_count(list, value);
        }
        self.taken += size_of::<Value>() * (list.len() - before);
        Ok(())
    }

    fn set_items(&mut self) -> Done {
        let added = if self.code == b's' {
            let value = self.pop()?;
            vec![(self.pop()?, value)]
        } else {
            self.pop_pairs()?
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

    fn global(&mut self) -> Done<Node> {
        let (module, name) = (self.line()?.into(), self.line()?.into());
        Ok(Node::Global(Box::new(Global { module, name })))
    }

    fn stack_global(&mut self) -> Done<Node> {
        let (name, module) = (self.pop()?, self.pop()?);
        let text = |value: Value| match value.node().and_then(|it| self.nodes.get(it as usize)) {
            Some(Node::Text(text)) => Ok(text.clone()),
            _ => Err(self.damaged("a name that is no text")),
        };
        let (module, name) = (text(module)?, text(name)?);
        Ok(Node::Global(Box::new(Global { module, name })))
    }

    fn call(&mut self, states: Vec<Value>) -> Done<Node> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        Ok(object(callable, arguments, states))
    }

    fn instance(&mut self) -> Done<Node> {
        let callable = self.global()?;
        let arguments = self.pop_marked()?;
        let callable = self.add(callable)?;
        Ok(object(callable, self.add(Node::Tuple(arguments))?, Vec::new()))
    }

    fn marked_object(&mut self) -> Done<Node> {
        let mut values = self.pop_marked()?;
        if values.is_empty() {
            return Err(self.damaged("nothing to call"));
        }
        let callable = values.remove(0);
        Ok(object(callable, self.add(Node::Tuple(values))?, Vec::new()))
    }

    /// A state that is given to something else than an object is dropped, as that thing was.
    fn build(&mut self) -> Done {
        let state = self.pop()?;
        if let Some(Node::Object(object)) = self.top_node()? {
            object.states.push(state);
        }
        Ok(())
    }

    /// A value of the memo.
    fn recall(&mut self) -> Done<Value> {
        let number = self.memo_number()?;
        self.memo.find(number).ok_or_else(|| self.damaged("nothing in the memo"))
    }

    /// Keeps the value on top of the stack in the memo.
    fn memorize(&mut self) -> Done {
        let number = self.memo_number()?;
        let value = self.top()?;
        self.taken += self.memo.keep(number, value);
        Ok(())
    }

    fn memo_number(&mut self) -> Done<u64> {
        match self.code {
            b'h' | b'q' => self.length::<1>(),
            b'j' | b'r' => self.length::<4>(),
            b'g' | b'p' => {
                let line = self.line()?;
                line.parse().map_err(|_| self.damaged("a place of the memo that is no number"))
            }
            _ => Ok((self.memo.in_order.len() + self.memo.others.len()) as u64),
        }
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

fn object(callable: Value, arguments: Value, states: Vec<Value>) -> Node {
    let (items, pairs) = (Vec::new(), Vec::new());
    Node::Object(Box::new(Object { callable, arguments, items, pairs, states }))
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
fn append_or_count(list: &mut Vec<Value>, value: Value) {
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
        append_or_count(&mut list, value);
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
