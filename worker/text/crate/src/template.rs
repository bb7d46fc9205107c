//! The `minijinja` crate, with limits.

use crate::{guarded, slice, template_limits, template_marks, utf8, Buffer};
use minijinja::value::Rest;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};
use std::collections::BTreeSet;
use std::io;
use std::panic::resume_unwind;
use std::thread;

/// Instructions a rendering may execute. The template of a task comes from
/// outside and sees one row; a model's own sees a chat, and a thousand turns need
/// a tenth of it.
const FUEL: u64 = 100_000;
const CHAT_FUEL: u64 = 1_000_000;
/// Depth of macro calls and recursive loops.
const RECURSION_LIMIT: usize = 64;
/// Printing and dropping a value take stack for every list inside a list, and an
/// instruction can nest a value one level deeper: enough for all of FUEL. Only
/// what is used becomes memory.
const STACK_BYTES: usize = 256 << 20;
const NAME: &str = "template";

type Fields = serde_json::Map<String, serde_json::Value>;

pub struct Template {
    environment: Environment<'static>,
    undeclared: BTreeSet<String>,
    max_output: usize,
}

struct Rendered {
    text: Vec<u8>,
    /// Of `template_marks::marked`.
    marks: Option<u64>,
}

/// Collects output up to a limit.
struct BoundedWriter {
    bytes: Vec<u8>,
    limit: usize,
}

