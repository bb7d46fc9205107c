//! The `tokenizers` crate.

use crate::{guarded, shielded, slice, tokenizer_limits, utf8, Buffer};
use tokenizers::{EncodeInput, Tokenizer};

/// Ids with ranges of characters; arrays of `size` elements.
#[repr(C)]
pub struct Encoding {
    ids: *mut u32,
    type_ids: *mut u32,
    sequences: *mut i8,
    begins: *mut usize,
    ends: *mut usize,
    size: usize,
}

impl Encoding {
    fn from_library(encoding: tokenizers::Encoding) -> Encoding {
        let offsets = encoding.get_offsets();
        let sequences = encoding
            .get_sequence_ids()
            .into_iter()
            .map(|sequence| sequence.map_or(-1, |index| index as i8))
            .collect();
        Encoding {
            ids: leak(encoding.get_ids().to_vec()),
            type_ids: leak(encoding.get_type_ids().to_vec()),
            sequences: leak(sequences),
            begins: leak(offsets.iter().map(|o| o.0).collect()),
            ends: leak(offsets.iter().map(|o| o.1).collect()),
            size: encoding.len(),
        }
    }
}

fn leak<T>(values: Vec<T>) -> *mut T {
    Box::into_raw(values.into_boxed_slice()) as *mut T
}

unsafe fn reclaim<T>(data: *mut T, size: usize) {
    drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(
        data, size,
    )));
}

fn read(json: &[u8]) -> Result<Tokenizer, String> {
    tokenizer_limits::check(json)?;
    let mut tokenizer = Tokenizer::from_bytes(json).map_err(|e| e.to_string())?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(|e| e.to_string())?;
    Ok(tokenizer)
}

/// # Safety
/// `json` holds `size` bytes; `out` and `error` can be written to.
#[no_mangle]
pub unsafe extern "C" fn attune_tokenizer_new(
    json: *const u8,
    size: usize,
    out: *mut *mut Tokenizer,
    error: *mut Buffer,
) -> bool {
    guarded(
        error,
        || read(slice(json, size)),
        |tokenizer| out.write(Box::into_raw(Box::new(tokenizer))),
    )
}

/// # Safety
/// `tokenizer` came from `attune_tokenizer_new` and is not used afterwards.
#[no_mangle]
pub unsafe extern "C" fn attune_tokenizer_free(tokenizer: *mut Tokenizer) {
    drop(Box::from_raw(tokenizer));
}

unsafe fn encode<'a>(
    tokenizer: *const Tokenizer,
    input: impl FnOnce() -> Result<EncodeInput<'a>, String>,
    add_special_tokens: bool,
    out: *mut Encoding,
    error: *mut Buffer,
) -> bool {
    guarded(
        error,
        || {
            (*tokenizer)
                .encode_char_offsets(input()?, add_special_tokens)
                .map_err(|e| e.to_string())
        },
        |encoding| out.write(Encoding::from_library(encoding)),
    )
}

/// # Safety
/// As above; `text` holds `size` bytes.
#[no_mangle]
pub unsafe extern "C" fn attune_tokenizer_encode(
    tokenizer: *const Tokenizer,
    text: *const u8,
    size: usize,
    add_special_tokens: bool,
    out: *mut Encoding,
    error: *mut Buffer,
) -> bool {
    let input = || Ok(utf8(slice(text, size), "text")?.into());
    encode(tokenizer, input, add_special_tokens, out, error)
}

/// # Safety
/// As above; `first` and `second` hold that many bytes.
#[no_mangle]
pub unsafe extern "C" fn attune_tokenizer_encode_pair(
    tokenizer: *const Tokenizer,
    first: *const u8,
    first_size: usize,
    second: *const u8,
    second_size: usize,
    add_special_tokens: bool,
    out: *mut Encoding,
    error: *mut Buffer,
) -> bool {
    let input = || {
        let first = utf8(slice(first, first_size), "first text")?;
        let second = utf8(slice(second, second_size), "second text")?;
        Ok((first, second).into())
    };
    encode(tokenizer, input, add_special_tokens, out, error)
}

/// # Safety
/// `encoding` was filled by one of the above; not used afterwards.
#[no_mangle]
pub unsafe extern "C" fn attune_encoding_free(encoding: Encoding) {
    reclaim(encoding.ids, encoding.size);
    reclaim(encoding.type_ids, encoding.size);
    reclaim(encoding.sequences, encoding.size);
    reclaim(encoding.begins, encoding.size);
    reclaim(encoding.ends, encoding.size);
}

/// # Safety
/// As above; `ids` holds `size` elements.
#[no_mangle]
pub unsafe extern "C" fn attune_tokenizer_decode(
    tokenizer: *const Tokenizer,
    ids: *const u32,
    size: usize,
    skip_special_tokens: bool,
    out: *mut Buffer,
    error: *mut Buffer,
) -> bool {
    guarded(
        error,
        || {
            (*tokenizer)
                .decode(slice(ids, size), skip_special_tokens)
                .map_err(|e| e.to_string())
        },
        |text| out.write(Buffer::from_vec(text.into_bytes())),
    )
}

/// # Safety
/// As above.
#[no_mangle]
pub unsafe extern "C" fn attune_tokenizer_vocab_size(tokenizer: *const Tokenizer) -> usize {
    shielded(0, || (*tokenizer).get_vocab_size(true))
}

/// The token's id, or -1.
///
/// # Safety
/// As above; `token` holds `size` bytes.
#[no_mangle]
pub unsafe extern "C" fn attune_tokenizer_token_to_id(
    tokenizer: *const Tokenizer,
    token: *const u8,
    size: usize,
) -> i64 {
    shielded(-1, || {
        utf8(slice(token, size), "token")
            .ok()
            .and_then(|token| (*tokenizer).token_to_id(token))
            .map_or(-1, i64::from)
    })
}

/// Puts the token's text into `out`; false if no token has the id.
///
/// # Safety
/// As above.
#[no_mangle]
pub unsafe extern "C" fn attune_tokenizer_id_to_token(
    tokenizer: *const Tokenizer,
    id: u32,
    out: *mut Buffer,
) -> bool {
    match shielded(None, || (*tokenizer).id_to_token(id)) {
        Some(token) => {
            out.write(Buffer::from_vec(token.into_bytes()));
            true
        }
        None => false,
    }
}
