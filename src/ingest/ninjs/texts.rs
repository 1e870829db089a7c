//! Chooses among headlines, descriptions and bodies: an item may have several of each, in different roles and forms.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::model::Block;

use super::super::{Guess, body, markup, quoted};
use super::item::{NinjsObject, line};

/// One of an item's alternative headlines, descriptions or bodies.
#[derive(Clone, Copy, Debug)]
pub(super) struct NinjsText<'v> {
    /// The purpose of the text in the provider's words, such as `main` or `deck`; may be empty.
    role: &'v str,
    content_type: &'v str,
    value: &'v str,
}

impl<'v> NinjsText<'v> {
    /// All texts of a kind: those of an array such as `headlines`, of `{role, contentType, value}`, and those of
    /// version 1, such as `headline_deck`, whose role is in the name.
    fn all(item: NinjsObject<'v>, array: &str, prefix: &str) -> Vec<Self> {
        let objects = item.objects(&[array]);
        let texts = objects.into_iter().filter_map(|text| {
            let part = |name: &str| text.raw_text(name).unwrap_or_default();
            Some(Self { role: part("role"), content_type: part("contentType"), value: text.raw_text("value")? })
        });
        let named = item.prefixed(prefix).map(|(role, value)| Self { role, content_type: "", value });
        texts.chain(named).filter(|text| !text.value.trim().is_empty()).collect()
    }

    fn has_role(&self, words: &[&str]) -> bool {
        let role = self.role.to_ascii_lowercase();
        words.iter().any(|word| role.contains(word))
    }

    fn form(&self) -> Form {
        let says = |word: &str| self.content_type.to_ascii_lowercase().contains(word);
        match () {
            () if says("html") || self.content_type.is_empty() && self.has_role(&["html"]) => Form::Markup,
            () if says("xml") || self.has_role(&["nitf"]) => Form::Xml,
            () if says("json") => Form::Data,
            () if markup::is_markup(self.value) => Form::Markup,
            () => Form::Plain,
        }
    }

    fn blocks(&self) -> Vec<Block> {
        match self.form() {
            Form::Markup | Form::Xml => markup::blocks(self.value, None),
            Form::Plain | Form::Data => body::plain(self.value),
        }
    }
}

/// The form of a body. The order is that of preference, best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    /// HTML or XHTML.
    Markup,
    Plain,
    /// XML such as NITF.
    Xml,
    Data,
}

/// Words in the role of a secondary headline or body that serves as the standfirst.
const STANDFIRST_ROLES: [&str; 14] = [
    "sub",
    "deck",
    "dek",
    "standfirst",
    "secondary",
    "teaser",
    "summary",
    "abstract",
    "lead",
    "ingress",
    "intro",
    "short",
    "preamble",
    "excerpt",
];

/// Returns the headline, and the standfirst if another headline serves as one. Either may be empty.
pub(super) fn headline(item: NinjsObject<'_>, guesses: &mut Vec<Guess>) -> (String, String) {
    let own = item.raw_text("headline").map(|value| NinjsText { role: "main", content_type: "", value });
    let headlines: Vec<NinjsText<'_>> = own.into_iter().chain(NinjsText::all(item, "headlines", "headline_")).collect();
    let is_secondary = |text: &NinjsText<'_>| text.has_role(&STANDFIRST_ROLES);
    let main = headlines.iter().position(|text| text.role.eq_ignore_ascii_case("main"));
    let main = main.or_else(|| headlines.iter().position(|text| text.role.is_empty()));
    let main = main.or_else(|| headlines.iter().position(|text| !is_secondary(text))).unwrap_or(0);
    let mut standfirst = String::new();
    for (_, text) in headlines.iter().enumerate().filter(|(at, _)| *at != main) {
        let value = line(text.value);
        if is_secondary(text) && standfirst.is_empty() {
            standfirst = value;
        } else {
            guesses.push(Guess::new(
                "ignored",
                format!("headline {}", quoted(&value)),
                format!("its role is {}", quoted(text.role)),
            ));
        }
    }
    let headline = headlines.get(main).map(|text| line(text.value)).unwrap_or_default();
    let title = item.text(&["title"]);
    if headline.is_empty() && !title.is_empty() {
        guesses.push(Guess::new("headline", quoted(&title), "the item's title, since it has no headline"));
        return (title, standfirst);
    }
    (headline, standfirst)
}

