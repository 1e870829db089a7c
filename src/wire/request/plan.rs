//! Finds the repeated fields of each request in the compiled contract.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

use super::super::{DESCRIPTOR, pb};
use super::bounds::{Bound, UNKNOWN, bound};

/// The requests of all methods, and the messages they contain.
pub(super) struct RequestPlan {
    messages: Vec<MessagePlan>,
    /// The name of each request, and its index in `messages`.
    requests: Vec<(String, usize)>,
    /// The total number of repeated fields.
    pub(super) repeated: usize,
}

/// The fields of a message that are repeated or contain repeated fields.
#[derive(Default)]
pub(super) struct MessagePlan {
    pub(super) fields: Vec<FieldPlan>,
}

/// A field that is repeated or contains repeated fields.
pub(super) struct FieldPlan {
    pub(super) number: u32,
    pub(super) name: String,
    pub(super) repeated: Option<Repeated>,
    /// Whether several elements may be packed into one run of bytes.
    pub(super) is_packed: bool,
    /// The index of the field's message type, if that type has fields to count.
    pub(super) message: Option<usize>,
}

/// A field whose elements are counted.
pub(super) struct Repeated {
    /// The index of the field among all repeated fields.
    pub(super) slot: usize,
    pub(super) bound: Bound,
    /// The memory of one element once decoded, in bytes, not counting its text.
    pub(super) bytes: usize,
}

/// `None` if the contract cannot be decoded, which the tests rule out.
static PLAN: LazyLock<Option<RequestPlan>> =
    LazyLock::new(|| Some(RequestPlan::of(&FileDescriptorSet::decode(DESCRIPTOR).ok()?)));

/// The messages of the contract, by the names with which fields and methods refer to them.
type Messages<'a> = HashMap<String, &'a DescriptorProto>;

/// The plan, and the index of the named request in the plan's messages.
pub(super) fn of_request(name: &str) -> Option<(&'static RequestPlan, usize)> {
    let plan = PLAN.as_ref()?;
    Some((plan, plan.request(name)?))
}

impl RequestPlan {
    fn of(contract: &FileDescriptorSet) -> Self {
        let mut plan = Self { messages: Vec::new(), requests: Vec::new(), repeated: 0 };
        let messages = messages(contract);
        let mut seen = Vec::new();
        for request in requests(contract) {
            let name = last_part(request);
            if plan.request(name).is_none() {
                let at = plan.add(request, &messages, &mut seen);
                plan.requests.push((name.to_owned(), at));
            }
        }
        plan
    }

    fn request(&self, name: &str) -> Option<usize> {
        self.requests.iter().find(|(request, _)| request == name).map(|(_, at)| *at)
    }

    pub(super) fn message(&self, at: usize) -> Option<&MessagePlan> {
        self.messages.get(at)
    }

    /// Adds a message and all messages it contains, unless it was added before.
    fn add<'a>(&mut self, message: &'a str, messages: &Messages<'a>, seen: &mut Vec<(&'a str, usize)>) -> usize {
        if let Some((_, at)) = seen.iter().find(|(name, _)| *name == message) {
            return *at;
        }
        let at = self.messages.len();
        self.messages.push(MessagePlan::default());
        seen.push((message, at));
        let described = messages.get(message).map(|described| described.field.as_slice()).unwrap_or_default();
        let fields = described.iter().filter_map(|field| self.field(message, field, messages, seen)).collect();
        if let Some(added) = self.messages.get_mut(at) {
            added.fields = fields;
        }
        at
    }

    fn field<'a>(
        &mut self,
        parent: &str,
        field: &'a FieldDescriptorProto,
        messages: &Messages<'a>,
        seen: &mut Vec<(&'a str, usize)>,
    ) -> Option<FieldPlan> {
        let inner = message_of(field).map(|message| self.add(message, messages, seen));
        let message = inner.filter(|at| self.message(*at).is_some_and(|message| !message.fields.is_empty()));
        let is_repeated = field.label() == Label::Repeated;
        let repeated = is_repeated.then(|| {
            let name = format!("{}.{}", last_part(parent), field.name());
            self.repeated += 1;
            Repeated { slot: self.repeated - 1, bound: bound(&name).unwrap_or(UNKNOWN), bytes: element_bytes(field) }
        });
        let is_packed = is_repeated && !matches!(field.r#type(), Type::Message | Type::String | Type::Bytes);
        let is_counted = repeated.is_some() || message.is_some();
        is_counted.then(|| FieldPlan {
            number: field.number().cast_unsigned(),
            name: field.name().to_owned(),
            repeated,
            is_packed,
            message,
        })
    }
}

