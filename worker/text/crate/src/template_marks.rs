//! The filter `mark` of a task's template, which puts markers around spans of a
//! text: `{{ text | mark(E1=subject) }}` (Baldini Soares et al. 2019).

use crate::template_limits::refuse;
use minijinja::value::{from_args, Kwargs, Rest, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};
use std::cmp::Reverse;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::ops::Range;

/// What a rendering keeps of its marks.
const MARKED: &str = "marked";
/// Brackets, spaces and the slash of a span's two markers.
const MARKER_BYTES: usize = "[] ".len() + " [/]".len();

/// What spans count: the characters of a text, or the words of a list, which are
/// joined by spaces.
struct Units {
    text: String,
    /// The bytes of each one.
    places: Vec<Range<usize>>,
    noun: &'static str,
}

/// What a pair of markers stands around, from one unit to before another.
struct Span {
    name: String,
    begin: usize,
    end: usize,
}

/// Makes `mark` available. Its results have at most `max_bytes`.
pub fn install(environment: &mut Environment, max_bytes: usize) {
    environment.add_filter("mark", move |state: &State, args: Rest<Value>| {
        mark(state, &args, max_bytes)
    });
}

/// A number for all that was marked and where: another one for another text.
/// None where nothing was.
pub fn marked(state: &State) -> Option<u64> {
    state
        .get_temp(MARKED)
        .and_then(|number| u64::try_from(number).ok())
}

fn mark(state: &State, args: &[Value], max_bytes: usize) -> Result<Value, Error> {
    let (values, named): (&[Value], Kwargs) = from_args(args)?;
    let [value] = values else {
        return Err(refuse(
            "mark takes each span by the name of its marker, as in mark(E1=subject)".to_string(),
        ));
    };
    let units = Units::read(value, max_bytes)?;
    let mut spans = Vec::new();
    for name in named.args() {
        let span: Value = named.get(name)?;
        spans.push(Span::read(name, &span, &units)?);
    }
    named.assert_all_used()?;
    if spans.is_empty() {
        return Err(refuse(
            "mark needs the span of at least one marker, as in mark(E1=subject)".to_string(),
        ));
    }
    let added: usize = spans
        .iter()
        .map(|span| 2 * span.name.len() + MARKER_BYTES)
        .sum();
    if units.text.len() + added > max_bytes {
        return Err(too_long(max_bytes));
    }
    remember(state, &units, &spans);
    // Of equal spans the first one holds the others.
    spans.sort_by_key(|span| (span.begin, Reverse(span.end)));
    Writer::new(&units).write(&spans).map(Value::from)
}

fn too_long(max_bytes: usize) -> Error {
    refuse(format!("the output is longer than {max_bytes} bytes"))
}

fn remember(state: &State, units: &Units, spans: &[Span]) {
    let mut hasher = DefaultHasher::new();
    marked(state).hash(&mut hasher);
    units.text.hash(&mut hasher);
    for span in spans {
        (&span.name, span.begin, span.end).hash(&mut hasher);
    }
    state.set_temp(MARKED, Value::from(hasher.finish()));
}

impl Units {
    fn read(value: &Value, max_bytes: usize) -> Result<Units, Error> {
        match value.kind() {
            ValueKind::String => Ok(Units::characters(value.as_str().unwrap_or_default())),
            ValueKind::Seq | ValueKind::Iterable => Units::words(value, max_bytes),
            ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
            kind => Err(refuse(format!(
                "mark takes a text or a list of words, not {kind}"
            ))),
        }
    }

    fn characters(text: &str) -> Units {
        Units {
            text: text.to_owned(),
            places: text
                .char_indices()
                .map(|(begin, character)| begin..begin + character.len_utf8())
                .collect(),
            noun: "characters",
        }
    }

