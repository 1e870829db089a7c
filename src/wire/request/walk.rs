//! Walks the tags of a message once, without allocating, and counts the elements of its repeated fields. Source:
//! <https://protobuf.dev/programming-guides/encoding/>.

use super::super::FieldError;
use super::bounds::{Bounds, ELEMENTS_BYTES_MAX};
use super::error::RequestError;
use super::plan::{self, FieldPlan, Repeated, RequestPlan};
use crate::model::check::too_many_elements;

/// The number of repeated fields that can be counted.
pub(super) const SLOTS: usize = 32;
/// How deeply messages may be nested; prost has the same limit.
const DEPTH_MAX: usize = 100;

/// For each repeated field, by its slot, how many elements it has within one containing message.
type Counts = [usize; SLOTS];

/// The memory that the elements of a request will take, in bytes, not counting their text; or why the request is
/// rejected.
pub(super) fn elements_bytes(bytes: &[u8], request: &str, bounds: &Bounds) -> Result<usize, RequestError> {
    let (plan, message) = plan::of_request(request).ok_or_else(|| malformed("its method is not in the contract"))?;
    let mut walk = MessageWalk { plan, bounds, bytes: 0 };
    walk.message(bytes, message, 0, &mut [0; SLOTS])?;
    Ok(walk.bytes)
}

struct MessageWalk<'a> {
    plan: &'a RequestPlan,
    bounds: &'a Bounds,
    /// The memory of the elements counted so far, in bytes.
    bytes: usize,
}

/// The value of a field as encoded.
enum EncodedValue<'a> {
    Number,
    Bytes(&'a [u8]),
    GroupStart,
    GroupEnd,
}

impl MessageWalk<'_> {
    fn message(&mut self, mut rest: &[u8], at: usize, depth: usize, counts: &mut Counts) -> Result<(), RequestError> {
        let plan = self.plan;
        let Some(message) = plan.message(at) else { return Ok(()) };
        if depth > DEPTH_MAX {
            return Err(RequestError::Malformed("its messages are nested too deeply".to_owned()));
        }
        // The contract has no groups, so their content is skipped.
        let mut groups = 0_usize;
        while !rest.is_empty() {
            let (number, value) = next_field(&mut rest)?;
            match value {
                EncodedValue::GroupStart => groups += 1,
                EncodedValue::GroupEnd => {
                    groups = groups.checked_sub(1).ok_or_else(|| malformed("a group ends that never started"))?
                }
                EncodedValue::Number | EncodedValue::Bytes(_) if groups > 0 => {}
                EncodedValue::Number | EncodedValue::Bytes(_) => {
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
        value: &EncodedValue<'_>,
        depth: usize,
        counts: &mut Counts,
    ) -> Result<(), RequestError> {
        let bytes = match value {
            EncodedValue::Bytes(bytes) => *bytes,
            EncodedValue::Number | EncodedValue::GroupStart | EncodedValue::GroupEnd => &[],
        };
        let Some(repeated) = &field.repeated else {
            // A message field that occurs twice is merged into one message, so both occurrences count.
            return match field.message {
                Some(inner) => {
                    self.message(bytes, inner, depth + 1, counts).map_err(|error| within(error, &field.name))
                }
                None => Ok(()),
            };
        };
        let elements = match value {
            // Each number ends with a byte whose highest bit is not set.
            EncodedValue::Bytes(run) if field.is_packed => run.iter().filter(|byte| **byte < 0x80).count(),
            EncodedValue::Bytes(_) | EncodedValue::Number | EncodedValue::GroupStart | EncodedValue::GroupEnd => 1,
        };
        let count = self.count(field, repeated, elements, counts)?;
        let Some(inner) = field.message else { return Ok(()) };
        let walked = self.message(bytes, inner, depth + 1, &mut [0; SLOTS]);
        walked.map_err(|error| within(error, &format!("{}[{}]", field.name, count - 1)))
    }

    /// Counts elements of a field, and returns how many it has so far.
    fn count(
        &mut self,
        field: &FieldPlan,
        repeated: &Repeated,
        elements: usize,
        counts: &mut Counts,
    ) -> Result<usize, RequestError> {
        let rejection = |problem| {
            let (path, kind) = (field.name.clone(), repeated.bound.kind);
            RequestError::Field(FieldError { path, problem, kind })
        };
        let count = counts.get_mut(repeated.slot).ok_or_else(|| rejection("cannot be counted".to_owned()))?;
        *count += elements;
        let elements_max = (repeated.bound.elements_max)(&self.bounds.limits);
        if *count > elements_max {
            return Err(rejection(too_many_elements(elements_max)));
        }
        self.bytes += elements * repeated.bytes;
        if self.bytes > ELEMENTS_BYTES_MAX {
            let problem = "brings the lists of this message to more than 64 MiB of elements once decoded; split it \
                           into several messages";
            return Err(rejection(problem.to_owned()));
        }
        Ok(*count)
    }
}

/// Reads the next field of a message. Its key has the wire type in the lowest three bits, and the field number above
/// them.
fn next_field<'a>(rest: &mut &'a [u8]) -> Result<(u32, EncodedValue<'a>), RequestError> {
    let key = u32::try_from(varint(rest)?).map_err(|_| malformed("a field number is too large"))?;
    let value = match key & 7 {
        0 => {
            varint(rest)?;
            EncodedValue::Number
        }
        1 => {
            take(rest, 8)?;
            EncodedValue::Number
        }
        2 => {
            let length = varint(rest)?;
            EncodedValue::Bytes(take(rest, usize::try_from(length).unwrap_or(usize::MAX))?)
        }
        3 => EncodedValue::GroupStart,
        4 => EncodedValue::GroupEnd,
        5 => {
            take(rest, 4)?;
            EncodedValue::Number
        }
        _ => return Err(malformed("a field has a wire type that does not exist")),
    };
    Ok((key >> 3, value))
}

fn varint(rest: &mut &[u8]) -> Result<u64, RequestError> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first().ok_or_else(|| malformed("it ends in the middle of a number"))?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Ok(value);
        }
    }
    Err(malformed("a number has more than ten bytes"))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], RequestError> {
    let (taken, after) = rest.split_at_checked(length).ok_or_else(|| malformed("it ends in the middle of a field"))?;
    *rest = after;
    Ok(taken)
}

fn malformed(problem: &str) -> RequestError {
    RequestError::Malformed(problem.to_owned())
}

fn within(error: RequestError, outer: &str) -> RequestError {
    match error {
        RequestError::Field(error) => RequestError::Field(error.within(outer)),
        other @ (RequestError::Malformed(_)
        | RequestError::TooLong { .. }
        | RequestError::Busy
        | RequestError::Stalled(_)) => other,
    }
}
