//! Reads messages from proto3 JSON: what is the same for all of them. `build/json.rs` generates how each is read.
//!
//! A message is filled while the text is parsed, without a description of it or an intermediate form. An import reads
//! every revision of a collection here.
//!
//! As the specification requires, fields may have their lowerCamelCase or original names, null means that a field is
//! unset, integers may be strings, enum values may be numbers, and both alphabets of base64 are read. Of two values for
//! a field, the last counts; two for a oneof are an error, and so is an unknown field or enum value.

use std::fmt;
use std::marker::PhantomData;
use std::sync::LazyLock;

use data_encoding::{Encoding, HEXLOWER, Specification};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};

use super::super::{pb, timestamp_to_pb};
use crate::model::Timestamp;

/// A message that can be read from JSON.
pub trait Readable: Default {
    /// The number of the field with this name.
    fn field(name: &str) -> Option<u32>;

    /// Reads the value of the field with this number.
    fn read<'de, A: MapAccess<'de>>(&mut self, field: u32, map: &mut A) -> Result<(), A::Error>;
}

/// An enum that can be read from JSON.
trait Named {
    /// The number of the value with this name.
    fn number(name: &str) -> Option<i32>;
}

#[expect(clippy::all, reason = "generated from proto/dateline/v1")]
mod contract {
    //! The messages of the contract.
    use super::*;

    include!(concat!(env!("OUT_DIR"), "/dateline_json.rs"));
}

/// Reads one message.
pub(super) fn message<'de, M: Readable, D: Deserializer<'de>>(from: D) -> Result<M, D::Error> {
    Object::<M>::deserialize(from)
}

/// How a single value is read.
trait Kind {
    type Value;

    fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Self::Value, D::Error>;
}

/// Reads the value of a field; `None` for null.
fn value<'de, K: Kind, A: MapAccess<'de>>(map: &mut A) -> Result<Option<K::Value>, A::Error> {
    map.next_value_seed(Nullable::<One<K>>(PhantomData))
}

/// Reads the values of a repeated field; `None` for null.
fn list<'de, K: Kind, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Vec<K::Value>>, A::Error> {
    map.next_value_seed(Nullable::<List<K>>(PhantomData))
}

/// Sets a oneof, which must not be set.
fn set<T, E: Error>(oneof: &mut Option<T>, value: T, name: &str) -> Result<(), E> {
    if oneof.replace(value).is_some() {
        return Err(E::custom(format_args!("multiple fields provided for oneof '{name}'")));
    }
    Ok(())
}

struct Nullable<K>(PhantomData<K>);

impl<'de, K: Kind> DeserializeSeed<'de> for Nullable<K> {
    type Value = Option<K::Value>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_option(self)
    }
}

impl<'de, K: Kind> Visitor<'de> for Nullable<K> {
    type Value = Option<K::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or null")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        K::deserialize(from).map(Some)
    }
}

struct One<K>(PhantomData<K>);

impl<'de, K: Kind> DeserializeSeed<'de> for One<K> {
    type Value = K::Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        K::deserialize(from)
    }
}

impl<K: Kind> Kind for One<K> {
    type Value = K::Value;

    fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Self::Value, D::Error> {
        K::deserialize(from)
    }
}

struct List<K>(PhantomData<K>);

impl<K: Kind> Kind for List<K> {
    type Value = Vec<K::Value>;

    fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_seq(Self(PhantomData))
    }
}

impl<'de, K: Kind> Visitor<'de> for List<K> {
    type Value = Vec<K::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = elements.next_element_seed(One::<K>(PhantomData))? {
            values.push(value);
        }
        Ok(values)
    }
}

/// A message of the contract.
struct Object<M>(PhantomData<M>);

impl<M: Readable> Kind for Object<M> {
    type Value = M;

    fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<M, D::Error> {
        from.deserialize_map(Self(PhantomData))
    }
}

impl<'de, M: Readable> Visitor<'de> for Object<M> {
    type Value = M;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<M, A::Error> {
        let mut message = M::default();
        while let Some(field) = map.next_key_seed(Field::<M>(PhantomData))? {
            message.read(field, &mut map)?;
        }
        Ok(message)
    }
}

