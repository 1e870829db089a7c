//! Compares how messages are read with how prost-reflect reads them.

use proptest::prelude::*;
use prost::Name;
use prost_reflect::{DeserializeOptions, DynamicMessage, Kind, MessageDescriptor};

use super::super::pb;
use super::{JsonError, Readable, descriptor, from_json};

/// Reads a message by reflection. Second 60 is not treated as [`from_json`] does.
fn by_reflection<M: Name + Default>(json: &str) -> Result<M, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let options = DeserializeOptions::new();
    let dynamic = DynamicMessage::deserialize_with_options(descriptor::<M>().unwrap(), &mut deserializer, &options)?;
    deserializer.end()?;
    Ok(dynamic.transcode_to().unwrap())
}

/// Both read the same message, or none of them reads one and both say where the text is wrong. The column may be that of
/// the beginning of a value or of its end.
fn check<M: Readable + Name + PartialEq + std::fmt::Debug>(json: &str) {
    if json.contains(":60") {
        return;
    }
    match (from_json::<M>(json), by_reflection::<M>(json)) {
        (Ok(read), Ok(expected)) => assert_eq!(read, expected, "{json}"),
        (Err(JsonError { line, column, .. }), Err(expected)) => {
            assert_eq!(line, expected.line(), "{expected}: {json}");
            assert!(column <= expected.column(), "{column}, {expected}: {json}");
        }
        (read, expected) => panic!("{read:?}, expected {expected:?}: {json}"),
    }
}

/// Values that suit some fields, and no others.
const ODD: [&str; 48] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-1",
    "7",
    "1.0",
    "1.5",
    "-2.0",
    "1e3",
    "1E-1",
    "4294967295",
    "4294967296",
    "2147483648",
    "-2147483649",
    "18446744073709551615",
    // The next powers of two would be the largest numbers to reflection, which rounds them to a float first.
    "36893488147419103232",
    "-36893488147419103232",
    "\"\"",
    "\"12\"",
    "\"+12\"",
    "\"-3\"",
    "\"1.0\"",
    "\" 1\"",
    "\"text\"",
    "\"\\u00e4\\ud83d\\ude00\"",
    "\"\\ud83d\"",
    "[]",
    "{}",
    "[null]",
    "[1,\"2\"]",
    "\"2026-05-16T18:00:00Z\"",
    "\"2026-05-16t18:00:00z\"",
    "\"2026-05-16T18:00:00+24:00\"",
    "\"9999-12-31T23:59:59.999999999Z\"",
    "\"0000-01-01T00:00:00Z\"",
    "\"3.5s\"",
    "\"-1s\"",
    "\"1m\"",
    "\"QUI=\"",
    "\"QUI\"",
    "\"QR\"",
    "\"Q\"",
    "\"-_8\"",
    "\"-/8\"",
    "\"QQ=\"",
];

const TIMES: [&str; 12] = [
    "2026-05-16T18:00:00Z",
    "2026-05-16T18:00:00.5Z",
    "2026-05-16T18:00:00.123456789+05:30",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59-00:01",
    "2026-02-29T00:00:00Z",
    "2026-05-16T24:00:00Z",
    "2026-05-16T18:00:00.Z",
    "2026-05-16T18:00:00-12:00",
    "1969-12-31T23:59:59.9999999999Z",
];