/// The description that can serve as the standfirst; a picture's caption, credit or note cannot.
pub(super) fn description(item: NinjsObject<'_>) -> String {
    let descriptions = NinjsText::all(item, "descriptions", "description_");
    let description = descriptions.iter().find(|text| !text.has_role(&["caption", "credit", "note"]));
    description.map(|text| line(text.value)).unwrap_or_default()
}

/// Returns the caption and the credit among the descriptions of a picture. Either may be empty.
pub(super) fn caption(picture: NinjsObject<'_>) -> (String, String) {
    let descriptions = NinjsText::all(picture, "descriptions", "description_");
    let credit = descriptions.iter().find(|text| text.has_role(&["credit"]));
    let others = || descriptions.iter().filter(|text| !text.has_role(&["credit", "note"]));
    let caption = others().find(|text| text.has_role(&["caption"])).or_else(|| others().next());
    let text = |text: Option<&NinjsText<'_>>| text.map(|text| line(text.value)).unwrap_or_default();
    (text(caption), text(credit))
}

/// Returns the body, and the standfirst if another body serves as one. Either may be empty.
///
/// Bodies are mostly the same text in several forms; of these, the longest one in the best form is used. A body of
/// which more than half is not in the bodies used so far is appended, since running text is never dropped.
pub(super) fn body(item: NinjsObject<'_>, guesses: &mut Vec<Guess>) -> (Vec<Block>, String) {
    let (secondary, mut bodies): (Vec<_>, Vec<_>) =
        NinjsText::all(item, "bodies", "body_").into_iter().partition(|text| text.has_role(&STANDFIRST_ROLES));
    let is_main = |text: &NinjsText<'_>| text.role.eq_ignore_ascii_case("main");
    bodies.sort_by_key(|text| (text.form(), !is_main(text), std::cmp::Reverse(text.value.len())));
    // A summary without any other body is the body.
    let (secondary, bodies) = if bodies.is_empty() { (Vec::new(), secondary) } else { (secondary, bodies) };
    let mut blocks = Vec::new();
    let mut phrases_so_far = HashSet::new();
    for text in bodies {
        let part = text.blocks();
        let phrases = phrases(&part);
        let repeated = phrases.iter().filter(|phrase| phrases_so_far.contains(*phrase)).count();
        if text.form() == Form::Data || !blocks.is_empty() && repeated * 2 >= phrases.len() {
            continue;
        }
        if !blocks.is_empty() {
            let why = format!("a body with the role {} has text that the others lack", quoted(text.role));
            guesses.push(Guess::new("body", format!("from block {} on", blocks.len() + 1), why));
        }
        blocks.extend(part);
        phrases_so_far.extend(phrases);
    }
    let mut standfirst = String::new();
    for text in secondary {
        let value = flat(&text.blocks());
        if standfirst.is_empty() {
            standfirst = value;
        } else if value != standfirst {
            guesses.push(Guess::new(
                "ignored",
                format!("body {}", quoted(&value)),
                format!("its role is {}", quoted(text.role)),
            ));
        }
    }
    (blocks, standfirst)
}

/// All texts of the blocks, on one line.
fn flat(blocks: &[Block]) -> String {
    blocks.iter().map(|block| block.kind.texts().join(" ")).collect::<Vec<_>>().join(" ")
}

/// The hashes of all sequences of three words in a body, by which bodies are compared.
fn phrases(blocks: &[Block]) -> HashSet<u64> {
    let text = flat(blocks).to_lowercase();
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let hash = |words: &[&str]| {
        let mut hasher = DefaultHasher::new();
        words.hash(&mut hasher);
        hasher.finish()
    };
    if words.len() < 3 { words.chunks(3).map(hash).collect() } else { words.windows(3).map(hash).collect() }
}
