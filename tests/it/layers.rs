//! Checks src/ against docs/ARCHITECTURE.md: which module may use which, and in which files some names may occur. The
//! compiler does not enforce boundaries between modules of one crate, so this test does.
//!
//! It reads tokens and resolves paths to their top-level module. It cannot see through re-exports, so code in src/ names
//! modules by their own path, and not by what `lib.rs` re-exports for users of the library. Comments, literals and `#[cfg(test)]` items are
//! ignored.

use std::fs;
use std::path::Path;

/// Each module, and the other modules that it may use.
const MAY_USE: [(&str, &[&str]); 28] = [
    ("model", &[]),
    ("unix_socket", &[]),
    ("clock", &["model"]),
    ("histogram", &[]),
    ("config", &["model"]),
    ("telemetry", &["config", "clock"]),
    ("protobuf", &["model"]),
    ("store", &["protobuf", "model"]),
    ("access", &["store", "model", "clock"]),
    ("backup", &["store", "model"]),
    ("proof", &["store", "model"]),
    ("archive", &["backup", "store", "model", "clock", "histogram"]),
    ("wire", &["model"]),
    ("webhook_keys", &["store", "model"]),
    ("service", &["wire", "access", "archive", "proof", "protobuf", "webhook_keys", "model"]),
    ("ingest", &["model"]),
    ("fetch", &[]),
    ("export", &["model"]),
    ("client", &["unix_socket", "wire", "proof", "model"]),
    ("capture", &["client", "wire", "ingest", "fetch", "export", "model", "clock"]),
    (
        "server",
        &[
            "unix_socket",
            "service",
            "wire",
            "access",
            "archive",
            "proof",
            "webhook_keys",
            "model",
            "clock",
            "histogram",
        ],
    ),
    ("metrics", &["web", "server", "service", "archive", "model", "clock", "histogram"]),
    ("web", &["server", "service", "wire", "export", "access", "archive", "model", "histogram"]),
    ("evidence", &["proof", "wire", "model"]),
    ("witness", &["server", "archive", "proof", "fetch", "model"]),
    ("webhook", &["server", "webhook_keys", "wire", "archive", "fetch", "model"]),
    (
        "cli",
        &[
            "witness",
            "webhook",
            "capture",
            "client",
            "wire",
            "backup",
            "proof",
            "evidence",
            "ingest",
            "fetch",
            "export",
            "model",
            "config",
            "server",
            "metrics",
            "web",
            "telemetry",
            "unix_socket",
        ],
    ),
    ("main", &["cli"]),
];

/// Files that may use a module which the rest of their module may not: those that open an archive or wait for one, the commands that
/// work on an archive offline, and the one that parses times given by users.
const EXCEPTIONS: [(&str, &str); 12] = [
    ("cli/connect.rs", "archive"),
    ("cli/connect.rs", "clock"),
    ("cli/sharing.rs", "archive"),
    ("cli/waiting.rs", "archive"),
    ("cli/serve/check.rs", "archive"),
    ("cli/serve/mod.rs", "archive"),
    ("cli/serve/pages.rs", "archive"),
    ("cli/times.rs", "clock"),
    ("cli/compact.rs", "archive"),
    ("cli/key.rs", "archive"),
    ("cli/verify.rs", "archive"),
    ("cli/restore.rs", "archive"),
];

/// The modules that may use gRPC and protobuf.
const GRPC_MODULES: [&str; 8] = ["wire", "protobuf", "service", "client", "capture", "server", "web", "cli"];

/// The files of the store that convert the model to stored protobuf and back.
const STORED_CODE: [&str; 7] = [
    "store/content_encoding.rs",
    "store/content.rs",
    "store/logfile/messages.rs",
    "store/stats.rs",
    "store/head.rs",
    "store/record.rs",
    "store/subscription.rs",
];

/// The only module that may use sled: this file, and the folder next to it.
const SLED_FILE: &str = "store/engine/sled.rs";

/// The only file that may read the system clock.
const CLOCK_FILE: &str = "clock.rs";

/// The maximum length of a file in lines, including its tests.
const LINES_MAX: usize = 600;

#[test]
fn src_keeps_to_the_architecture() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    read_sources(&src, "", &mut files).unwrap();
    assert!(files.iter().any(|(file, _)| file == "lib.rs"), "no lib.rs in {}", src.display());
    let violations: Vec<String> = files.iter().flat_map(|(file, source)| violations(file, source)).collect();
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}