/// What to write is chosen by bytes, so that a failing case shrinks.
struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    fn next(&mut self) -> usize {
        self.0.next().copied().unwrap_or_default().into()
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.next() % count == count - 1
    }

    fn of<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.next() % texts.len()]
    }

    /// Writes a message with some of its fields.
    fn message(&mut self, message: &MessageDescriptor, depth: usize, json: &mut String) {
        let (fields, count) = (message.fields().collect::<Vec<_>>(), self.next() % 5);
        json.push('{');
        for number in 0..count {
            if number > 0 {
                json.push(',');
            }
            let field = &fields[self.next() % fields.len()];
            let name = if self.one_in(3) { field.name() } else { field.json_name() };
            json.push_str(&format!("\"{}{name}\":", if self.one_in(60) { "x" } else { "" }));
            if self.one_in(12) {
                json.push_str(self.of(&ODD));
            } else if field.is_list() {
                json.push('[');
                for element in 0..self.next() % 4 {
                    if element > 0 {
                        json.push(',');
                    }
                    self.value(&field.kind(), depth, json);
                }
                json.push(']');
            } else {
                self.value(&field.kind(), depth, json);
            }
        }
        json.push('}');
    }

    fn value(&mut self, kind: &Kind, depth: usize, json: &mut String) {
        let text = match kind {
            Kind::Message(message) => match message.name() {
                "Timestamp" => format!("{:?}", self.of(&TIMES)),
                "Duration" => format!("{:?}", self.of(&["1s", "0.000000001s", "-3.5s", "315576000001s", "1", "s"])),
                _ if depth == 0 => "{}".to_owned(),
                _ => return self.message(message, depth - 1, json),
            },
            Kind::Enum(values) => {
                let values: Vec<_> = values.values().collect();
                let value = &values[self.next() % values.len()];
                if self.one_in(3) { value.number().to_string() } else { format!("{:?}", value.name()) }
            }
            Kind::Bool => self.of(&["true", "false"]).to_owned(),
            Kind::String => format!("{:?}", self.of(&["", "a", "naïve", "\"quoted\"", "sources/press"])),
            Kind::Bytes => format!("{:?}", self.of(&["", "QQ==", "QQ", "QUI=", "-_8=", "+/8=", "QUJD", "QUJDRA==="])),
            Kind::Int32
            | Kind::Int64
            | Kind::Uint32
            | Kind::Uint64
            | Kind::Sint32
            | Kind::Sint64
            | Kind::Fixed32
            | Kind::Fixed64
            | Kind::Sfixed32
            | Kind::Sfixed64
            | Kind::Float
            | Kind::Double => self.of(&["0", "1", "255", "\"4294967295\"", "-1", "1e2"]).to_owned(),
        };
        json.push_str(&text);
    }

    /// Removes, repeats or replaces a few characters.
    fn mutate(&mut self, json: &str) -> String {
        let mut characters: Vec<char> = json.chars().collect();
        for _ in 0..=self.next() % 3 {
            let at = (self.next() * 256 + self.next()) % characters.len().max(1);
            match (self.next() % 4, characters.get(at).copied()) {
                (0, Some(_)) => drop(characters.remove(at)),
                (1, Some(character)) => characters.insert(at, character),
                (2, Some(_)) => characters[at] = ['"', ',', '0', 'T', ':', '}', 'e', '\n'][self.next() % 8],
                _ => characters.truncate(at),
            }
        }
        characters.into_iter().collect()
    }
}

fn check_written<M: Readable + Name + PartialEq + std::fmt::Debug>(choices: &mut Choices<'_>) {
    let mut json = String::new();
    choices.message(&descriptor::<M>().unwrap(), 5, &mut json);
    check::<M>(&json);
    check::<M>(&choices.mutate(&json));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn generated_code_reads_what_reflection_reads(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut choices = Choices(bytes.iter());
        match choices.next() % 8 {
            0 => check_written::<pb::Article>(&mut choices),
            1 => check_written::<pb::Revision>(&mut choices),
            2 => check_written::<pb::ArticleFilter>(&mut choices),
            3 => check_written::<pb::Content>(&mut choices),
            _ => check_written::<pb::ReplayRequest>(&mut choices),
        }
    }
}

/// Each odd value in each kind of field.
#[test]
fn odd_values_are_read_as_by_reflection() {
    for value in ODD.into_iter().chain(["\"QQ=\"", "\"====\"", "\"QUI==\"", "\"Q===\"", "\"QUJDRA=\"", "\"QUJD=\""]) {
        for field in ["observeTime", "validateOnly", "requestId", "urls", "content", "coalesceWithin", "original"] {
            check::<pb::RecordObservationRequest>(&format!("{{\"{field}\":{value}}}"));
        }
        check::<pb::RecordObservationRequest>(&format!("{{\"original\":{{\"data\":{value},\"sizeBytes\":{value}}}}}"));
        check::<pb::RecordObservationRequest>(&format!("{{\"precondition\":{{\"revisionNumber\":{value}}}}}"));
        check::<pb::RecordAbsenceRequest>(&format!("{{\"reason\":{value},\"httpStatus\":{value}}}"));
        check::<pb::RecordAbsenceRequest>(&format!("{{\"name\":{value},\"url\":{value}}}"));
        check::<pb::Content>(&format!("{{\"blocks\":[{value},{{\"list\":{{\"ordered\":{value}}}}}]}}"));
    }
    for time in TIMES {
        check::<pb::RecordObservationRequest>(&format!("{{\"observe_time\":\"{time}\"}}"));
    }
}
