//! The stack machine of pickles, protocols 0 to 5.

use std::collections::HashMap;

use super::error::PickleError;
use super::opcode::OpCode as Op;
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
/// Longer texts are passed over: no name and no key of a storage is that long.
const MAX_TEXT_BYTES: u64 = 4096;
/// No line of an old protocol is longer.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// Runs the pickle between two places of a source.
pub(crate) fn run(source: &dyn ByteSource, start: u64, end: u64) -> Result<Pickle, PickleError> {
    let mut machine = Machine {
        stream: Stream::new(source, start, end),
        at: start,
        code: Op::Stop,
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
    code: Op,
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
        let byte = self.stream.byte()?;
        let unknown = PickleError::Instruction { at: self.at, code: byte };
        self.code = Op::of(byte).ok_or(unknown)?;
        match self.code {
            Op::Stop => return self.pop().map(Some),
            Op::Proto | Op::Frame => self.header(),
            Op::Mark | Op::Pop | Op::PopMark | Op::Dup => self.arrange(),
            Op::None
            | Op::NewTrue
            | Op::NewFalse
            | Op::Int
            | Op::Long
            | Op::BinInt
            | Op::BinInt1
            | Op::BinInt2
            | Op::Long1
            | Op::Long4 => self.constant(),
            Op::Float | Op::BinFloat => self.float(),
            Op::String
            | Op::Unicode
            | Op::BinString
            | Op::BinUnicode
            | Op::ShortBinString
            | Op::ShortBinUnicode
            | Op::BinUnicode8 => self.text(),
            Op::BinBytes | Op::ShortBinBytes | Op::BinBytes8 | Op::ByteArray8 => self.bytes(),
            Op::EmptyTuple | Op::Tuple | Op::Tuple1 | Op::Tuple2 | Op::Tuple3 => self.tuple(),
            Op::EmptyList | Op::EmptySet | Op::List | Op::FrozenSet => self.list(),
            Op::Append | Op::Appends | Op::AddItems => self.append(),
            Op::EmptyDict | Op::Dict | Op::SetItem | Op::SetItems => self.dict(),
            Op::Global | Op::StackGlobal | Op::Ext1 | Op::Ext2 | Op::Ext4 => self.global(),
            Op::Inst | Op::Obj | Op::Reduce | Op::NewObj | Op::NewObjEx => self.object(),
            Op::Build => self.build(),
            Op::PersId | Op::BinPersId => self.persistent(),
            Op::Get | Op::BinGet | Op::LongBinGet => self.recall(),
            Op::Put | Op::BinPut | Op::LongBinPut | Op::Memoize => self.memorize(),
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
        PickleError::Damaged { at: self.at, code: self.code as u8, problem }
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
        let count = if self.code == Op::Proto { 1 } else { 8 };
        self.stream.skip(count)?;
        Ok(())
    }

    /// MARK, POP, `POP_MARK`, DUP.
    fn arrange(&mut self) -> Done {
        match self.code {
            Op::Mark => self.marks.push(self.stack.len()),
            Op::Pop if self.marks.last() == Some(&self.stack.len()) => drop(self.marks.pop()),
            Op::Pop => drop(self.pop()?),
            Op::PopMark => drop(self.pop_marked()?),
            _ => {
                let top = self.top()?;
                self.stack.push(top);
            }
        }
        Ok(())
    }

    fn constant(&mut self) -> Done {
        let value = match self.code {
            Op::None => Value::None,
            Op::NewTrue => Value::Bool(true),
            Op::NewFalse => Value::Bool(false),
            Op::Int => integer_line(&self.line()?),
            Op::Long => integer_line(self.line()?.trim_end_matches('L')),
            Op::BinInt => Value::Int(i32::from_le_bytes(self.stream.array()?).into()),
            Op::BinInt1 => Value::Int(self.stream.byte()?.into()),
            Op::BinInt2 => Value::Int(u16::from_le_bytes(self.stream.array()?).into()),
            Op::Long1 => self.length::<1>().and_then(|count| self.long(count))?,
            _ => self.length::<4>().and_then(|count| self.long(count))?,
        };
        self.stack.push(value);
        Ok(())
    }

    fn float(&mut self) -> Done {
        match self.code {
            Op::Float => drop(self.line()?),
            _ => self.stream.skip(8)?,
        }
        self.stack.push(Value::Other);
        Ok(())
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

    fn text(&mut self) -> Done {
        let text = match self.code {
            Op::String => self.line()?.trim_matches(['\'', '"']).to_owned(),
            Op::Unicode => self.line()?,
            Op::ShortBinString | Op::ShortBinUnicode => return self.counted_text::<1>(),
            Op::BinString | Op::BinUnicode => return self.counted_text::<4>(),
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

    fn bytes(&mut self) -> Done {
        let count = match self.code {
            Op::ShortBinBytes => self.length::<1>()?,
            Op::BinBytes => self.length::<4>()?,
            _ => self.length::<8>()?,
        };
        self.stream.skip(count)?;
        self.stack.push(Value::Other);
        Ok(())
    }

    fn tuple(&mut self) -> Done {
        let values = match self.code {
            Op::EmptyTuple => Vec::new(),
            Op::Tuple => shortened(self.pop_marked()?),
            Op::Tuple1 => self.pop_last(1)?,
            Op::Tuple2 => self.pop_last(2)?,
            _ => self.pop_last(3)?,
        };
        self.push_node(Node::Tuple(values))
    }

    fn pop_last(&mut self, count: usize) -> Done<Vec<Value>> {
        let mut values = (0..count).map(|_| self.pop()).collect::<Done<Vec<_>>>()?;
        values.reverse();
        Ok(values)
    }

    fn list(&mut self) -> Done {
        let values = match self.code {
            Op::EmptyList | Op::EmptySet => Vec::new(),
            _ => shortened(self.pop_marked()?),
        };
        self.push_node(Node::List(values))
    }

    fn append(&mut self) -> Done {
        let values = if self.code == Op::Append { vec![self.pop()?] } else { self.pop_marked()? };
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

    fn dict(&mut self) -> Done {
        let added = match self.code {
            Op::EmptyDict => return self.push_node(Node::Dict(Vec::new())),
            Op::Dict => {
                let pairs = self.pop_pairs()?;
                return self.push_node(Node::Dict(pairs));
            }
            Op::SetItem => {
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

    /// A name. Only their program knows the numbered ones.
    fn global(&mut self) -> Done {
        match self.code {
            Op::Global => {
                let (module, name) = (self.line()?, self.line()?);
                self.push_global(&module, &name)
            }
            Op::StackGlobal => self.stack_global(),
            Op::Ext1 => self.numbered_global(1),
            Op::Ext2 => self.numbered_global(2),
            _ => self.numbered_global(4),
        }
    }

    fn numbered_global(&mut self, bytes: u64) -> Done {
        self.stream.skip(bytes)?;
        self.stack.push(Value::Other);
        Ok(())
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

    fn object(&mut self) -> Done {
        match self.code {
            Op::Inst => self.instance(),
            Op::Obj => self.marked_object(),
            Op::NewObjEx => {
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

    fn persistent(&mut self) -> Done {
        let name = if self.code == Op::BinPersId {
            self.pop()?
        } else {
            let text = self.line()?;
            self.push_node(Node::Text(text.into()))?;
            self.pop()?
        };
        self.push_node(Node::Persistent(name))
    }

    /// Pushes a value of the memo.
    fn recall(&mut self) -> Done {
        let number = self.memo_number()?;
        let value = self.memo.find(number);
        self.stack.push(value.ok_or_else(|| self.damaged("nothing in the memo"))?);
        Ok(())
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
            Op::BinGet | Op::BinPut => self.length::<1>(),
            Op::LongBinGet | Op::LongBinPut => self.length::<4>(),
            Op::Memoize => Ok((self.memo.in_order.len() + self.memo.others.len()) as u64),
            _ => {
                let line = self.line()?;
                line.parse().map_err(|_| self.damaged("a place of the memo that is no number"))
            }
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
