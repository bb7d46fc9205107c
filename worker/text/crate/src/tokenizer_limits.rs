//! What a tokenizer.json may ask for. The `tokenizers` crate trusts the file: a
//! few lines can make a short text take gigabytes or hours. No tokenizer that
//! people have comes near these limits.

use serde::Deserialize;
use serde_json::Value;

/// Longest word that WordPiece looks up, in characters: its time grows with the
/// third power. Files say 100.
const MAX_WORD_CHARS: u64 = 256;
/// What is put before or behind pieces of words.
const MAX_AFFIX_BYTES: usize = 64;
/// How many times longer all replacements together may make a text: SentencePiece
/// models have one, of a space by three bytes.
const MAX_GROWTH: usize = 32;
/// Longest text that a SentencePiece character map puts for a character: NFKC
/// has one of 33 bytes.
const MAX_MAPPED_BYTES: usize = 64;
/// JSON values of one part of the pipeline.
const MAX_VALUES: usize = 1000;

#[derive(Deserialize)]
struct File {
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    post_processor: Option<Value>,
    decoder: Option<Value>,
    model: Option<Model>,
}

#[derive(Deserialize)]
struct Model {
    max_input_chars_per_word: Option<u64>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
}

/// What the steps of a normalizer or a decoder add up to.
struct Totals {
    values: usize,
    growth: usize,
    character_maps: usize,
}

/// Checks the bytes of a tokenizer.json; the message says which limit is passed.
pub fn check(json: &[u8]) -> Result<(), String> {
    let file: File = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    if let Some(model) = &file.model {
        check_model(model)?;
    }
    for (name, part) in [
        ("normalizer", &file.normalizer),
        ("pre_tokenizer", &file.pre_tokenizer),
        ("post_processor", &file.post_processor),
        ("decoder", &file.decoder),
    ] {
        let mut totals = Totals {
            values: 0,
            growth: 1,
            character_maps: 0,
        };
        if let Some(part) = part {
            add(part, &mut totals).map_err(|e| format!("{name}: {e}"))?;
        }
    }
    Ok(())
}

fn check_model(model: &Model) -> Result<(), String> {
    if let Some(chars) = model.max_input_chars_per_word {
        if chars > MAX_WORD_CHARS {
            return Err(format!(
                "model: max_input_chars_per_word = {chars} is above {MAX_WORD_CHARS}"
            ));
        }
    }
    for (name, affix) in [
        (
            "continuing_subword_prefix",
            &model.continuing_subword_prefix,
        ),
        ("end_of_word_suffix", &model.end_of_word_suffix),
    ] {
        let size = affix.as_ref().map_or(0, String::len);
        if size > MAX_AFFIX_BYTES {
            return Err(format!(
                "model: {name} of {size} bytes is longer than {MAX_AFFIX_BYTES}"
            ));
        }
    }
    Ok(())
}

/// Walks one part. A step is known by its fields, as the crate knows those that
/// have no `type`.
fn add(value: &Value, totals: &mut Totals) -> Result<(), String> {
    totals.values += 1;
    if totals.values > MAX_VALUES {
        return Err(format!("more than {MAX_VALUES} values"));
    }
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| add(item, totals)),
        Value::Object(fields) => {
            if let Some(Value::String(map)) = fields.get("precompiled_charsmap") {
                totals.character_maps += 1;
                if totals.character_maps > 1 {
                    return Err("more than one precompiled_charsmap".to_string());
                }
                check_character_map(map)?;
            }
            if let (Some(Value::String(content)), Some(_)) =
                (fields.get("content"), fields.get("pattern"))
            {
                // A pattern may match before every byte, and then nothing goes.
                grow(1 + content.len(), totals)?;
            }
            if let Some(Value::String(text)) = fields.get("prepend") {
                // The shortest text has one byte.
                grow(1 + text.len(), totals)?;
            }
            fields.values().try_for_each(|field| add(field, totals))
        }
        _ => Ok(()),
    }
}

fn grow(factor: usize, totals: &mut Totals) -> Result<(), String> {
    totals.growth = totals.growth.saturating_mul(factor);
    if totals.growth > MAX_GROWTH {
        return Err(format!(
            "its replacements may make a text more than {MAX_GROWTH} times longer"
        ));
    }
    Ok(())
}

/// SentencePiece's map: the size of a trie in bytes, the trie, texts that end with
/// a zero byte.
fn check_character_map(map: &str) -> Result<(), String> {
    let bytes = base64::decode(map).map_err(|e| format!("precompiled_charsmap: {e}"))?;
    let trie = bytes
        .get(..4)
        .and_then(|size| size.try_into().ok())
        .map_or(usize::MAX, |size| u32::from_le_bytes(size) as usize);
    let texts = trie
        .checked_add(4)
        .and_then(|begin| bytes.get(begin..))
        .ok_or("precompiled_charsmap: its trie is longer than it is")?;
    let longest = texts.split(|b| *b == 0).map(<[u8]>::len).max().unwrap_or(0);
    if longest > MAX_MAPPED_BYTES {
        return Err(format!(
            "precompiled_charsmap: a text of {longest} bytes is longer than {MAX_MAPPED_BYTES}"
        ));
    }
    Ok(())
}
