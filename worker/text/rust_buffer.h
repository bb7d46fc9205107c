#ifndef ATTUNE_WORKER_TEXT_RUST_BUFFER_H_
#define ATTUNE_WORKER_TEXT_RUST_BUFFER_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "worker/text/attune_text.h"

namespace attune::worker {

// Holds what the Rust library returned and gives it back.
class RustBuffer {
 public:
  RustBuffer() = default;
  ~RustBuffer() { attune_buffer_free(buffer_); }
  RustBuffer(const RustBuffer&) = delete;
  RustBuffer& operator=(const RustBuffer&) = delete;

  // Where a call stores its result; once per object.
  AttuneBuffer* out() { return &buffer_; }

  std::string_view view() const {
    return {reinterpret_cast<const char*>(buffer_.data), buffer_.size};
  }

 private:
  AttuneBuffer buffer_ = {nullptr, 0};
};

inline const uint8_t* RustBytes(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TEXT_RUST_BUFFER_H_
