//! A reader that walks through a JSON text, value by value.

use std::borrow::Cow;

use serde_json::{Map, Number, Value};

use super::text::Raw;
use super::{JsonError, MAX_DEPTH, Repairs};

/// The kind of the next value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonKind {
    /// `{…}`.
    Object,
    /// `[…]`.
    List,
    /// `"…"`.
    Text,
    /// A number by the JSON standard, however large.
    Number,
    /// `NaN`, `Infinity`, `-Infinity`.
    NotFinite,
    /// `true`, `false`.
    Bool,
    /// `null`.
    Null,
}

/// Walks through a JSON text. Each method reads the value that comes next as a whole, or fails; after an error
/// the reader must not be used any further.
///
/// ```
/// use audsem_core::json::{JsonKind, Reader};
///
/// let mut reader = Reader::new(r#"{"id": "a", "deep": [[[NaN]]]} and more"#);
/// let mut id = None;
/// reader.object(|reader, key| {
///     match (&*key, reader.kind()?) {
///         ("id", JsonKind::Text) => id = Some(reader.text()?),
///         _ => drop(reader.skip()?),
///     }
///     Ok(())
/// })?;
/// assert_eq!(id.as_deref(), Some("a"));
/// assert_eq!(reader.position(), 30);
/// # Ok::<(), audsem_core::json::JsonError>(())
/// ```
#[derive(Debug)]
pub struct Reader<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    depth: usize,
    pub(super) repairs: Repairs,
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of a text.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0, repairs: Repairs::default() }
    }

    /// Offset of the first byte that has not been read.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// The text that has not been read.
    #[must_use]
    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Counts of replaced parts of the text so far.
    #[must_use]
    pub fn repairs(&self) -> Repairs {
        self.repairs
    }

    /// Checks that only blanks are left.
    ///
    /// # Errors
    /// Something else follows.
    pub fn end(&mut self) -> Result<(), JsonError> {
        self.blanks();
        if self.at == self.text.len() { Ok(()) } else { self.fail("text after the value") }
    }

    /// The kind of the next value.
    ///
    /// # Errors
    /// No value begins here.
    pub fn kind(&mut self) -> Result<JsonKind, JsonError> {
        self.blanks();
        match (self.peek(), self.text.as_bytes().get(self.at + 1)) {
            (Some(b'{'), _) => Ok(JsonKind::Object),
            (Some(b'['), _) => Ok(JsonKind::List),
            (Some(b'"'), _) => Ok(JsonKind::Text),
            (Some(b'N' | b'I'), _) | (Some(b'-'), Some(b'I')) => Ok(JsonKind::NotFinite),
            (Some(b'-' | b'0'..=b'9'), _) => Ok(JsonKind::Number),
            (Some(b't' | b'f'), _) => Ok(JsonKind::Bool),
            (Some(b'n'), _) => Ok(JsonKind::Null),
            (Some(_), _) => self.fail("expected a value"),
            (None, _) => self.fail("the text ends where a value should be"),
        }
    }

    /// Reads an object, handing each key to `each`, which must read the value.
    ///
    /// # Errors
    /// The next value is of another kind, invalid or nested too deep, or `each` fails.
    pub fn object(
        &mut self,
        mut each: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.open(JsonKind::Object, "expected an object")?;
        let mut more = !self.closes(b'}');
        while more {
            let key = self.key()?;
            let key = self.decode(key);
            each(self, key)?;
            more = self.has_more(b'}')?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads a list; `each` must read one value.
    ///
    /// # Errors
    /// The next value is of another kind, invalid or nested too deep, or `each` fails.
    pub fn list(&mut self, mut each: impl FnMut(&mut Self) -> Result<(), JsonError>) -> Result<(), JsonError> {
        self.open(JsonKind::List, "expected a list")?;
        let mut more = !self.closes(b']');
        while more {
            each(self)?;
            more = self.has_more(b']')?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads a string. Halves of surrogate pairs become U+FFFD.
    ///
    /// # Errors
    /// The next value is of another kind or invalid.
    pub fn text(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.blanks();
        let raw = self.string()?;
        Ok(self.decode(raw))
    }

    /// Reads a number of either kind ([`JsonKind::Number`], [`JsonKind::NotFinite`]) as it stands in the text.
    ///
    /// # Errors
    /// The next value is not a number.
    pub fn number(&mut self) -> Result<&'a str, JsonError> {
        let kind = self.kind()?;
        let begin = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        match kind {
            JsonKind::NotFinite if self.at == begin && self.peek() == Some(b'N') => self.word("NaN")?,
            JsonKind::NotFinite => self.word("Infinity")?,
            JsonKind::Number => self.digits_of_number()?,
            _ => return self.fail("expected a number"),
        }
        Ok(&self.text[begin..self.at])
    }

    /// Skips a value of any depth, checking it, and returns its text.
    ///
    /// # Errors
    /// The value is invalid.
    pub fn skip(&mut self) -> Result<&'a str, JsonError> {
        self.blanks();
        let begin = self.at;
        // Closing brackets still expected.
        let mut due = Vec::new();
        loop {
            let end = match self.kind()? {
                JsonKind::Object => Some(b'}'),
                JsonKind::List => Some(b']'),
                _ => None,
            };
            if let Some(end) = end {
                self.at += 1;
                if !self.closes(end) {
                    due.push(end);
                    self.key_if(end == b'}')?;
                    continue;
                }
            } else {
                self.skip_leaf()?;
            }
            while let Some(&end) = due.last() {
                if self.has_more(end)? {
                    self.key_if(end == b'}')?;
                    break;
                }
                due.pop();
            }
            if due.is_empty() {
                return Ok(&self.text[begin..self.at]);
            }
        }
    }

    /// Reads a value.
    ///
    /// # Errors
    /// The value is invalid, or nested deeper than [`MAX_DEPTH`].
    pub fn value(&mut self) -> Result<Value, JsonError> {
        Ok(match self.kind()? {
            JsonKind::Object => {
                let mut object = Map::new();
                self.object(|reader, key| {
                    object.insert(key.into_owned(), reader.value()?);
                    Ok(())
                })?;
                Value::Object(object)
            }
            JsonKind::List => {
                let mut list = Vec::new();
                self.list(|reader| {
                    list.push(reader.value()?);
                    Ok(())
                })?;
                Value::Array(list)
            }
            JsonKind::Text => Value::String(self.text()?.into_owned()),
            JsonKind::Number | JsonKind::NotFinite => {
                let number = self.number()?;
                self.number_value(number)
            }
            JsonKind::Bool if self.peek() == Some(b't') => {
                self.word("true")?;
                Value::Bool(true)
            }
            JsonKind::Bool => {
                self.word("false")?;
                Value::Bool(false)
            }
            JsonKind::Null => {
                self.word("null")?;
                Value::Null
            }
        })
    }

    fn number_value(&mut self, text: &str) -> Value {
        if !text.contains(['.', 'e', 'E', 'N', 'I']) {
            let whole = text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from));
            return whole.map_or_else(
                |_| {
                    self.repairs.long_integers += 1;
                    Value::String(text.to_owned())
                },
                Value::Number,
            );
        }
        let finite = text.parse().ok().and_then(Number::from_f64);
        self.repairs.not_finite += u64::from(finite.is_none());
        finite.map_or(Value::Null, Value::Number)
    }

    fn skip_leaf(&mut self) -> Result<(), JsonError> {
        match self.kind()? {
            JsonKind::Text => self.string().map(drop),
            JsonKind::Number | JsonKind::NotFinite => self.number().map(drop),
            JsonKind::Bool if self.peek() == Some(b't') => self.word("true"),
            JsonKind::Bool => self.word("false"),
            _ => self.word("null"),
        }
    }

    pub(super) fn fail<T>(&self, problem: &'static str) -> Result<T, JsonError> {
        Err(JsonError::at(problem, &self.text.as_bytes()[..self.at.min(self.text.len())]))
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    pub(super) fn expect(&mut self, byte: u8, problem: &'static str) -> Result<(), JsonError> {
        if self.peek() != Some(byte) {
            return self.fail(problem);
        }
        self.at += 1;
        Ok(())
    }

    fn open(&mut self, kind: JsonKind, problem: &'static str) -> Result<(), JsonError> {
        if self.kind()? != kind {
            return self.fail(problem);
        }
        if self.depth == MAX_DEPTH {
            return self.fail("nested too deep");
        }
        self.at += 1;
        self.depth += 1;
        Ok(())
    }

    /// After an opening bracket: whether it closes at once.
    fn closes(&mut self, end: u8) -> bool {
        self.blanks();
        let closes = self.peek() == Some(end);
        self.at += usize::from(closes);
        closes
    }

    /// After a value in brackets: true at a comma, false at the closing bracket.
    fn has_more(&mut self, end: u8) -> Result<bool, JsonError> {
        self.blanks();
        match self.peek() {
            Some(b',') => self.at += 1,
            Some(byte) if byte == end => {
                self.at += 1;
                return Ok(false);
            }
            _ => return self.fail(if end == b'}' { "expected `,` or `}`" } else { "expected `,` or `]`" }),
        }
        Ok(true)
    }

    fn key(&mut self) -> Result<Raw<'a>, JsonError> {
        self.blanks();
        let key = self.string()?;
        self.blanks();
        self.expect(b':', "expected `:`")?;
        Ok(key)
    }

    fn key_if(&mut self, in_object: bool) -> Result<(), JsonError> {
        if in_object { self.key().map(drop) } else { Ok(()) }
    }

    fn word(&mut self, word: &str) -> Result<(), JsonError> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return self.fail("expected a value");
        }
        self.at += word.len();
        Ok(())
    }

    /// A number behind its sign.
    fn digits_of_number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else if self.digits() == 0 {
            return self.fail("expected a digit");
        }
        let fraction = self.at;
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                self.at = fraction;
                return self.fail("expected a digit after the decimal point");
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            if self.digits() == 0 {
                return self.fail("expected a digit in the exponent");
            }
        }
        Ok(())
    }

    fn digits(&mut self) -> usize {
        let begin = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - begin
    }
}
