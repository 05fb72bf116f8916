//! `osn inspect` by several processes, each of which measures a part of the tensors, and the merge of what they print.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use osn_checkpoint::{Checkpoint, Inspection};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::run::files::read_text;

/// One of several parts, the first of which is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    number: u64,
    of: u64,
}

/// Reads `2/8`.
pub(crate) fn part(text: &str) -> Result<Part, String> {
    let numbers = text.split_once('/').and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
    match numbers {
        Some((number, of)) if number >= 1 && number <= of => Ok(Part { number, of }),
        _ => Err("a part is K/N with K from 1 to N, for example 2/8".to_owned()),
    }
}

/// The places of the tensors that are to be measured, for each checkpoint. A tensor is in the part in which its first
/// byte is, so that each is in one, and the parts are in the order of the files.
pub(crate) fn ranges(checkpoints: &[Checkpoint], part: Option<Part>) -> Vec<Range<usize>> {
    let bytes = |checkpoint: &Checkpoint| {
        checkpoint.tensors().iter().map(|tensor| tensor.byte_count() as u128).collect::<Vec<_>>()
    };
    let sizes: Vec<_> = checkpoints.iter().map(bytes).collect();
    places(&sizes, part.unwrap_or(Part { number: 1, of: 1 }))
}

fn places(sizes: &[Vec<u128>], part: Part) -> Vec<Range<usize>> {
    let all = sizes.iter().flatten().sum::<u128>().max(1);
    let mut before = 0;
    let mut range = |sizes: &Vec<u128>| {
        let start = |size: &u128| {
            before += size;
            before - size
        };
        let starts: Vec<_> = sizes.iter().map(start).collect();
        // Tensors without a byte at the end are of the last part.
        let part_of =
            |start: &u128| (start * u128::from(part.of) / all).min(u128::from(part.of) - 1);
        let wanted = u128::from(part.number) - 1;
        let first = starts.partition_point(|start| part_of(start) < wanted);
        first..starts.partition_point(|start| part_of(start) <= wanted)
    };
    sizes.iter().map(&mut range).collect()
}

/// What a part prints: the object of the whole with its own tensors, and which part it is.
pub(crate) fn labelled(inspection: &Inspection, part: Part) -> Result<String, Failure> {
    let mut object = json!(inspection);
    object["part"] = json!([part.number, part.of]);
    printed(&object)
}

/// The object that one process would print, from what the parts have printed.
pub(crate) fn merged(files: &[PathBuf]) -> Result<String, Failure> {
    let mut parts = BTreeMap::new();
    for file in files {
        let wrong = |problem: &str| Failure::bad_input(format!("{}: {problem}", file.display()));
        let (number, of, object) =
            read(file)?.ok_or_else(|| wrong("it is not what osn inspect --json --part prints"))?;
        if parts.insert((of, number), object).is_some() {
            return Err(wrong("this part is named twice"));
        }
    }
    let of = parts.keys().next().map_or(0, |&(of, _)| of);
    let lacks = (1..=of).find(|&number| !parts.contains_key(&(of, number)));
    if let Some(number) = lacks {
        return Err(Failure::bad_input(format!("part {number} of {of} is missing")));
    }
    if parts.len() as u64 != of {
        return Err(Failure::bad_input("these are parts of two divisions; measure again"));
    }
    printed(&joined(parts.into_values()))
}

fn read(file: &Path) -> Result<Option<(u64, u64, Value)>, Failure> {
    let Ok(mut object) = serde_json::from_str::<Value>(&read_text(file)?) else { return Ok(None) };
    let label = object.as_object_mut().and_then(|fields| fields.remove("part"));
    let part = label.and_then(|it| Some((it[0].as_u64()?, it[1].as_u64()?)));
    let is_whole = object["tensors"].is_array() && object["skipped"].is_array();
    let is_part = |&(number, of): &(u64, u64)| is_whole && number >= 1 && number <= of;
    Ok(part.filter(is_part).map(|(number, of)| (number, of, object)))
}

/// The lists of the first object with those of the others behind them.
fn joined(mut parts: impl Iterator<Item = Value>) -> Value {
    let mut whole = parts.next().unwrap_or_default();
    for mut part in parts {
        for list in ["tensors", "skipped"] {
            let more = part[list].as_array_mut().map(std::mem::take).unwrap_or_default();
            if let Some(all) = whole[list].as_array_mut() {
                all.extend(more);
            }
        }
    }
    whole
}

fn printed(object: &Value) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(object).map_err(Failure::failed)?;
    Ok(format!("{text}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tensor_is_in_one_part() {
        let sizes = [vec![4, 0, 100, 3], vec![], vec![50, 50, 0]];
        for of in 1..=12 {
            let mut next = [0, 0, 0];
            for number in 1..=of {
                for (next, range) in next.iter_mut().zip(places(&sizes, Part { number, of })) {
                    if !range.is_empty() {
                        assert_eq!(range.start, *next, "{number}/{of}");
                        *next = range.end;
                    }
                }
            }
            assert_eq!(next, [4, 0, 3], "{of}");
        }
        let half = places(&[vec![10, 10, 10, 10]], Part { number: 2, of: 2 });
        assert_eq!((half.len(), &half[0]), (1, &(2..4)));
    }

    #[test]
    fn a_part_is_one_of_those_that_there_are() {
        assert_eq!(part("2/8"), Ok(Part { number: 2, of: 8 }));
        for bad in ["0/2", "3/2", "2", "a/b", "1/0", "-1/2"] {
            assert!(part(bad).is_err(), "{bad}");
        }
    }
}