    fn words(list: &Value, max_bytes: usize) -> Result<Units, Error> {
        let mut text = String::new();
        let mut places = Vec::new();
        for word in list.try_iter()? {
            if word.kind() != ValueKind::String {
                return Err(refuse(format!(
                    "mark takes a text or a list of words: word {} is no text but {}",
                    places.len(),
                    word.kind()
                )));
            }
            if !places.is_empty() {
                text.push(' ');
            }
            let begin = text.len();
            text.push_str(word.as_str().unwrap_or_default());
            places.push(begin..text.len());
            // A list that repeats itself need not fit in memory.
            if text.len() > max_bytes {
                return Err(too_long(max_bytes));
            }
        }
        Ok(Units {
            text,
            places,
            noun: "words",
        })
    }
}

impl Span {
    /// Of `{"begin": 3, "end": 9}` or `[3, 9]`.
    fn read(name: &str, value: &Value, units: &Units) -> Result<Span, Error> {
        let no_span = |what: &str| {
            refuse(format!(
                "marker {name}: a span is {{\"begin\": 3, \"end\": 9}} or [3, 9], not {what}"
            ))
        };
        let (begin, end) = match value.kind() {
            ValueKind::Undefined => return Err(Error::from(ErrorKind::UndefinedError)),
            ValueKind::Map => (value.get_attr("begin")?, value.get_attr("end")?),
            ValueKind::Seq | ValueKind::Iterable => {
                let mut ends = value.try_iter()?;
                match (ends.next(), ends.next(), ends.next()) {
                    (Some(begin), Some(end), None) => (begin, end),
                    _ => return Err(no_span("a list of another length")),
                }
            }
            kind => return Err(no_span(&kind.to_string())),
        };
        let begin = read_place(name, "begin", &begin)?;
        let end = read_place(name, "end", &end)?;
        if begin >= end {
            return Err(refuse(format!(
                "marker {name}: begin {begin} is not before end {end}"
            )));
        }
        if end > units.places.len() {
            return Err(refuse(format!(
                "marker {name}: the span from {begin} to {end} is outside the text of {} {}",
                units.places.len(),
                units.noun
            )));
        }
        Ok(Span {
            name: name.to_owned(),
            begin,
            end,
        })
    }
}

fn read_place(name: &str, which: &str, value: &Value) -> Result<usize, Error> {
    let place = value.as_usize().filter(|_| value.is_number());
    place.ok_or_else(|| {
        let shown = if value.is_number() {
            value.to_string()
        } else {
            value.kind().to_string()
        };
        refuse(format!(
            "marker {name}: {which} must be a whole number from 0 on, not {shown}"
        ))
    })
}

/// Copies a text with markers.
struct Writer<'a> {
    units: &'a Units,
    /// Spans that have begun, each within the one before it.
    open: Vec<&'a Span>,
    /// Bytes of the text that are copied.
    copied: usize,
    out: String,
}

impl<'a> Writer<'a> {
    fn new(units: &'a Units) -> Writer<'a> {
        Writer {
            units,
            open: Vec::new(),
            copied: 0,
            out: String::new(),
        }
    }

    /// `spans`: in the order in which they begin, those that hold others first.
    fn write(mut self, spans: &'a [Span]) -> Result<String, Error> {
        for span in spans {
            self.close(span.begin);
            if let Some(outer) = self.open.last().filter(|outer| outer.end < span.end) {
                return Err(refuse(format!(
                    "markers {} and {}: the spans from {} to {} and from {} to {} overlap, and \
                     neither holds the other",
                    outer.name, span.name, outer.begin, outer.end, span.begin, span.end
                )));
            }
            self.copy_to(self.units.places[span.begin].start);
            self.out.push_str(&format!("[{}] ", span.name));
            self.open.push(span);
        }
        self.close(self.units.places.len());
        self.copy_to(self.units.text.len());
        Ok(self.out)
    }

    /// Ends the open spans that end at the unit `place` or before it.
    fn close(&mut self, place: usize) {
        while let Some(span) = self.open.pop() {
            if span.end > place {
                self.open.push(span);
                return;
            }
            self.copy_to(self.units.places[span.end - 1].end);
            self.out.push_str(&format!(" [/{}]", span.name));
        }
    }

    fn copy_to(&mut self, byte: usize) {
        self.out.push_str(&self.units.text[self.copied..byte]);
        self.copied = byte;
    }
}