/// The name of a field.
struct Field<M>(PhantomData<M>);

impl<'de, M: Readable> DeserializeSeed<'de> for Field<M> {
    type Value = u32;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<u32, D::Error> {
        from.deserialize_str(self)
    }
}

impl<M: Readable> Visitor<'_> for Field<M> {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<u32, E> {
        M::field(name).ok_or_else(|| E::custom(format_args!("unrecognized field name '{name}'")))
    }
}

/// Reads a value from a string, or from what else `visit` adds.
macro_rules! kind {
    ($kind:ident $(<$of:ident: $bound:path>)?, $value:ty, $by:ident, $expecting:expr, { $($visit:item)* }) => {
        impl $(<$of: $bound>)? Kind for $kind $(<$of>)? {
            type Value = $value;

            fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<$value, D::Error> {
                from.$by(Self::NEW)
            }
        }

        impl $(<$of: $bound>)? Visitor<'_> for $kind $(<$of>)? {
            type Value = $value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($expecting)
            }

            $($visit)*
        }
    };
}

struct Text;

impl Text {
    const NEW: Self = Self;
}

kind!(Text, String, deserialize_string, "a string", {
    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_string<E>(self, text: String) -> Result<String, E> {
        Ok(text)
    }
});

struct Bool;

impl Bool {
    const NEW: Self = Self;
}

kind!(Bool, bool, deserialize_bool, "a boolean", {
    fn visit_bool<E>(self, value: bool) -> Result<bool, E> {
        Ok(value)
    }
});

/// An integer type.
trait Int: TryFrom<i128> + std::str::FromStr<Err = std::num::ParseIntError> {
    const EXPECTING: &'static str;
}

impl Int for i32 {
    const EXPECTING: &'static str = "a 32-bit signed integer";
}

impl Int for i64 {
    const EXPECTING: &'static str = "a 64-bit signed integer or decimal string";
}

impl Int for u32 {
    const EXPECTING: &'static str = "a 32-bit unsigned integer or decimal string";
}

impl Int for u64 {
    const EXPECTING: &'static str = "a 64-bit unsigned integer or decimal string";
}

struct Integer<I>(PhantomData<I>);

impl<I> Integer<I> {
    const NEW: Self = Self(PhantomData);
}

impl<I: Int> Integer<I> {
    fn of<E: Error>(value: i128) -> Result<I, E> {
        I::try_from(value).map_err(|_| E::custom(format_args!("the number {value} is out of range")))
    }
}

