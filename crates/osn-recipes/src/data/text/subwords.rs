//! Subwords: sentences as numbers, by byte-pair encoding.

use std::fmt;

use tokenizers::decoders::DecoderWrapper;
use tokenizers::decoders::sequence::Sequence;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::normalizers::Prepend;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, TokenizerBuilder, TokenizerImpl};

/// What fills up a batch behind the end of a sentence.
pub const PADDING: u32 = 0;
/// What a translation begins with.
pub const BEGIN: u32 = 1;
/// What ends a sentence.
pub const END: u32 = 2;
/// How these are written, by their numbers. No merge of letters and signs makes them: a subword has letters, or
/// digits, or signs.
const MARKS: [&str; 3] = ["<pad>", "<s>", "</s>"];
/// The smallest vocabulary: the marks and every byte.
pub const LEAST_VOCABULARY: usize = MARKS.len() + 256;
/// The name of the file in a run's folder.
pub const FILE_NAME: &str = "tokenizer.json";
/// A pair that was seen once teaches nothing.
const LEAST_SEEN: u64 = 2;

/// No other kind of tokenizer is read from a file.
type Tokenizer = TokenizerImpl<BPE, Prepend, ByteLevel, ByteLevel, Sequence>;

/// One vocabulary for both sides of parallel text (Sennrich et al. 2016, section 3.2, "joint BPE"), over bytes
/// (Radford et al. 2019, section 2.2).
///
/// A sentence is split into words, numbers and signs, each with the space before it; the first gets one too, so that
/// a word is the same at the beginning as elsewhere. Each is cut into bytes, and pairs of them are joined in
/// the order in which they were learnt. As every byte is a subword, every text can be written and nothing is
/// unknown: [`Subwords::decode`] of [`Subwords::encode`] is the text itself.
///
/// | subword | is |
/// |---|---|
/// | 0 ([`PADDING`]), 1 ([`BEGIN`]), 2 ([`END`]) | no text: neither encoded nor decoded |
/// | 3 to 258 | one byte |
/// | from 259 on | two subwords before it, the pair that was the most frequent when it was made |
#[derive(Clone)]
pub struct Subwords(Tokenizer);

/// Subwords cannot be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubwordError {
    /// They cannot be learnt.
    #[error("no subwords can be learnt: {problem}")]
    Train {
        /// What the library says.
        problem: tokenizers::Error,
    },
    /// They cannot be written.
    #[error("the subwords cannot be written: {problem}")]
    Write {
        /// What the library says.
        problem: tokenizers::Error,
    },
    /// A file holds none.
    #[error("it holds no byte-pair encoding that osn wrote: {problem}")]
    Parse {
        /// What the library says.
        problem: tokenizers::Error,
    },
    /// A file holds some of another kind.
    #[error("its tokens 0, 1 and 2 are not {}", MARKS.join(", "))]
    Marks,
}

impl Subwords {
    /// Learns at most `vocabulary` subwords: the marks, all bytes, and the most frequent pairs.
    ///
    /// The same sentences in any order, on any number of threads, give the same subwords. There are fewer than
    /// `vocabulary` where no pair is left that was seen twice. Give it both sides of the training pairs and
    /// nothing else.
    ///
    /// # Errors
    ///
    /// [`SubwordError::Train`].
    ///
    /// # Panics
    ///
    /// If `vocabulary` is below [`LEAST_VOCABULARY`].
    pub fn train<'a>(
        sentences: impl Iterator<Item = &'a str> + Send,
        vocabulary: usize,
    ) -> Result<Self, SubwordError> {
        assert!(vocabulary >= LEAST_VOCABULARY, "{vocabulary} subwords cannot hold every byte");
        let mut trainer = BpeTrainer::builder()
            .show_progress(false)
            .vocab_size(vocabulary)
            .min_frequency(LEAST_SEEN)
            .special_tokens(MARKS.map(|mark| AddedToken::from(mark, true)).to_vec())
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let learn = || -> tokenizers::Result<Tokenizer> {
            let mut tokenizer = untrained()?;
            tokenizer.train(&mut trainer, sentences)?;
            Ok(tokenizer)
        };
        Self::of(learn().map_err(|problem| SubwordError::Train { problem })?)
    }

    /// Reads what [`Subwords::to_json`] wrote.
    ///
    /// # Errors
    ///
    /// [`SubwordError::Parse`], [`SubwordError::Marks`].
    pub fn from_json(text: &str) -> Result<Self, SubwordError> {
        Self::of(text.parse().map_err(|problem| SubwordError::Parse { problem })?)
    }

    fn of(mut tokenizer: Tokenizer) -> Result<Self, SubwordError> {
        let has_marks = (0..).zip(MARKS).all(|(id, mark)| tokenizer.token_to_id(mark) == Some(id));
        if !has_marks {
            return Err(SubwordError::Marks);
        }
        // A sentence that holds the text of a mark means the text.
        tokenizer.set_encode_special_tokens(true);
        Ok(Self(tokenizer))
    }

    /// The whole vocabulary and all merges in the format of the library `tokenizers`, which other
    /// programs read.
    ///
    /// # Errors
    ///
    /// [`SubwordError::Write`].
    pub fn to_json(&self) -> Result<String, SubwordError> {
        self.0.to_string(true).map_err(|problem| SubwordError::Write { problem })
    }

    /// How many subwords there are, the marks included.
    pub fn len(&self) -> usize {
        self.0.get_vocab_size(true)
    }

    /// Always false: there are the marks and the bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The subwords of a sentence, without [`BEGIN`] and [`END`].
    ///
    /// # Panics
    ///
    /// Not for any text: every byte is a subword.
    pub fn encode(&self, sentence: &str) -> Vec<u32> {
        let encoding = self.0.encode_fast(sentence, false).expect("every byte is a subword");
        encoding.get_ids().to_vec()
    }

    /// The text of subwords. The marks and numbers without a subword are left out, and what is no UTF-8
    /// becomes U+FFFD, as an untrained network may write anything.
    ///
    /// # Panics
    ///
    /// Not for any numbers.
    pub fn decode(&self, subwords: &[u32]) -> String {
        self.0.decode(subwords, true).expect("bytes that are no text are replaced")
    }
}

impl fmt::Debug for Subwords {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Subwords({})", self.len())
    }
}

/// Everything but the vocabulary.
fn untrained() -> tokenizers::Result<Tokenizer> {
    let bytes = || ByteLevel::default().add_prefix_space(false);
    let first_space = DecoderWrapper::Strip(Strip::new(' ', 1, 0));
    TokenizerBuilder::new()
        .with_model(BPE::default())
        .with_normalizer(Some(Prepend::new(" ".to_owned())))
        .with_pre_tokenizer(Some(bytes()))
        .with_decoder(Some(Sequence::new(vec![DecoderWrapper::ByteLevel(bytes()), first_space])))
        .build()
}
