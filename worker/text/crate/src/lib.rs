//! Tokenisers and templates behind a C interface; `attune_text.h` beside this
//! crate is its C++ side and its documentation.
//!
//! Rules of the boundary: bytes go in with explicit lengths, results come out
//! in buffers that this library allocates and frees, panics are caught, and a
//! failure is a message. Handles are immutable and may be shared by threads.

mod template;
mod template_limits;
mod template_marks;
mod tokenizer;
mod tokenizer_limits;

use std::panic::{catch_unwind, AssertUnwindSafe};

/// Bytes that this library owns until `attune_buffer_free`.
#[repr(C)]
pub struct Buffer {
    data: *mut u8,
    size: usize,
}

impl Buffer {
    fn from_vec(bytes: Vec<u8>) -> Buffer {
        let boxed = bytes.into_boxed_slice();
        let size = boxed.len();
        Buffer {
            data: Box::into_raw(boxed) as *mut u8,
            size,
        }
    }
}

/// Frees what a call put into a buffer. A zeroed buffer is allowed.
///
/// # Safety
/// `buffer` was filled by this library and is not used afterwards.
#[no_mangle]
pub unsafe extern "C" fn attune_buffer_free(buffer: Buffer) {
    if !buffer.data.is_null() {
        drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(
            buffer.data,
            buffer.size,
        )));
    }
}

/// The caller's bytes; an empty slice may come with a null pointer.
unsafe fn slice<'a, T>(data: *const T, size: usize) -> &'a [T] {
    if size == 0 {
        &[]
    } else {
        std::slice::from_raw_parts(data, size)
    }
}

/// Runs `body`; on success hands its value to `store` and returns true, else
/// puts the message into `error` and returns false. Never unwinds.
unsafe fn guarded<T>(
    error: *mut Buffer,
    body: impl FnOnce() -> Result<T, String>,
    store: impl FnOnce(T),
) -> bool {
    let message = match catch_unwind(AssertUnwindSafe(|| body().map(store))) {
        Ok(Ok(())) => return true,
        Ok(Err(message)) => message,
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("unknown cause");
            format!("internal failure: {text}")
        }
    };
    error.write(Buffer::from_vec(message.into_bytes()));
    false
}

/// Runs a `body` that has no error to report; `otherwise` if it panics.
fn shielded<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise)
}

fn utf8<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str, String> {
    std::str::from_utf8(bytes).map_err(|e| {
        format!(
            "{what} is not UTF-8: invalid byte at offset {}",
            e.valid_up_to()
        )
    })
}