fn messages(contract: &FileDescriptorSet) -> Messages<'_> {
    fn add<'a>(outer: &str, message: &'a DescriptorProto, found: &mut Messages<'a>) {
        let name = format!("{outer}.{}", message.name());
        message.nested_type.iter().for_each(|inner| add(&name, inner, found));
        found.insert(name, message);
    }
    let mut found = Messages::new();
    for file in &contract.file {
        let package = format!(".{}", file.package());
        file.message_type.iter().for_each(|message| add(&package, message, &mut found));
    }
    found
}

/// The names of the messages that the methods take.
fn requests(contract: &FileDescriptorSet) -> impl Iterator<Item = &str> {
    let services = contract.file.iter().flat_map(|file| &file.service);
    services.flat_map(|service| &service.method).map(|method| method.input_type())
}

/// The name of the message that a field holds; a map holds messages of a key and a value.
fn message_of(field: &FieldDescriptorProto) -> Option<&str> {
    (field.r#type() == Type::Message).then(|| field.type_name())
}

/// A message's name without its package.
fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// The memory of one element, at most: a vector can have capacity for twice its elements, and an element has an
/// allocation of its own.
fn element_bytes(field: &FieldDescriptorProto) -> usize {
    const ALLOCATION_BYTES: usize = 32;
    let own_bytes = match message_of(field).map(last_part) {
        Some("RecordObservationRequest") => size_of::<pb::RecordObservationRequest>(),
        Some("Block") => size_of::<pb::Block>(),
        Some("WebhookKey") => size_of::<pb::WebhookKey>(),
        // No other message is repeated in a request today. A future one may be as large as these.
        Some(_) => 1 << 10,
        None => size_of::<String>(),
    };
    2 * own_bytes + ALLOCATION_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeated_fields(message: &str, messages: &Messages<'_>, found: &mut Vec<String>) {
        for field in &messages[message].field {
            if field.label() == Label::Repeated {
                found.push(format!("{}.{}", last_part(message), field.name()));
            }
            if let Some(inner) = message_of(field) {
                repeated_fields(inner, messages, found);
            }
        }
    }

    #[test]
    fn every_repeated_field_of_every_request_has_a_bound() {
        let contract = FileDescriptorSet::decode(DESCRIPTOR).unwrap();
        let mut found = Vec::new();
        requests(&contract).for_each(|request| repeated_fields(request, &messages(&contract), &mut found));
        found.sort();
        found.dedup();
        assert!(found.contains(&"Content.blocks".to_owned()), "{found:?}");
        let missing: Vec<_> = found.iter().filter(|field| bound(field).is_none()).collect();
        assert!(missing.is_empty(), "add a bound for these fields to `bound`: {missing:?}");
        let plan = PLAN.as_ref().unwrap();
        assert_eq!(plan.repeated, found.len());
        assert!(plan.repeated <= super::super::walk::SLOTS);
    }

    #[test]
    fn the_memory_of_every_repeated_message_is_known() {
        let plan = PLAN.as_ref().unwrap();
        let messages = plan.messages.iter().flat_map(|message| &message.fields);
        let repeated = messages.filter(|field| field.repeated.is_some() && field.message.is_some());
        let mut names: Vec<_> = repeated.map(|field| field.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["blocks", "requests", "requests"]);
    }
}
