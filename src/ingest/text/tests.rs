use super::*;
use crate::model::{BlockKind, Precision};

fn page(text: &str) -> Document {
    read(text, &Options::default()).unwrap()
}

/// One letter per block: paragraph, caption, subheading (x), list, correction note (n), quote, embed.
fn kinds(document: &Document) -> String {
    let letter = |kind: &BlockKind| match kind {
        BlockKind::Paragraph { .. } => 'p',
        BlockKind::Caption { .. } => 'c',
        BlockKind::Subheading { .. } => 'x',
        BlockKind::List { .. } => 'l',
        BlockKind::CorrectionNote { .. } => 'n',
        BlockKind::Quote { .. } => 'q',
        BlockKind::Embed { .. } => 'e',
    };
    document.content.blocks.iter().map(|block| letter(&block.kind)).collect()
}

const FULL: &str = "PKC\nThe Port Kestrel Courier\nSaturday, November 8, 2025\n\n\
    Ferry returns to Port Kestrel\n\n\
    The boat had been in dock for eleven weeks while its engines were rebuilt.\n\n\
    City 2 months ago\n\n\
    The ferry came back to the east quay on Monday with a full deck of passengers, two lorries and a horse box.\n\n\
    The ferry at the east quay on Monday morning\n\n\
    Its master said that the engines had never sounded better, and that he would not say so again until the spring.\n";

#[test]
fn a_whole_page_is_read() {
    let document = page(FULL);
    assert_eq!(document.publication.as_deref(), Some("The Port Kestrel Courier"));
    assert_eq!(document.page_date, Some(jiff::civil::date(2025, 11, 8)));
    let content = &document.content;
    assert_eq!(content.headline, "Ferry returns to Port Kestrel");
    assert_eq!(content.standfirst, "The boat had been in dock for eleven weeks while its engines were rebuilt.");
    assert_eq!(content.section, "City");
    let claim = content.publish_time.as_ref().unwrap();
    assert_eq!((claim.words.as_str(), claim.precision, claim.relative), ("2 months ago", Precision::Month, true));
    assert_eq!(kinds(&document), "pcp");
    let guesses: Vec<String> = document.guesses.iter().map(ToString::to_string).collect();
    assert_eq!(
        guesses,
        [
            "publication: The Port Kestrel Courier (printed with the page's date)",
            "publish time: September 2025 (from \"2 months ago\" on a page dated 8 November 2025)",
            "caption: block 2 \"The ferry at the east quay on Monday morning\" (no end punctuation, 9 words, \
         contains \"at\", \"Monday\" also occurs nearby, 80 %)",
        ]
    );
}

/// Publication, headline, standfirst, section, words of the publish time, first byline, and the kinds of the blocks.
fn fields(text: &str) -> [String; 7] {
    let document = page(text);
    let content = &document.content;
    [
        document.publication.clone().unwrap_or_default(),
        content.headline.clone(),
        content.standfirst.clone(),
        content.section.clone(),
        content.publish_time.as_ref().map(|claim| claim.words.clone()).unwrap_or_default(),
        content.bylines.first().cloned().unwrap_or_default(),
        kinds(&document),
    ]
}

const LINE: &str = "The ferry came back to the east quay on Monday with two lorries.";

#[test]
fn each_part_of_the_top_may_be_missing() {
    for (top, expected) in [
        ("Ferry returns", ["", "Ferry returns", "", "", "", "", "p"]),
        ("Ferry returns\n\nBy Ada Quill", ["", "Ferry returns", "", "", "", "Ada Quill", "p"]),
        ("Ferry returns\nMarch 3, 2026", ["", "Ferry returns", "", "", "March 3, 2026", "", "p"]),
        ("Ferry returns\n\nCity | March 3, 2026", ["", "Ferry returns", "", "City", "March 3, 2026", "", "p"]),
        ("City\nFerry returns", ["", "Ferry returns", "", "City", "", "", "p"]),
        (
            "Ferry returns\nIt was gone for eleven weeks.",
            ["", "Ferry returns", "It was gone for eleven weeks.", "", "", "", "p"],
        ),
        ("The Kestrel Post\n\nFerry returns", ["The Kestrel Post", "Ferry returns", "", "", "", "", "p"]),
        ("QB\n\nThe Quay Bell\n\nFerry returns", ["The Quay Bell", "Ferry returns", "", "", "", "", "p"]),
        (
            "8 November 2025\nThe Kestrel Post\n\nFerry returns",
            ["The Kestrel Post", "Ferry returns", "", "", "", "", "p"],
        ),
        ("Kestrel Post | Nov. 8, 2025\n\nFerry returns", ["Kestrel Post", "Ferry returns", "", "", "", "", "p"]),
        ("The Quay\n2025-11-08\n\nFerry returns", ["The Quay", "Ferry returns", "", "", "", "", "p"]),
        ("Gazette editor resigns", ["", "Gazette editor resigns", "", "", "", "", "p"]),
        ("Ferry returns\n\nThe ferry in dock\n\nBy Ada Quill", ["", "Ferry returns", "", "", "", "Ada Quill", "cp"]),
    ] {
        assert_eq!(fields(&format!("{top}\n\n{LINE}\n")), expected.map(String::from), "{top:?}");
    }
}