/// Collects the Rust files under `directory` in order, named by their path from src/ with `/`.
fn read_sources(directory: &Path, above: &str, files: &mut Vec<(String, String)>) -> std::io::Result<()> {
    let mut entries = fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = format!("{above}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            read_sources(&entry.path(), &format!("{name}/"), files)?;
        } else if name.ends_with(".rs") {
            files.push((name, fs::read_to_string(entry.path())?));
        }
    }
    Ok(())
}

/// The violations in a file, as `src/file:line: message`.
fn violations(file: &str, source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let lines = source.lines().count();
    if lines > LINES_MAX {
        found.push((lines, format!("the file has {lines} lines; at most {LINES_MAX} are allowed")));
    }
    let tokens = without_tests(tokens(source));
    check_layers(file, &tokens, &mut found);
    check_names(file, &tokens, &mut found);
    found.sort();
    found.dedup();
    found.into_iter().map(|(line, message)| format!("src/{file}:{line}: {message}")).collect()
}

/// The modules from the crate root to the one in this file; empty for lib.rs and main.rs.
fn module_path(file: &str) -> Vec<&str> {
    let path = file.strip_suffix(".rs").unwrap_or(file);
    let mut modules: Vec<&str> = path.split('/').collect();
    if modules.last() == Some(&"mod") || path == "lib" || path == "main" {
        modules.pop();
    }
    modules
}

fn check_layers(file: &str, tokens: &[Token<'_>], found: &mut Vec<(usize, String)>) {
    // lib.rs declares all modules.
    if file == "lib.rs" {
        return;
    }
    let module = module_path(file);
    let owner = module.first().copied().unwrap_or("main");
    let Some((_, may_use)) = MAY_USE.iter().find(|(name, _)| *name == owner) else {
        found.push((1, format!("the module `{owner}` is not in the table of modules")));
        return;
    };
    for used in modules_used(&module, tokens) {
        let known = MAY_USE.iter().any(|(name, _)| *name == used.text);
        let excepted = EXCEPTIONS.contains(&(file, used.text));
        if !known {
            found.push((used.line, format!("`{}` at the crate root is not in the table of modules", used.text)));
        } else if used.text != owner && !may_use.contains(&used.text) && !excepted {
            let allowed = if may_use.is_empty() { "nothing".to_owned() } else { may_use.join(", ") };
            found.push((used.line, format!("`{owner}` uses `{}`, but may only use {allowed}", used.text)));
        }
    }
}

fn check_names(file: &str, tokens: &[Token<'_>], found: &mut Vec<(usize, String)>) {
    let owner = module_path(file).first().copied().unwrap_or_default();
    for (at, token) in tokens.iter().enumerate() {
        let mut near = [""; 5];
        for (place, text) in near.iter_mut().enumerate() {
            *text = (at + place).checked_sub(2).and_then(|index| tokens.get(index)).map_or("", |token| token.text);
        }
        let [before_last, last, name, next, after_next] = near;
        // `self::sled` is our module; `sled` and `::sled` are the crate.
        let root = last != "::" || !is_word(before_last) || is_before_path(before_last);
        let mut refuse = |message: &str| found.push((token.line, format!("`{name}` {message}")));
        if root && is_grpc(name) && !may_know_grpc(file, owner) && (next, after_next) != ("::", "include_proto") {
            refuse("is known to wire, service, client, server, cli and the stored code of store only");
        }
        if root && name == "sled" && (next == "::" || matches!(last, "use" | "crate")) && !may_use_sled(file) {
            refuse(&format!("may only occur in src/{SLED_FILE} and in its folder"));
        }
        let clock = matches!(name, "SystemTime" | "Timestamp" | "Zoned") && (next, after_next) == ("::", "now");
        if clock && file != CLOCK_FILE {
            refuse(&format!("may only be read in src/{CLOCK_FILE}"));
        }
    }
}

fn may_use_sled(file: &str) -> bool {
    file == SLED_FILE || SLED_FILE.strip_suffix(".rs").is_some_and(|folder| Path::new(file).starts_with(folder))
}

/// Whether a path can begin after this word, because the word is a keyword and not a path segment.
fn is_before_path(word: &str) -> bool {
    matches!(word, "as" | "const" | "dyn" | "else" | "for" | "if" | "impl" | "in" | "match" | "mut" | "return" | "use")
}

fn is_grpc(name: &str) -> bool {
    let family = name.split_once('_').map_or(name, |(family, _)| family);
    matches!(family, "tonic" | "prost")
}

fn may_know_grpc(file: &str, owner: &str) -> bool {
    GRPC_MODULES.contains(&owner) || STORED_CODE.contains(&file)
}

/// The first segment after the crate root of each path that starts there, in a file with the module `module`.
fn modules_used<'a>(module: &[&str], tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut used = Vec::new();
    // Depth of inline modules in the file, and the brace depth at which each of them began.
    let (mut depth, mut inline) = (0_usize, Vec::new());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let texts =
            |range: std::ops::Range<usize>| tokens.get(range).unwrap_or_default().iter().map(|token| token.text);
        match token.text {
            "{" => {
                depth += 1;
                if texts(at.saturating_sub(2)..at).next() == Some("mod") {
                    inline.push(depth);
                }
            }
            "}" => {
                inline.pop_if(|began| *began == depth);
                depth = depth.saturating_sub(1);
            }
            "crate" | "super" | "self" | "dateline" if texts(at + 1..at + 2).next() == Some("::") => {
                let follows = at.checked_sub(1).is_some_and(|before| texts(before..at).next() == Some("::"));
                let outside = token.text == "dateline" && !module.is_empty();
                if !follows && !outside {
                    let mut paths = Vec::new();
                    at = read_paths(tokens, at, &mut Vec::new(), &mut paths);
                    used.extend(paths.iter().filter_map(|path| from_root(module.len() + inline.len(), path)));
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    used
}

/// Reads the path that begins at `at`, with its groups expanded, and returns where it ends.
fn read_paths<'a>(
    tokens: &[Token<'a>],
    mut at: usize,
    above: &mut Vec<Token<'a>>,
    paths: &mut Vec<Vec<Token<'a>>>,
) -> usize {
    let length_above = above.len();
    let mut whole = true;
    while let Some(token) = tokens.get(at) {
        if token.text == "{" {
            at = read_group(tokens, at + 1, above, paths);
            whole = false;
            break;
        }
        if token.text != "*" && !is_word(token.text) {
            break;
        }
        above.push(*token);
        at += 1;
        if tokens.get(at).is_none_or(|token| token.text != "::") {
            break;
        }
        at += 1;
    }
    if whole {
        paths.push(above.clone());
    }
    above.truncate(length_above);
    at
}

/// Reads the paths of a group, from after its `{` to after its `}`.
fn read_group<'a>(
    tokens: &[Token<'a>],
    mut at: usize,
    above: &mut Vec<Token<'a>>,
    paths: &mut Vec<Vec<Token<'a>>>,
) -> usize {
    while let Some(token) = tokens.get(at) {
        match token.text {
            "}" => return at + 1,
            "as" => at += 2,
            text if text == "*" || is_word(text) => at = read_paths(tokens, at, above, paths),
            _ => at += 1,
        }
    }
    at
}

/// The segment of `path` right below the crate root, if the path leads through the root. `depth` is the number of
/// modules between the root and the place of the path.
fn from_root<'a>(mut depth: usize, path: &[Token<'a>]) -> Option<Token<'a>> {
    for segment in path {
        match segment.text {
            "crate" | "dateline" => depth = 0,
            "super" => depth = depth.saturating_sub(1),
            "self" => {}
            _ => return (depth == 0).then_some(*segment),
        }
    }
    None
}

/// A word, `::`, or a single other character of code.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Token<'a> {
    text: &'a str,
    line: usize,
}

