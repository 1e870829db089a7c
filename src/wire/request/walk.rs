//! Walks the tags of a message once, without taking memory, and counts what it has.
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

use super::super::FieldError;
use super::bounds::{Bounds, ELEMENTS_BYTES_MAX};
use super::plan::{self, FieldPlan, Plan, Repeated};
use super::refused::Refused;

/// Room to count this many repeated fields.
pub(super) const SLOTS: usize = 32;
/// How deep messages may lie in each other; prost goes as far.
const DEPTH_MAX: usize = 100;

/// How many elements each repeated field has, within one element of another.
type Counts = [usize; SLOTS];

/// Answers what the elements of a request will take, not counting their text; or why it is refused.
pub(super) fn elements_bytes(bytes: &[u8], request: &str, bounds: &Bounds) -> Result<usize, Refused> {
    let (plan, message) = plan::of_request(request).ok_or_else(|| cut("its method is not in the contract"))?;
    let mut walk = Walk { plan, bounds, bytes: 0 };
    walk.message(bytes, message, 0, &mut [0; SLOTS])?;
    Ok(walk.bytes)
}

struct Walk<'a> {
    plan: &'a Plan,
    bounds: &'a Bounds,
    /// What the elements counted take.
    bytes: usize,
}

/// A field as it stands in a message.
enum Value<'a> {
    Number,
    Bytes(&'a [u8]),
    GroupStart,
    GroupEnd,
}

impl Walk<'_> {
    fn message(&mut self, mut rest: &[u8], at: usize, depth: usize, counts: &mut Counts) -> Result<(), Refused> {
        let plan = self.plan;
        let Some(message) = plan.message(at) else { return Ok(()) };
        if depth > DEPTH_MAX {
            return Err(Refused::Malformed("its messages lie too deep in each other".to_owned()));
        }
        // No field of the contract is a group; what is in one is not kept.
        let mut groups = 0_usize;
        while !rest.is_empty() {
            let (number, value) = next(&mut rest)?;
            match value {
                Value::GroupStart => groups += 1,
                Value::GroupEnd => {
                    groups = groups.checked_sub(1).ok_or_else(|| cut("a group ends that never began"))?
                }
                Value::Number | Value::Bytes(_) if groups > 0 => {}
                Value::Number | Value::Bytes(_) => {
                    if let Some(field) = message.fields.iter().find(|field| field.number == number) {
                        self.field(field, &value, depth, counts)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn field(
        &mut self,
        field: &FieldPlan,
        value: &Value<'_>,
        depth: usize,
        counts: &mut Counts,
    ) -> Result<(), Refused> {
        let bytes = match value {
            Value::Bytes(bytes) => *bytes,
            Value::Number | Value::GroupStart | Value::GroupEnd => &[],
        };
        let Some(repeated) = &field.repeated else {
            // A message that comes twice is one: both have what is in them.
            return match field.message {
                Some(inner) => {
                    self.message(bytes, inner, depth + 1, counts).map_err(|error| within(error, &field.name))
                }
                None => Ok(()),
            };
        };
        let elements = match value {
            // Each number ends with a byte whose highest bit is not set.
            Value::Bytes(run) if field.is_packed => run.iter().filter(|byte| **byte < 0x80).count(),
            Value::Bytes(_) | Value::Number | Value::GroupStart | Value::GroupEnd => 1,
        };
        let count = self.count(field, repeated, elements, counts)?;
        let Some(inner) = field.message else { return Ok(()) };
        let walked = self.message(bytes, inner, depth + 1, &mut [0; SLOTS]);
        walked.map_err(|error| within(error, &format!("{}[{}]", field.name, count - 1)))
    }

    /// Counts elements of a field, and answers how many it has now.
    fn count(
        &mut self,
        field: &FieldPlan,
        repeated: &Repeated,
        elements: usize,
        counts: &mut Counts,
    ) -> Result<usize, Refused> {
        let refused = |problem| {
            let (path, kind) = (field.name.clone(), repeated.bound.kind);
            Refused::Field(FieldError { path, problem, kind })
        };
        let count = counts.get_mut(repeated.slot).ok_or_else(|| refused("cannot be counted".to_owned()))?;
        *count += elements;
        let elements_max = (repeated.bound.elements_max)(&self.bounds.limits);
        if *count > elements_max {
            return Err(refused(format!("has over {elements_max} elements; no more are allowed")));
        }
        self.bytes += elements * repeated.bytes;
        if self.bytes > ELEMENTS_BYTES_MAX {
            let problem = "is one list too many: all lists of the message together have more elements than fit into \
                           64 MiB; send several messages";
            return Err(refused(problem.to_owned()));
        }
        Ok(*count)
    }
}

/// The next field of a message.
fn next<'a>(rest: &mut &'a [u8]) -> Result<(u32, Value<'a>), Refused> {
    let key = u32::try_from(varint(rest)?).map_err(|_| cut("a field's number is too great"))?;
    let value = match key & 7 {
        0 => {
            varint(rest)?;
            Value::Number
        }
        1 => {
            take(rest, 8)?;
            Value::Number
        }
        2 => {
            let length = varint(rest)?;
            Value::Bytes(take(rest, usize::try_from(length).unwrap_or(usize::MAX))?)
        }
        3 => Value::GroupStart,
        4 => Value::GroupEnd,
        5 => {
            take(rest, 4)?;
            Value::Number
        }
        _ => return Err(cut("a field has a wire type that does not exist")),
    };
    Ok((key >> 3, value))
}

fn varint(rest: &mut &[u8]) -> Result<u64, Refused> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first().ok_or_else(|| cut("it is cut within a number"))?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Ok(value);
        }
    }
    Err(cut("a number has more than ten bytes"))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Refused> {
    let (taken, after) = rest.split_at_checked(length).ok_or_else(|| cut("it is cut within a field"))?;
    *rest = after;
    Ok(taken)
}

fn cut(problem: &str) -> Refused {
    Refused::Malformed(problem.to_owned())
}

fn within(error: Refused, outer: &str) -> Refused {
    match error {
        Refused::Field(error) => Refused::Field(error.within(outer)),
        other @ (Refused::Malformed(_) | Refused::TooLong { .. } | Refused::Busy | Refused::Stalled(_)) => other,
    }
}
