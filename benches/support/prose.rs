//! Articles of plain words, and small edits of them, all generated from a seed.

use dateline::internals::wire::pb;

/// Common words first: the earlier a word is in the list, the more often it is picked.
const WORDS: &str = "the of to and a in that is was for on with as by it at from be has have are said will not but \
    were which their who an been its had would more one after two about when there than people this up out year \
    council government last new minister city police years time first over percent court company also other could \
    some members report public its most week state party before local hospital school workers officials between \
    while million three plan told because since under many against group market country including home water \
    budget former during night days month work against house election service committee director national into \
    road bridge station railway harbour river flood storm winter summer morning evening season farmers families \
    children parents teachers students residents visitors drivers passengers neighbours volunteers engineers \
    researchers doctors nurses patients judges lawyers witnesses inspectors editors reporters readers spokesman \
    chairwoman mayor president secretary treasury ministry agency authority university college museum library \
    theatre stadium airport factory warehouse market bakery brewery vineyard orchard forest mountain valley coast \
    island village town district province region border capital building tower square street avenue tunnel canal \
    reservoir pipeline network cable signal engine turbine battery panel vehicle lorry tram ferry aircraft vessel \
    contract agreement treaty proposal decision ruling appeal inquiry investigation evidence statement interview \
    announcement letter document record survey study analysis forecast estimate figure number share price cost wage \
    rent tax loan debt profit loss income spending investment trade export import supply demand shortage delay \
    closure opening repair construction demolition renovation expansion reduction increase decline recovery growth \
    crisis emergency accident collision fire explosion damage injury rescue evacuation warning protest strike \
    demonstration vote ballot campaign candidate coalition opposition majority parliament assembly senate reform \
    policy measure rule permit licence standard target deadline programme project scheme strategy review audit \
    quarter decade century anniversary festival concert exhibition tournament championship match goal record medal \
    according rather although however meanwhile instead therefore despite nearly almost roughly several hundreds \
    thousands early late recent former senior junior regional federal municipal independent private annual monthly \
    expected planned proposed approved rejected announced published postponed cancelled completed restored damaged \
    destroyed reported confirmed denied warned urged agreed refused promised launched opened closed repaired \
    replaced extended reduced increased doubled halved fell rose grew shrank moved returned remained began ended";

/// A seeded generator (SplitMix64, Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A random number below `end`, which must not be 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap_or(0)
    }
}

/// Generates prose.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    rng: Rng,
    words: Vec<&'static str>,
}

impl Writer {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: Rng(seed), words: WORDS.split_whitespace().collect() }
    }

    /// An article whose content takes about `bytes` bytes on the wire.
    pub(crate) fn article(&mut self, id: &str, bytes: usize) -> pb::Content {
        let mut content = pb::Content {
            headline: self.sentence(7).trim_end_matches('.').to_owned(),
            standfirst: self.sentence(18),
            bylines: vec!["Our correspondent".to_owned()],
            section: "Region".to_owned(),
            language: "en-GB".to_owned(),
            canonical_url: format!("https://harbour-gazette.example/region/2026/{id}"),
            ..pb::Content::default()
        };
        while prost::Message::encoded_len(&content) < bytes {
            content.blocks.push(self.paragraph());
        }
        content
    }

    /// Replaces one to eight words in each of one to three places.
    pub(crate) fn edit(&mut self, content: &mut pb::Content) {
        for _ in 0..=self.rng.below(3) {
            let count = content.blocks.len().max(1);
            let index = self.rng.below(count);
            if let Some(pb::block::Kind::Paragraph(paragraph)) =
                content.blocks.get_mut(index).and_then(|block| block.kind.as_mut())
            {
                self.replace_words(&mut paragraph.text);
            }
        }
    }

    fn replace_words(&mut self, text: &mut String) {
        let starts: Vec<usize> = text.match_indices(' ').map(|(at, _)| at + 1).collect();
        let length = 1 + self.rng.below(3);
        let first = self.rng.below(starts.len().saturating_sub(length + 1).max(1));
        if let (Some(start), Some(end)) = (starts.get(first), starts.get(first + length)) {
            let new = (0..length).map(|_| self.word()).collect::<Vec<_>>().join(" ");
            text.replace_range(*start..end - 1, &new);
        }
    }

    fn paragraph(&mut self) -> pb::Block {
        let sentences = 2 + self.rng.below(3);
        let lengths: Vec<usize> = (0..sentences).map(|_| 8 + self.rng.below(16)).collect();
        let text = lengths.into_iter().map(|length| self.sentence(length)).collect::<Vec<_>>().join(" ");
        let kind = Some(pb::block::Kind::Paragraph(pb::Paragraph { text }));
        pb::Block { kind, confidence_percent: 0 }
    }

    fn sentence(&mut self, words: usize) -> String {
        let mut text = (0..words).map(|_| self.word()).collect::<Vec<_>>().join(" ");
        if let Some(first) = text.get(..1).map(str::to_uppercase) {
            text.replace_range(..1, &first);
        }
        text.push('.');
        text
    }

    fn word(&mut self) -> &'static str {
        // The product of two random numbers favours the common words at the beginning, as natural language does.
        let (first, second) = (self.rng.below(self.words.len()), self.rng.below(self.words.len()));
        self.words.get(first * second / self.words.len()).copied().unwrap_or("and")
    }
}
