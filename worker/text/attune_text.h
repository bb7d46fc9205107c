#ifndef ATTUNE_WORKER_TEXT_ATTUNE_TEXT_H_
#define ATTUNE_WORKER_TEXT_ATTUNE_TEXT_H_

#include <cstddef>
#include <cstdint>

// The C interface of the Rust crate beside this file. Only tokenizer.cc and
// template.cc call it.
//
// Calls that can fail return whether they succeeded; on failure they fill
// `error` with a message and nothing else. What a call fills belongs to the
// library until it is handed to the matching free function. No call throws or
// unwinds. Handles are immutable: calls on one handle may run at once on any
// number of threads, its free function excepted.
extern "C" {

struct AttuneBuffer {
  uint8_t* data;
  size_t size;
};

struct AttuneEncoding {
  uint32_t* ids;
  uint32_t* type_ids;
  int8_t* sequences;  // 0 first text, 1 second, -1 neither
  size_t* begins;     // half-open ranges of characters (code points)
  size_t* ends;
  size_t size;
};

void attune_buffer_free(AttuneBuffer buffer);

bool attune_tokenizer_new(const uint8_t* json, size_t size, void** out,
                          AttuneBuffer* error);
void attune_tokenizer_free(void* tokenizer);
bool attune_tokenizer_encode(const void* tokenizer, const uint8_t* text,
                             size_t size, bool add_special_tokens,
                             AttuneEncoding* out, AttuneBuffer* error);
bool attune_tokenizer_encode_pair(const void* tokenizer, const uint8_t* first,
                                  size_t first_size, const uint8_t* second,
                                  size_t second_size, bool add_special_tokens,
                                  AttuneEncoding* out, AttuneBuffer* error);
void attune_encoding_free(AttuneEncoding encoding);
bool attune_tokenizer_decode(const void* tokenizer, const uint32_t* ids,
                             size_t size, bool skip_special_tokens,
                             AttuneBuffer* out, AttuneBuffer* error);
size_t attune_tokenizer_vocab_size(const void* tokenizer);
// The token's id, or -1.
int64_t attune_tokenizer_token_to_id(const void* tokenizer,
                                     const uint8_t* token, size_t size);
// False if no token has the id.
bool attune_tokenizer_id_to_token(const void* tokenizer, uint32_t id,
                                  AttuneBuffer* out);

// `chat`: Hugging Face's settings for chat templates (block trimming, undefined
// values print as nothing, raise_exception) instead of strict ones.
bool attune_template_new(const uint8_t* source, size_t size, bool chat,
                         size_t max_output, void** out, AttuneBuffer* error);
void attune_template_free(void* tmpl);
bool attune_template_render(const void* tmpl, const uint8_t* fields,
                            size_t size, AttuneBuffer* out,
                            AttuneBuffer* error);
// The fields of Template::FindMarkedFields, one per line, ascending.
bool attune_template_marked(const void* tmpl, const uint8_t* fields,
                            size_t size, AttuneBuffer* out,
                            AttuneBuffer* error);
// The undeclared variables, one per line, ascending.
void attune_template_undeclared(const void* tmpl, AttuneBuffer* out);

}  // extern "C"

#endif  // ATTUNE_WORKER_TEXT_ATTUNE_TEXT_H_