/// The tokens of a source text, without comments and literals.
fn tokens(source: &str) -> Vec<Token<'_>> {
    let (mut rest, mut line) = (source, 1);
    let mut tokens = Vec::new();
    while let Some(first) = rest.chars().next() {
        let left_out = [blank_length(rest), comment_length(rest), literal_length(rest)].into_iter().max().unwrap_or(0);
        let word = rest.len() - rest.trim_start_matches(is_word_character).len();
        let length = match (left_out, word) {
            (0, 0) if rest.starts_with("::") => 2,
            (0, 0) => first.len_utf8(),
            (0, word) => word,
            (left_out, _) => left_out,
        };
        let (text, after) = rest.split_at(length);
        if left_out == 0 {
            tokens.push(Token { text, line });
        }
        line += text.matches('\n').count();
        rest = after;
    }
    tokens
}

fn is_word_character(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn is_word(text: &str) -> bool {
    text.starts_with(is_word_character)
}

fn blank_length(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

/// The length of the comment at the start of `text`; 0 if there is none.
fn comment_length(text: &str) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    let (mut rest, mut depth) = (text, 0_usize);
    // Block comments can be nested.
    loop {
        if let Some(after) = rest.strip_prefix("/*") {
            (depth, rest) = (depth + 1, after);
        } else if depth == 0 {
            return text.len() - rest.len();
        } else if let Some(after) = rest.strip_prefix("*/") {
            (depth, rest) = (depth - 1, after);
            if depth == 0 {
                return text.len() - rest.len();
            }
        } else {
            let mut characters = rest.chars();
            if characters.next().is_none() {
                return text.len();
            }
            rest = characters.as_str();
        }
    }
}

/// The length of the string or character literal at the start of `text`; 0 if there is none, as for a lifetime.
fn literal_length(text: &str) -> usize {
    let body = text.trim_start_matches(['b', 'c', 'r']);
    let prefix = text.strip_suffix(body).unwrap_or_default();
    let length = match prefix {
        "r" | "br" | "cr" => raw_string_length(body),
        "" | "b" | "c" if body.starts_with('"') => quoted_length(body, '"'),
        "" | "b" if is_character_literal(body) => quoted_length(body, '\''),
        _ => 0,
    };
    if length == 0 { 0 } else { prefix.len() + length }
}

fn raw_string_length(body: &str) -> usize {
    let quoted = body.trim_start_matches('#');
    let hashes = body.strip_suffix(quoted).unwrap_or_default();
    let Some(content) = quoted.strip_prefix('"') else { return 0 };
    let end = format!("\"{hashes}");
    content.find(&end).map_or(body.len(), |at| hashes.len() + 1 + at + end.len())
}

/// Whether `'` begins a character literal here, and not a lifetime.
fn is_character_literal(body: &str) -> bool {
    let mut characters = body.chars();
    let begins = characters.next() == Some('\'');
    let first = characters.next();
    begins && (first == Some('\\') || characters.next() == Some('\''))
}

fn quoted_length(body: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in body.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    body.len()
}

/// Removes items that are only compiled for tests.
fn without_tests(tokens: Vec<Token<'_>>) -> Vec<Token<'_>> {
    const FILE: [&str; 8] = ["#", "!", "[", "cfg", "(", "test", ")", "]"];
    const ITEM: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let begins = |rest: &[Token<'_>], with: &[&str]| {
        rest.len() >= with.len() && rest.iter().zip(with).all(|(token, text)| token.text == *text)
    };
    if begins(&tokens, &FILE) {
        return Vec::new();
    }
    let mut kept = Vec::new();
    let mut rest = tokens.as_slice();
    while let Some((token, after)) = rest.split_first() {
        if begins(rest, &ITEM) {
            rest = after_item(rest);
        } else {
            kept.push(*token);
            rest = after;
        }
    }
    kept
}

/// The tokens after the item at the start of `tokens`, including its attributes.
fn after_item<'t, 'a>(tokens: &'t [Token<'a>]) -> &'t [Token<'a>] {
    let (mut rest, mut depth) = (tokens, 0_usize);
    while let Some((token, after)) = rest.split_first() {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            // The end of the block around the item.
            ")" | "]" | "}" if depth == 0 => return rest,
            "}" if depth == 1 => return after,
            ")" | "]" | "}" => depth -= 1,
            ";" if depth == 0 => return after,
            _ => {}
        }
        rest = after;
    }
    rest
}

