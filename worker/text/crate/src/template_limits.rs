//! What a filter or a method may be asked for. Fuel counts instructions, and one
//! of these can ask for more memory than there is, which ends the process.

use minijinja::value::{Rest, ValueKind};
use minijinja::{filters, Environment, Error, ErrorKind, State, Value};

/// Largest count, width or indentation.
const MAX_NUMBER: i64 = 10_000;
/// Longest sequence that is gone through at once.
const MAX_ITEMS: usize = 1_000_000;

/// Puts the limits before the filters and methods that take numbers or go through
/// sequences.
pub fn install(environment: &mut Environment) {
    for (name, filter) in [
        ("batch", Value::from_function(filters::batch)),
        ("chain", Value::from_function(filters::chain)),
        ("format", Value::from_function(filters::format)),
        ("groupby", Value::from_function(filters::groupby)),
        ("indent", Value::from_function(filters::indent)),
        ("join", Value::from_function(filters::join)),
        ("list", Value::from_function(filters::list)),
        ("map", Value::from_function(filters::map)),
        ("max", Value::from_function(filters::max)),
        ("min", Value::from_function(filters::min)),
        ("reject", Value::from_function(filters::reject)),
        ("rejectattr", Value::from_function(filters::rejectattr)),
        ("reverse", Value::from_function(filters::reverse)),
        ("select", Value::from_function(filters::select)),
        ("selectattr", Value::from_function(filters::selectattr)),
        ("slice", Value::from_function(filters::slice)),
        ("sort", Value::from_function(filters::sort)),
        ("string", Value::from_function(filters::string)),
        ("sum", Value::from_function(filters::sum)),
        ("unique", Value::from_function(filters::unique)),
        ("zip", Value::from_function(filters::zip)),
    ] {
        environment.add_filter(name, move |state: &State, args: Rest<Value>| {
            args.iter().try_for_each(check_items)?;
            if matches!(name, "batch" | "slice" | "indent") {
                args.iter().skip(1).try_for_each(check_number)?;
            }
            if let ("format", Some((format, values))) = (name, args.split_first()) {
                check_widths(format, '%', values)?;
            }
            filter.call(state, &args)
        });
    }
    environment.set_unknown_method_callback(|state, value, method, args| {
        check_items(value)?;
        args.iter().try_for_each(check_items)?;
        if method == "format" {
            check_widths(value, '{', args)?;
        }
        minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args)
    });
}

pub fn refuse(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

fn check_items(value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => match value.len() {
            Some(length) if length > MAX_ITEMS => Err(refuse(format!(
                "a sequence of {length} items is longer than {MAX_ITEMS}"
            ))),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// A number by itself or as a named argument.
fn check_number(value: &Value) -> Result<(), Error> {
    if value.is_kwargs() {
        for name in value.try_iter()? {
            check_number(&value.get_item(&name)?)?;
        }
        return Ok(());
    }
    match i128::try_from(value.clone()) {
        Ok(number) if value.is_number() && number > i128::from(MAX_NUMBER) => {
            Err(refuse(format!("{number} is above {MAX_NUMBER}")))
        }
        _ => Ok(()),
    }
}

/// Widths and precisions in the specifiers of a format string: `%` to a letter,
/// after a name in parentheses, or `{` to `}`. They may be arguments too.
fn check_widths(format: &Value, begin: char, args: &[Value]) -> Result<(), Error> {
    let mut from_arguments = false;
    for part in format.as_str().unwrap_or_default().split(begin).skip(1) {
        let specifier = match begin {
            '%' => {
                let named = part.strip_prefix('(').and_then(|p| p.split_once(')'));
                let part = named.map_or(part, |(_, rest)| rest);
                part.split(|c: char| c.is_ascii_alphabetic()).next()
            }
            _ => part.split('}').next(),
        }
        .unwrap_or_default();
        // A `{` within braces begins the next part, and leaves this one open.
        from_arguments |= specifier.contains('*') || specifier.ends_with(':');
        let longest = specifier
            .split(|c: char| !c.is_ascii_digit())
            .map(|digits| digits.trim_start_matches('0').len())
            .max();
        if longest.is_some_and(|digits| digits > 4) {
            return Err(refuse(
                "a number of more than four digits in a format".to_string(),
            ));
        }
    }
    if from_arguments {
        args.iter().try_for_each(check_number)?;
    }
    Ok(())
}