impl io::Write for BoundedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.limit - self.bytes.len() {
            return Err(io::Error::new(io::ErrorKind::Other, "output too large"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// A namespace can hold itself, and printing it would never end.
fn no_namespace(_: Rest<Value>) -> Result<Value, Error> {
    Err(Error::new(
        ErrorKind::InvalidOperation,
        "namespace is not available to the template of a task",
    ))
}

/// Spaces after commas and colons, as Python writes JSON.
struct PythonFormatter;

impl serde_json::ser::Formatter for PythonFormatter {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

fn dump<F: serde_json::ser::Formatter>(value: &Value, formatter: F) -> Result<Value, Error> {
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    serde::Serialize::serialize(value, &mut serializer)
        .map_err(|e| Error::new(ErrorKind::BadSerialization, e.to_string()))?;
    Ok(Value::from_safe_string(
        String::from_utf8_lossy(&out).into_owned(),
    ))
}

/// `json.dumps` as Hugging Face's chat templates expect it: not escaped for
/// HTML, indented on request.
fn tojson(value: Value, options: minijinja::value::Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    options.assert_all_used()?;
    match indent {
        Some(indent) => {
            let spaces = " ".repeat(indent.min(16));
            dump(
                &value,
                serde_json::ser::PrettyFormatter::with_indent(spaces.as_bytes()),
            )
        }
        None => dump(&value, PythonFormatter),
    }
}

impl Template {
    fn compile(source: &str, chat: bool, max_output: usize) -> Result<Template, String> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_fuel(Some(if chat { CHAT_FUEL } else { FUEL }));
        environment.set_recursion_limit(RECURSION_LIMIT);
        environment.set_debug(true);
        template_limits::install(&mut environment);
        environment.add_filter("tojson", tojson);
        if chat {
            environment.set_trim_blocks(true);
            environment.set_lstrip_blocks(true);
            environment.add_function("raise_exception", raise_exception);
        } else {
            environment.add_function("namespace", no_namespace);
            environment.set_undefined_behavior(UndefinedBehavior::Strict);
            template_marks::install(&mut environment, max_output);
        }
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(|error| describe(&error, &BTreeSet::new()))?;
        let known: BTreeSet<String> = environment
            .globals()
            .map(|(name, _)| name.to_owned())
            .collect();
        let undeclared = environment
            .get_template(NAME)
            .map_err(|error| describe(&error, &BTreeSet::new()))?
            .undeclared_variables(false)
            .into_iter()
            .filter(|name| !known.contains(name))
            .collect();
        Ok(Template {
            environment,
            undeclared,
            max_output,
        })
    }

    /// Renders on a thread of its own, for its stack.
    fn render(&self, fields: &Fields) -> Result<Rendered, String> {
        thread::scope(|scope| {
            thread::Builder::new()
                .stack_size(STACK_BYTES)
                .spawn_scoped(scope, || self.render_here(fields))
                .map_err(|error| format!("no thread to render on: {error}"))?
                .join()
                .unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// The fields with a text that `mark` marks, or whose characters decide what it
    /// marks: with others in their places it gets something else.
    fn marked_fields(&self, mut fields: Fields) -> Result<Vec<String>, String> {
        let marks = self.render(&fields)?.marks;
        let mut names = Vec::new();
        if marks.is_none() {
            return Ok(names);
        }
        for name in &self.undeclared {
            let Some(serde_json::Value::String(text)) = fields.get_mut(name) else {
                continue;
            };
            // As many, so that spans stay within.
            let others = "\u{1}".repeat(text.chars().count());
            let text = std::mem::replace(text, others);
            let marks_of_others = self.render(&fields).ok().and_then(|other| other.marks);
            if marks_of_others != marks {
                names.push(name.clone());
            }
            fields.insert(name.clone(), text.into());
        }
        Ok(names)
    }

    fn render_here(&self, fields: &Fields) -> Result<Rendered, String> {
        let mut writer = BoundedWriter {
            bytes: Vec::new(),
            limit: self.max_output,
        };
        let rendered = self.environment.get_template(NAME).and_then(|template| {
            template
                .render_captured_to(fields, &mut writer)
                .map(|captured| template_marks::marked(captured.state()))
        });
        match rendered {
            Ok(marks) => Ok(Rendered {
                text: writer.bytes,
                marks,
            }),
            Err(error) if error.kind() == ErrorKind::WriteFailure => Err(format!(
                "the output is longer than {} bytes",
                self.max_output
            )),
            Err(error) => {
                let missing = self
                    .undeclared
                    .iter()
                    .filter(|name| !fields.contains_key(*name))
                    .cloned()
                    .collect();
                Err(describe(&error, &missing))
            }
        }
    }
}

fn parse_fields(fields: &str) -> Result<Fields, String> {
    match serde_json::from_str(fields) {
        Ok(serde_json::Value::Object(fields)) => Ok(fields),
        Ok(_) => Err("the fields are not a JSON object".to_string()),
        Err(error) => Err(format!("the fields are not valid JSON: {error}")),
    }
}

/// One line: line number, what is wrong, and the expression it is wrong with.
fn describe(error: &Error, missing: &BTreeSet<String>) -> String {
    let mut text = String::new();
    if let Some(line) = error.line() {
        text.push_str(&format!("line {line}: "));
    }
    let expression = error
        .range()
        .and_then(|range| error.template_source().and_then(|source| source.get(range)))
        .map(|expression| expression.split_whitespace().collect::<Vec<_>>().join(" "));
    match error.kind() {
        ErrorKind::UndefinedError => {
            match expression {
                Some(expression) => text.push_str(&format!("'{expression}' is undefined")),
                None => text.push_str("undefined value"),
            }
            if !missing.is_empty() {
                let names: Vec<String> = missing.iter().map(|name| format!("'{name}'")).collect();
                text.push_str(&format!("; missing fields: {}", names.join(", ")));
            }
            return text;
        }
        ErrorKind::OutOfFuel => text.push_str("the template runs for too long"),
        kind => text.push_str(&kind.to_string()),
    }
    if let Some(detail) = error.detail() {
        text.push_str(&format!(": {detail}"));
    }
    if let Some(expression) = expression.filter(|e| !e.is_empty() && e.len() <= 120) {
        text.push_str(&format!(" (at '{expression}')"));
    }
    text
}

/// # Safety
/// `source` holds `size` bytes; `out` and `error` can be written to.
#[no_mangle]
pub unsafe extern "C" fn attune_template_new(
    source: *const u8,
    size: usize,
    chat: bool,
    max_output: usize,
    out: *mut *mut Template,
    error: *mut Buffer,
) -> bool {
    guarded(
        error,
        || Template::compile(utf8(slice(source, size), "template")?, chat, max_output),
        |template| out.write(Box::into_raw(Box::new(template))),
    )
}

/// # Safety
/// `template` came from `attune_template_new` and is not used afterwards.
#[no_mangle]
pub unsafe extern "C" fn attune_template_free(template: *mut Template) {
    drop(Box::from_raw(template));
}

/// # Safety
/// As above; `fields` holds `size` bytes.
#[no_mangle]
pub unsafe extern "C" fn attune_template_render(
    template: *const Template,
    fields: *const u8,
    size: usize,
    out: *mut Buffer,
    error: *mut Buffer,
) -> bool {
    guarded(
        error,
        || {
            let fields = parse_fields(utf8(slice(fields, size), "the fields")?)?;
            (*template).render(&fields)
        },
        |rendered| out.write(Buffer::from_vec(rendered.text)),
    )
}

/// Puts the names of the fields that `mark` depends on into `out`, one per line,
/// ascending.
///
/// # Safety
/// As above.
#[no_mangle]
pub unsafe extern "C" fn attune_template_marked(
    template: *const Template,
    fields: *const u8,
    size: usize,
    out: *mut Buffer,
    error: *mut Buffer,
) -> bool {
    guarded(
        error,
        || {
            let fields = parse_fields(utf8(slice(fields, size), "the fields")?)?;
            (*template).marked_fields(fields)
        },
        |names| out.write(Buffer::from_vec(names.join("\n").into_bytes())),
    )
}

/// Puts the undeclared variables into `out`, one per line, ascending.
///
/// # Safety
/// As above.
#[no_mangle]
pub unsafe extern "C" fn attune_template_undeclared(template: *const Template, out: *mut Buffer) {
    let names: Vec<&str> = (*template).undeclared.iter().map(String::as_str).collect();
    out.write(Buffer::from_vec(names.join("\n").into_bytes()));
}