fn texts(source: &str) -> Vec<&str> {
    tokens(source).into_iter().map(|token| token.text).collect()
}

#[test]
fn comments_and_literals_are_ignored() {
    assert_eq!(texts("a // b\n/// c\nd /* e /* f */ g */ h"), ["a", "d", "h"]);
    assert_eq!(
        texts(r#"a("b \" crate::x", 'c', '\'', '"', b'\\', b"d") e"#),
        ["a", "(", ",", ",", ",", ",", ",", ")", "e"]
    );
    assert_eq!(texts("r\"\\\" a r#\"b \" c\"# d br##\"\"# e\"## f c\"g\" h"), ["a", "d", "f", "h"]);
    assert_eq!(texts("<'a> b: &'static r#type"), ["<", "'", "a", ">", "b", ":", "&", "'", "static", "r", "#", "type"]);
    assert_eq!(texts("car brr crate::b"), ["car", "brr", "crate", "::", "b"]);
    for unfinished in ["\"a", "r#\"a\"", "/* a", "'", "b'", "'\\", "// a"] {
        let _ = texts(unfinished);
    }
}

#[test]
fn lines_are_counted_through_comments_and_literals() {
    let lines: Vec<usize> = tokens("a\n/* \n */ \"\n\n\" b\n// \nc").iter().map(|token| token.line).collect();
    assert_eq!(lines, [1, 5, 7]);
}

#[test]
fn test_items_are_ignored() {
    let kept = |source| without_tests(tokens(source)).iter().map(|token| token.text).collect::<Vec<_>>().join(" ");
    assert_eq!(kept("a #[cfg(test)] mod tests { fn f() { } } b"), "a b");
    assert_eq!(kept("a #[cfg(test)] #[path = \"x\"] mod tests; b"), "a b");
    assert_eq!(kept("a #[cfg(test)] pub(crate) fn f(x: [u8; 2]) -> u8 { 0 } b"), "a b");
    assert_eq!(kept("struct S { #[cfg(test)] x: u8 } b"), "struct S { } b");
    assert_eq!(kept("#[cfg(not(test))] a"), "# [ cfg ( not ( test ) ) ] a");
    assert_eq!(kept("//! Doc.\n#![cfg(test)]\nuse crate::x;"), "");
}

#[test]
fn paths_are_resolved_to_their_top_level_module() {
    let used = |file, source| {
        let tokens = tokens(source);
        modules_used(&module_path(file), &tokens).iter().map(|token| token.text).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        used("a/b.rs", "use crate::store::x; fn f(_: &crate::model::Y) -> crate::wire::Z<crate::c::D> {}"),
        "store model wire c"
    );
    assert_eq!(used("a/b.rs", "use crate::{model::{self, A}, store as s, wire::*};"), "model model store wire");
    assert_eq!(
        used("a/b.rs", "use super::x; use super::super::model::A; use super::{super::store, y};"),
        "model store"
    );
    assert_eq!(used("a/mod.rs", "use super::model::A; use self::b::C; use self::super::wire;"), "model wire");
    assert_eq!(used("a.rs", "use super::model::A; use self::b::C; pub(crate) fn f() {}"), "model");
    assert_eq!(
        used("a/b.rs", "mod c { use super::super::super::model::A; use super::super::d; } use super::super::e;"),
        "model e"
    );
    assert_eq!(used("a/b.rs", "fn f() { if x {} } use super::super::model;"), "model");
    assert_eq!(used("a.rs", "use crate::*; use crate::model::X::<Y>::Z; dateline::v1::x();"), "* model");
    assert_eq!(used("main.rs", "fn main() { dateline::cli::run() }"), "cli");
}

#[test]
fn violations_name_file_and_line() {
    assert_eq!(
        violations("model/a.rs", "use super::B;\nuse crate::store::C;\n"),
        ["src/model/a.rs:2: `model` uses `store`, but may only use nothing"]
    );
    assert_eq!(
        violations("store/a.rs", "use crate::model::A;\n#[cfg(test)]\nmod tests { use crate::archive::B; }\n"),
        [""; 0]
    );
    assert_eq!(
        violations("archive/a.rs", "use crate::A;"),
        ["src/archive/a.rs:1: `A` at the crate root is not in the table of modules"]
    );
    assert_eq!(violations("utils.rs", ""), ["src/utils.rs:1: the module `utils` is not in the table of modules"]);
    assert_eq!(violations("cli/verify.rs", "use crate::archive::verify;"), [""; 0]);
    assert_eq!(violations("cli/show.rs", "use crate::archive::verify;").len(), 1);
    assert_eq!(
        violations("lib.rs", &"\n".repeat(601)),
        ["src/lib.rs:601: the file has 601 lines; at most 600 are allowed"]
    );
}

#[test]
fn some_names_may_occur_in_one_place_only() {
    let count = |file, source| violations(file, source).len();
    assert_eq!(count("archive/a.rs", "use tonic::Status; fn f() -> prost_types::Timestamp {}"), 2);
    assert_eq!(count("archive/a.rs", "use ::tonic::Status;"), 1);
    assert_eq!(count("store/mod.rs", "tonic::include_proto!(\"stored.v1\");"), 0);
    assert_eq!(count("store/record.rs", "use prost::Message;"), 0);
    assert_eq!(count("service/status.rs", "use tonic::Status;"), 0);
    assert_eq!(
        count("store/mod.rs", "sled::open();\nuse ::sled::Db;\nuse sled as s;\nextern crate sled;\nlet sled = 1;"),
        4
    );
    assert_eq!(count("store/engine/mod.rs", "pub mod sled; pub use self::sled::SledEngine;"), 0);
    assert_eq!(count(SLED_FILE, "use sled::Db;"), 0);
    assert_eq!(count("store/engine/sled/scan.rs", "use ::sled::Db;"), 0);
    assert_eq!(count("store/engine/wal/mod.rs", "use ::sled::Db;"), 1);
    assert_eq!(
        count("model/a.rs", "let a = SystemTime::now();\nlet b = jiff::Timestamp::now();\nlet c = Zoned::now();"),
        3
    );
    assert_eq!(count(CLOCK_FILE, "SystemTime::now()"), 0);
    assert_eq!(count("model/a.rs", "let now = Timestamp::from(now);"), 0);
}
