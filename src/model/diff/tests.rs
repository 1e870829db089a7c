use proptest::prelude::*;

use super::*;
use crate::model::BlockKind;

fn paragraph(text: &str) -> Block {
    BlockKind::Paragraph { text: text.into() }.into()
}

fn article(paragraphs: &[&str]) -> Content {
    let blocks = paragraphs.iter().map(|text| paragraph(text)).collect();
    Content { headline: "Fire on the Arnholm ferry".into(), blocks, ..Content::default() }
}

fn mark(spans: &[Span]) -> String {
    let mark = |span: &Span| match span.kind {
        SpanKind::Equal => span.text.clone(),
        SpanKind::Insert => format!("{{+{}+}}", span.text),
        SpanKind::Delete => format!("[-{}-]", span.text),
    };
    spans.iter().map(mark).collect()
}

/// The hunks as lines: the kind, the block's index on each side, and the text with its changes marked.
fn lines(diff: &ContentDiff) -> Vec<String> {
    let number = |index: Option<usize>| index.map_or("-".to_owned(), |index| index.to_string());
    let line = |hunk: &Hunk| {
        let (base, target) = (number(hunk.base_block), number(hunk.target_block));
        format!("{:?} {base} {target}: {}", hunk.kind, mark(&hunk.spans))
    };
    diff.hunks.iter().map(line).collect()
}

fn delta(inserted: u32, deleted: u32) -> WordDelta {
    WordDelta { inserted, deleted }
}

const FERRY: &str = "The ferry to Arnholm caught fire on Tuesday evening.";
const MAYOR: &str = "Mayor Ines Cole promised an inquiry before the summer.";
const PORT: &str = "The port stays shut until divers have searched the wreck.";

#[test]
fn a_death_toll_is_one_changed_word() {
    let base = article(&[FERRY, "At least 12 people died, the coastguard said.", PORT]);
    let target = article(&[FERRY, "At least 92 people died, the coastguard said.", PORT]);
    assert_eq!(
        lines(&diff(&base, &target)),
        [
            format!("Equal 0 0: {FERRY}"),
            "Modify 1 1: At least [-12-]{+92+} people died, the coastguard said.".to_owned(),
            format!("Equal 2 2: {PORT}"),
        ]
    );
    assert_eq!(word_delta(&base, &target), delta(1, 1));
}

#[test]
fn a_change_of_the_headline_alone_is_found() {
    let base = article(&[FERRY]);
    let target = Content { headline: "Deadly fire on the Arnholm ferry".into(), ..base.clone() };
    let changed = diff(&base, &target);
    assert_eq!(changed.fields.len(), 1);
    assert_eq!(mark(&changed.fields[0].spans), "[-Fire-]{+Deadly fire+} on the Arnholm ferry");
    assert_eq!(lines(&changed), [format!("Equal 0 0: {FERRY}")]);
    assert_eq!(word_delta(&base, &target), delta(2, 1));
}

#[test]
fn a_moved_paragraph_is_neither_deleted_nor_inserted() {
    let (base, target) = (article(&[MAYOR, FERRY, PORT]), article(&[FERRY, PORT, MAYOR]));
    assert_eq!(
        lines(&diff(&base, &target)),
        [format!("Equal 1 0: {FERRY}"), format!("Equal 2 1: {PORT}"), format!("Move 0 2: {MAYOR}")]
    );
    assert_eq!(word_delta(&base, &target), delta(0, 0));
}

#[test]
fn a_paragraph_can_move_and_change_a_little() {
    let later = "Mayor Ines Cole promised an inquiry before the autumn.";
    let (base, target) = (article(&[MAYOR, FERRY, PORT]), article(&[FERRY, PORT, later]));
    let moved = "Move 0 2: Mayor Ines Cole promised an inquiry before the [-summer-]{+autumn+}.";
    assert_eq!(lines(&diff(&base, &target)).last().unwrap(), moved);
    assert_eq!(word_delta(&base, &target), delta(1, 1));
}

#[test]
fn a_row_of_asterisks_moves_only_if_it_is_the_only_one() {
    let (base, target) = (article(&["* * *", FERRY, PORT]), article(&[FERRY, PORT, "* * *"]));
    assert_eq!(diff(&base, &target).hunks[2].kind, HunkKind::Move);
    let (base, target) = (article(&["* * *", FERRY, "* * *", PORT]), article(&[FERRY, "* * *", PORT, "* * *"]));
    let kinds: Vec<_> = diff(&base, &target).hunks.iter().map(|hunk| hunk.kind).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == HunkKind::Equal).count(), 3);
    assert!(!kinds.contains(&HunkKind::Move));
}