kind!(Integer<I: Int>, I, deserialize_any, I::EXPECTING, {
    fn visit_str<E: Error>(self, text: &str) -> Result<I, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<I, E> {
        Self::of(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<I, E> {
        Self::of(value.into())
    }

    /// A number with a point or an exponent, such as 1e3.
    fn visit_f64<E: Error>(self, value: f64) -> Result<I, E> {
        if value.fract() != 0.0 {
            return Err(E::invalid_type(Unexpected::Float(value), &self));
        }
        #[expect(clippy::cast_possible_truncation, reason = "it is a whole number, and what is too large saturates")]
        Self::of(value as i128)
    }
});

struct Enum<N>(PhantomData<N>);

impl<N> Enum<N> {
    const NEW: Self = Self(PhantomData);
}

kind!(Enum<N: Named>, i32, deserialize_any, "a string or integer", {
    fn visit_str<E: Error>(self, name: &str) -> Result<i32, E> {
        N::number(name).ok_or_else(|| E::custom(format_args!("unrecognized enum value '{name}'")))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<i32, E> {
        Integer::of(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<i32, E> {
        Integer::of(number.into())
    }
});

struct Base64;

impl Base64 {
    const NEW: Self = Self;
}

kind!(Base64, Vec<u8>, deserialize_str, "a base64-encoded string", {
    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<u8>, E> {
        from_base64(text)
    }
});

/// A digest or an id: 16 or 32 bytes in hexadecimal; or in base64, as the specification has it.
struct Digest;

impl Digest {
    const NEW: Self = Self;
}

kind!(Digest, Vec<u8>, deserialize_str, "a base64-encoded string", {
    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<u8>, E> {
        match HEXLOWER.decode(text.as_bytes()) {
            Ok(bytes) if matches!(bytes.len(), 16 | 32) => Ok(bytes),
            Ok(_) | Err(_) => from_base64(text),
        }
    }
});

fn from_base64<E: Error>(text: &str) -> Result<Vec<u8>, E> {
    let symbols = text.trim_end_matches('=');
    let (unused, padding) = (4 - symbols.len() % 4, text.len() - symbols.len());
    let encoding = if symbols.contains(['-', '_']) { &*URL_SAFE } else { &*STANDARD };
    match encoding.decode(symbols.as_bytes()) {
        Ok(bytes) if padding == 0 || (unused < 3 && padding <= unused) => Ok(bytes),
        Ok(_) => Err(E::custom("invalid base64: there are too many = at the end")),
        Err(error) => Err(E::custom(format_args!("invalid base64: {error}"))),
    }
}

static STANDARD: LazyLock<Encoding> = LazyLock::new(|| lenient(&data_encoding::BASE64_NOPAD));
static URL_SAFE: LazyLock<Encoding> = LazyLock::new(|| lenient(&data_encoding::BASE64URL_NOPAD));

/// The encoding, with any bits in the unused ones of the last symbol.
fn lenient(encoding: &Encoding) -> Encoding {
    let lenient = Specification { check_trailing_bits: false, ..encoding.specification() };
    lenient.encoding().unwrap_or_else(|_| encoding.clone())
}

struct Time;

impl Time {
    const NEW: Self = Self;
}

kind!(Time, prost_types::Timestamp, deserialize_str, "an RFC 3339 timestamp", {
    fn visit_str<E: Error>(self, text: &str) -> Result<prost_types::Timestamp, E> {
        let invalid = || E::custom(format_args!("{text:?} is not an RFC 3339 timestamp such as 2026-05-16T18:00:00Z"));
        if !is_rfc3339(text) {
            return Err(invalid());
        }
        // prost-types reads second 60 as second 59 of the same minute, so that the order of two times could be reversed.
        if text.contains(":60") {
            let instant = text.parse::<Timestamp>();
            return instant.map(timestamp_to_pb).map_err(|error| E::custom(format_args!("{text:?}: {error}")));
        }
        let time: prost_types::Timestamp = text.parse().map_err(|_| invalid())?;
        if (SECONDS_MIN..=SECONDS_MAX).contains(&time.seconds) { Ok(time) } else { Err(invalid()) }
    }
});

/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, in seconds since 1970: the range of a `Timestamp`.
const SECONDS_MIN: i64 = -62_135_596_800;
const SECONDS_MAX: i64 = 253_402_300_799;

/// Whether a text has the form of RFC 3339, with uppercase letters as proto3 JSON requires.
fn is_rfc3339(text: &str) -> bool {
    let Some((clock, rest)) = text.split_at_checked(19) else { return false };
    let is_clock = clock.bytes().zip(b"0000-00-00T00:00:00").all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        _ => byte == *form,
    });
    let zone = match rest.strip_prefix('.') {
        Some(rest) => {
            let zone = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
            if zone.len() == rest.len() {
                return false;
            }
            zone
        }
        None => rest,
    };
    let is_offset = |offset: &str| match offset.as_bytes() {
        [b'+' | b'-', hours @ .., b':', m, n] => hours.len() == 2 && hours.iter().chain([m, n]).all(u8::is_ascii_digit),
        _ => false,
    };
    is_clock && (zone == "Z" || is_offset(zone))
}

struct Span;

impl Span {
    const NEW: Self = Self;
}

kind!(Span, prost_types::Duration, deserialize_str, "a duration", {
    fn visit_str<E: Error>(self, text: &str) -> Result<prost_types::Duration, E> {
        let invalid = || E::custom(format_args!("{text:?} is not a duration in seconds such as \"3600s\""));
        let duration: prost_types::Duration = text.parse().map_err(|_| invalid())?;
        let is_in_range = duration.seconds.abs() <= super::super::DURATION_MAX.seconds;
        if is_in_range { Ok(duration) } else { Err(invalid()) }
    }
});
