//! Generates the implementations of `wire::json::read::Readable`: how the messages of the contract are read from proto3
//! JSON.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// The messages that are read from JSON. Those that they contain are read too.
const READ: [&str; 6] =
    ["ReplayRequest", "RecordObservationRequest", "Article", "Revision", "Content", "ArticleFilter"];

const PACKAGE: &str = ".dateline.v1.";

/// Generates the code for [`READ`].
pub(super) fn generate(files: &FileDescriptorSet) -> Result<String, Box<dyn Error>> {
    let (mut messages, mut enums) = (BTreeSet::new(), BTreeSet::new());
    let mut rest: Vec<String> = READ.map(str::to_owned).into();
    let mut code = String::new();
    while let Some(name) = rest.pop() {
        if !messages.insert(name.clone()) {
            continue;
        }
        let message = message(files, &name).ok_or_else(|| format!("there is no message {name}"))?;
        for field in &message.field {
            let Some(contained) = field.type_name().strip_prefix(PACKAGE).map(str::to_owned) else { continue };
            if field.r#type() == Type::Message {
                rest.push(contained);
            } else if enums.insert(contained.clone()) {
                write!(
                    code,
                    "impl Named for pb::{contained} {{\n    fn number(name: &str) -> Option<i32> {{\n        \
                     Self::from_str_name(name).map(i32::from)\n    }}\n}}\n"
                )?;
            }
        }
        readable(&name, message, &mut code)?;
    }
    Ok(code)
}

fn message<'a>(files: &'a FileDescriptorSet, name: &str) -> Option<&'a DescriptorProto> {
    let of_contract = files.file.iter().filter(|file| file.package() == "dateline.v1");
    of_contract.flat_map(|file| &file.message_type).find(|message| message.name() == name)
}

fn readable(name: &str, message: &DescriptorProto, code: &mut String) -> Result<(), Box<dyn Error>> {
    let (mut names, mut reads) = (String::new(), String::new());
    for field in &message.field {
        let (proto, json, number) = (field.name(), field.json_name(), field.number());
        let both = if proto == json { format!("{proto:?}") } else { format!("{json:?} | {proto:?}") };
        writeln!(names, "            {both} => {number},")?;
        writeln!(reads, "            {number} => {},", read(name, message, field)?)?;
    }
    write!(
        code,
        "impl Readable for pb::{name} {{\n    fn field(name: &str) -> Option<u32> {{\n        Some(match name \
         {{\n{names}            _ => return None,\n        }})\n    }}\n\n    fn read<'de, A: MapAccess<'de>>(&mut \
         self, field: u32, map: &mut A) -> Result<(), A::Error> {{\n        match field {{\n{reads}            _ => \
         {{}}\n        }}\n        Ok(())\n    }}\n}}\n"
    )?;
    Ok(())
}

/// The code that reads the value of a field.
fn read(name: &str, message: &DescriptorProto, field: &FieldDescriptorProto) -> Result<String, Box<dyn Error>> {
    let (kind, ident) = (kind(field)?, ident(field.name()));
    let value = if is_bytes(field) { "value.into()" } else { "value" };
    if field.label() == Label::Repeated {
        return Ok(format!("if let Some(values) = list::<{kind}, A>(map)? {{ self.{ident} = values }}"));
    }
    let set = match field.oneof_index {
        Some(_) if field.proto3_optional() => format!("set(&mut self.{ident}, {value}, {ident:?})?"),
        Some(index) => {
            let index = usize::try_from(index)?;
            let oneof = message.oneof_decl.get(index).ok_or("a field has no oneof")?.name();
            let (module, choice, variant) = (snake(name), camel(oneof), camel(field.name()));
            format!("set(&mut self.{}, pb::{module}::{choice}::{variant}({value}), {oneof:?})?", self::ident(oneof))
        }
        None if field.r#type() == Type::Message => format!("self.{ident} = Some({value})"),
        None => format!("self.{ident} = {value}"),
    };
    Ok(format!("if let Some(value) = value::<{kind}, A>(map)? {{ {set} }}"))
}

/// The type in `wire::json::read` that reads one value.
fn kind(field: &FieldDescriptorProto) -> Result<String, Box<dyn Error>> {
    let of_contract = |kind: &str| match field.type_name().strip_prefix(PACKAGE) {
        Some(name) => Ok(format!("{kind}<pb::{name}>")),
        None => Err(format!("{} cannot be read from JSON", field.type_name())),
    };
    Ok(match field.r#type() {
        Type::String => "Text".to_owned(),
        Type::Bytes if field.name() == "data" => "Base64".to_owned(),
        Type::Bytes => "Digest".to_owned(),
        Type::Bool => "Bool".to_owned(),
        Type::Int32 => "Integer<i32>".to_owned(),
        Type::Int64 => "Integer<i64>".to_owned(),
        Type::Uint32 => "Integer<u32>".to_owned(),
        Type::Uint64 => "Integer<u64>".to_owned(),
        Type::Enum => of_contract("Enum")?,
        Type::Message if field.type_name() == ".google.protobuf.Timestamp" => "Time".to_owned(),
        Type::Message if field.type_name() == ".google.protobuf.Duration" => "Span".to_owned(),
        Type::Message => of_contract("Object")?,
        other @ (Type::Double
        | Type::Float
        | Type::Fixed64
        | Type::Fixed32
        | Type::Group
        | Type::Sfixed32
        | Type::Sfixed64
        | Type::Sint32
        | Type::Sint64) => return Err(format!("a {} cannot be read from JSON", other.as_str_name()).into()),
    })
}

fn is_bytes(field: &FieldDescriptorProto) -> bool {
    field.r#type() == Type::Bytes
}

/// The name of a field in Rust, as prost generates it.
fn ident(name: &str) -> String {
    if ["type", "match", "move", "ref", "use", "where", "loop", "in", "as", "mod"].contains(&name) {
        format!("r#{name}")
    } else {
        name.to_owned()
    }
}

fn camel(snake: &str) -> String {
    let upper = |word: &str| match word.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + rest,
        None => String::new(),
    };
    snake.split('_').map(upper).collect()
}

fn snake(camel: &str) -> String {
    super::contract::snake_case(camel)
}