#[test]
fn a_first_paragraph_is_not_a_standfirst() {
    let document = page(&format!("Ferry returns\n\n{LINE}\n\n{LINE}"));
    assert_eq!((document.content.standfirst.as_str(), kinds(&document).as_str()), ("", "pp"));
}

#[test]
fn lines_without_blank_lines_between_them_are_paragraphs() {
    assert_eq!(kinds(&page(&format!("Ferry returns\nCity 2 days ago\n{LINE}\n{LINE}\n{LINE}"))), "ppp");
}

#[test]
fn each_kind_of_block_and_the_footer_are_recognised() {
    let document = page(&format!(
        "Ferry returns\n\n{LINE}\n\nWhat happens next?\n\n{LINE}\n\n- one boat\n- two boats\n\n\
         The quay. Photograph: Ana Reis/Tidewater\n\nCorrection: an earlier version gave the wrong day.\n\n\
         https://courier.example/ferry\n\n© 2026 The Kestrel Post"
    ));
    assert_eq!(kinds(&document), "pxplcn");
    assert_eq!(document.content.rights, "© 2026 The Kestrel Post");
    assert_eq!(document.urls, ["https://courier.example/ferry"]);
}

#[test]
fn relative_times_count_from_the_page_date_or_from_the_date_of_the_caller() {
    let text = format!("Ferry returns\n\nCity · 3 days ago\n\n{LINE}");
    let document = page(&text);
    assert_eq!(document.content.publish_time, None);
    assert_eq!(document.guesses[0].to_string(), "publish time: not read (\"3 days ago\" needs the date of the page)");
    let options = Options { reference_date: Some(jiff::civil::date(2026, 1, 2)), ..Options::default() };
    let document = read(&text, &options).unwrap();
    assert_eq!(times::describe(document.content.publish_time.as_ref().unwrap()), "30 December 2025");
}

#[test]
fn weekdays_count_from_the_page_date_and_those_of_changes_also_from_the_publication() {
    let claims = |lines: &str| {
        let document = page(&format!("Courier\nSaturday, November 8, 2025\n\nFerry returns\n\n{lines}\n\n{LINE}"));
        let claim = |claim: &Option<ClaimedTime>| claim.as_ref().map_or_else(String::new, times::describe);
        let content = &document.content;
        [claim(&content.publish_time), claim(&content.modify_time), kinds(&document)]
    };
    assert_eq!(claims("Wednesday"), ["5 November 2025", "", "p"]);
    assert_eq!(claims("City · Saturday"), ["8 November 2025", "", "p"]);
    assert_eq!(claims("Published Monday | Updated on Wednesday"), ["3 November 2025", "5 November 2025", "p"]);
    assert_eq!(claims("2 months ago | Updated on Wednesday"), ["September 2025", "5 November 2025", "p"]);
    // Nine weeks have passed since, and it may be the Wednesday of any of them.
    assert_eq!(claims("September 5, 2025 | Updated Wednesday"), ["5 September 2025", "", "p"]);
    // Between paragraphs, a weekday is a subheading.
    assert_eq!(claims(&format!("{LINE}\n\nWednesday")), ["", "", "pxp"]);

    let document = page(&format!("Ferry returns\n\nNovember 3, 2025 | Updated Wednesday\n\n{LINE}"));
    assert_eq!(
        document.guesses[0].to_string(),
        "modify time: 5 November 2025 (from \"Wednesday\", the first since publication)"
    );
}

#[test]
fn a_paragraph_is_not_a_headline() {
    let error = read(&"word ".repeat(41), &Options::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no headline: line 1 has 41 words; put the headline on a line of its own above the text"
    );
}