#[test]
fn the_longer_half_of_a_split_paragraph_counts_as_modified() {
    let whole = "The ferry to Arnholm caught fire on Tuesday evening and sank. Nobody knows why.";
    let base = article(&[whole, PORT]);
    let target = article(&["The ferry to Arnholm caught fire on Tuesday evening and sank.", "Nobody knows why.", PORT]);
    assert_eq!(
        lines(&diff(&base, &target)),
        [
            "Modify 0 0: The ferry to Arnholm caught fire on Tuesday evening and sank.[- Nobody knows why.-]"
                .to_owned(),
            "Insert - 1: {+Nobody knows why.+}".to_owned(),
            format!("Equal 1 2: {PORT}"),
        ]
    );
}

#[test]
fn a_deleted_block_is_listed_where_it_was() {
    let base = article(&[FERRY, MAYOR, PORT]);
    let target = article(&[FERRY, "Nobody knows why it burned.", PORT]);
    assert_eq!(
        lines(&diff(&base, &target)),
        [
            format!("Equal 0 0: {FERRY}"),
            format!("Delete 1 -: [-{MAYOR}-]"),
            "Insert - 1: {+Nobody knows why it burned.+}".to_owned(),
            format!("Equal 2 2: {PORT}"),
        ]
    );
    assert_eq!(word_delta(&base, &target), delta(5, 9));
}

#[test]
fn a_caption_keeps_its_words_if_credit_or_picture_change() {
    let caption = |credit: &str, url: &str| Content {
        blocks: vec![
            BlockKind::Caption { text: "The wreck".into(), image_url: url.into(), credit: credit.into() }.into(),
        ],
        ..Content::default()
    };
    let base = caption("Ada Holm", "https://example.com/1.jpg");
    assert_eq!(
        lines(&diff(&base, &caption("Jo Park", "https://example.com/1.jpg"))),
        ["Modify 0 0: The wreck\n[-Ada Holm-]{+Jo Park+}\nhttps://example.com/1.jpg"]
    );
    assert_eq!(
        lines(&diff(&base, &caption("Ada Holm", "https://example.com/2.jpg"))),
        ["Modify 0 0: The wreck\nAda Holm\n[-https://example.com/1.jpg-]{+https://example.com/2.jpg+}"]
    );
    assert_eq!(word_delta(&base, &caption("Jo Park", "https://example.com/1.jpg")), delta(2, 2));
    assert_eq!(word_delta(&base, &caption("Ada Holm", "https://example.com/2.jpg")), delta(0, 0));
}

#[test]
fn a_block_that_changed_only_its_kind_is_modified() {
    let base = article(&[FERRY]);
    let mut target = base.clone();
    target.blocks = vec![BlockKind::Subheading { text: FERRY.into() }.into()];
    assert_eq!(lines(&diff(&base, &target)), [format!("Modify 0 0: {FERRY}")]);
    assert_eq!(word_delta(&base, &target), delta(0, 0));
}

#[test]
fn punctuation_and_white_space_change_no_word() {
    let base = article(&["The port is shut."]);
    for (text, marked) in
        [("The port is shut!", "The port is shut[-.-]{+!+}"), ("The  port is shut.", "The {+ +}port is shut.")]
    {
        let target = article(&[text]);
        assert_eq!(lines(&diff(&base, &target)), [format!("Modify 0 0: {marked}")]);
        assert_eq!(word_delta(&base, &target), delta(0, 0));
    }
}

#[test]
fn chinese_is_compared_by_character() {
    let (base, target) =
        (article(&["火灾造成12人死亡。", "市长承诺调查。"]), article(&["火灾造成92人死亡。", "市长承诺调查。"]));
    assert_eq!(lines(&diff(&base, &target)), ["Modify 0 0: 火灾造成[-12-]{+92+}人死亡。", "Equal 1 1: 市长承诺调查。"]);
}

#[test]
fn a_change_of_confidence_is_no_change() {
    let base = article(&[FERRY]);
    let mut target = base.clone();
    target.blocks[0].confidence_percent = Some(60);
    assert_eq!(diff(&base, &target).hunks[0].kind, HunkKind::Equal);
}

fn any_text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "the", "fire", "ferry", "Arnholm", "12", "92", "didn't", "城", "市", ".", ",", "“", " ", " ", " ", "  ", "\n",
        "é", "🙂",
    ]);
    prop::collection::vec(word, 0..12).prop_map(|words| words.concat())
}

fn any_block() -> impl Strategy<Value = Block> {
    let text = any_text;
    let kind = prop_oneof![
        6 => text().prop_map(|text| BlockKind::Paragraph { text }),
        1 => text().prop_map(|text| BlockKind::Subheading { text }),
        1 => (text(), text(), text()).prop_map(|(text, image_url, credit)| BlockKind::Caption { text, image_url, credit }),
        1 => (prop::collection::vec(text(), 0..3), any::<bool>()).prop_map(|(items, ordered)| BlockKind::List { items, ordered }),
        1 => (text(), text()).prop_map(|(url, text)| BlockKind::Embed { url, text }),
        1 => (text(), text()).prop_map(|(text, attribution)| BlockKind::Quote { text, attribution }),
    ];
    kind.prop_map(Block::from)
}

