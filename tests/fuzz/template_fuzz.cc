#include <cstddef>
#include <cstdint>

#include "tests/fuzz/finding.h"
#include "tests/fuzz/text_input.h"
#include "worker/text/attune_text.h"
#include "worker/text/rust_buffer.h"

namespace attune::fuzz {
namespace {

using worker::RustBuffer;

constexpr size_t kMaxOutput = 1 << 16;

void CompileAndRender(const TextInput& input, bool chat) {
  void* compiled = nullptr;
  RustBuffer error;
  if (!attune_template_new(input.first.data(), input.first.size(), chat,
                           kMaxOutput, &compiled, error.out())) {
    Require(!error.view().empty(), "a source was refused without a message");
    return;
  }
  RustBuffer names;
  attune_template_undeclared(compiled, names.out());
  RustBuffer text;
  RustBuffer render_error;
  if (attune_template_render(compiled, input.second.data(), input.second.size(),
                             text.out(), render_error.out())) {
    Require(text.view().size() <= kMaxOutput, "the output is beyond its limit");
  } else {
    Require(!render_error.view().empty(), "rendering failed without a message");
  }
  attune_template_free(compiled);
}

}  // namespace
}  // namespace attune::fuzz

// Input: a template, a zero byte, the fields as JSON. Both kinds of template
// end within their limits.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const attune::fuzz::TextInput input(data, size);
  attune::fuzz::CompileAndRender(input, /*chat=*/false);
  attune::fuzz::CompileAndRender(input, /*chat=*/true);
  return 0;
}
