//! Articles of plain words, and small edits of them, generated from a seed.

const WORDS: [&str; 40] = [
    "the",
    "of",
    "a",
    "in",
    "to",
    "and",
    "for",
    "with",
    "that",
    "was",
    "harbour",
    "bridge",
    "council",
    "engineers",
    "said",
    "would",
    "repair",
    "closed",
    "year",
    "ferry",
    "city",
    "report",
    "river",
    "train",
    "strike",
    "minister",
    "police",
    "school",
    "market",
    "prices",
    "rose",
    "fell",
    "after",
    "before",
    "storm",
    "people",
    "workers",
    "court",
    "budget",
    "vote",
];
const PARAGRAPHS: usize = 8;
/// The text that an edit replaces at the end of a paragraph, in bytes.
const EDIT_BYTES: usize = 50;

/// An article that is revised again and again.
pub struct Article {
    pub id: String,
    pub paragraphs: Vec<String>,
    state: u64,
}

impl Article {
    pub fn new(id: String, seed: u64, bytes: usize) -> Self {
        let mut article = Self { id, paragraphs: Vec::new(), state: seed };
        article.paragraphs = (0..PARAGRAPHS).map(|_| article.words(bytes / PARAGRAPHS)).collect();
        article
    }

    /// Replaces the end of a paragraph.
    pub fn edit(&mut self) {
        let index = self.random(PARAGRAPHS);
        let end = self.words(EDIT_BYTES);
        let paragraph = &mut self.paragraphs[index];
        paragraph.truncate(paragraph.len().saturating_sub(end.len()));
        paragraph.push_str(&end);
    }

    fn words(&mut self, bytes: usize) -> String {
        let mut words = String::with_capacity(bytes + 16);
        while words.len() < bytes {
            words.push_str(WORDS[self.random(WORDS.len())]);
            words.push(' ');
        }
        words
    }

    /// A random number below `end` (SplitMix64, Steele, Lea and Flood 2014).
    fn random(&mut self, end: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}