fn any_content() -> impl Strategy<Value = Content> {
    (any_text(), prop::collection::vec(any_text(), 0..3), prop::collection::vec(any_block(), 0..12))
        .prop_map(|(headline, keywords, blocks)| Content { headline, keywords, blocks, ..Content::default() })
}

/// A content and an edited version: some blocks deleted, inserted or rewritten, and the rest rotated by a few
/// positions.
fn any_edit() -> impl Strategy<Value = (Content, Content)> {
    (any_content(), prop::collection::vec((0_u8..6, any_block()), 12), 0_usize..3).prop_map(|(base, edits, turn)| {
        let edited = base.blocks.iter().zip(edits).flat_map(|(block, (edit, new))| match edit {
            0 => vec![],
            1 => vec![block.clone(), new],
            2 => vec![new],
            3 => vec![paragraph(&format!("{} and more", text::render(&block.kind)))],
            _ => vec![block.clone()],
        });
        let mut blocks: Vec<Block> = edited.collect();
        let turn = turn.min(blocks.len());
        blocks.rotate_left(turn);
        (base.clone(), Content { blocks, ..base })
    })
}

fn side(spans: &[Span], other: SpanKind) -> String {
    spans.iter().filter(|span| span.kind != other).map(|span| span.text.as_str()).collect()
}

fn check_spans(spans: &[Span]) {
    assert!(spans.iter().all(|span| !span.text.is_empty()));
    assert!(spans.windows(2).all(|pair| pair[0].kind != pair[1].kind));
}

fn check_side(diff: &ContentDiff, blocks: &[Block], other: SpanKind, index: impl Fn(&Hunk) -> Option<usize>) {
    let mut seen: Vec<usize> = diff.hunks.iter().filter_map(&index).collect();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..blocks.len()));
    for hunk in &diff.hunks {
        let text = index(hunk).map_or(Default::default(), |index| text::render(&blocks[index].kind));
        assert_eq!(side(&hunk.spans, other), text);
    }
}

fn check(base: &Content, target: &Content) {
    let diff = diff(base, target);
    check_side(&diff, &base.blocks, SpanKind::Insert, |hunk| hunk.base_block);
    check_side(&diff, &target.blocks, SpanKind::Delete, |hunk| hunk.target_block);
    diff.hunks
        .iter()
        .map(|hunk| &hunk.spans)
        .chain(diff.fields.iter().map(|field| &field.spans))
        .for_each(|spans| check_spans(spans));
    assert!(diff.hunks.iter().filter_map(|hunk| hunk.target_block).is_sorted());
    let in_place = |hunk: &&Hunk| hunk.kind != HunkKind::Move;
    assert!(diff.hunks.iter().filter(in_place).filter_map(|hunk| hunk.base_block).is_sorted());
    for hunk in &diff.hunks {
        let both = hunk.base_block.zip(hunk.target_block);
        let same = both.map(|(from, to)| base.blocks[from].kind == target.blocks[to].kind);
        match hunk.kind {
            HunkKind::Equal => assert_eq!(same, Some(true)),
            HunkKind::Modify => assert_eq!(same, Some(false)),
            HunkKind::Move => assert!(same.is_some()),
            HunkKind::Insert => assert!(both.is_none() && hunk.target_block.is_some()),
            HunkKind::Delete => assert!(both.is_none() && hunk.base_block.is_some()),
        }
    }
}

proptest! {
    #[test]
    fn every_diff_reproduces_both_sides(base in any_content(), target in any_content()) {
        check(&base, &target);
    }

    #[test]
    fn every_edit_reproduces_both_sides((base, target) in any_edit()) {
        check(&base, &target);
        check(&target, &base);
    }

    #[test]
    fn a_content_does_not_differ_from_itself(content in any_content()) {
        let diff = diff(&content, &content);
        prop_assert!(diff.fields.is_empty());
        prop_assert!(diff.hunks.iter().all(|hunk| hunk.kind == HunkKind::Equal && hunk.base_block == hunk.target_block));
        prop_assert_eq!(word_delta(&content, &content), WordDelta::default());
    }

    #[test]
    fn the_word_delta_is_the_difference_in_words((base, target) in any_edit()) {
        let words = |content: &Content| -> i64 {
            let mut vocabulary = Vocabulary::default();
            let texts: Vec<_> = content.blocks.iter().map(|block| vocabulary.split(text::lines(&block.kind))).collect();
            texts.iter().map(|text| i64::from(words::count_words(&vocabulary, &text.tokens))).sum()
        };
        let delta = word_delta(&base, &target);
        prop_assert_eq!(words(&target) - words(&base), i64::from(delta.inserted) - i64::from(delta.deleted));
    }
}
