#ifndef ATTUNE_TESTS_FUZZ_TEXT_INPUT_H_
#define ATTUNE_TESTS_FUZZ_TEXT_INPUT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace attune::fuzz {

// An input of two texts: the first ends at the first zero byte, which neither
// JSON nor a template needs. Each has exactly as much memory as it has bytes,
// so that a read beyond it is found.
struct TextInput {
  TextInput(const uint8_t* data, size_t size)
      : first(data, std::find(data, data + size, uint8_t{0})) {
    if (first.size() < size) {
      second.assign(data + first.size() + 1, data + size);
    }
    first.shrink_to_fit();
    second.shrink_to_fit();
  }

  std::vector<uint8_t> first;
  std::vector<uint8_t> second;  // empty where the input has no zero byte
};

}  // namespace attune::fuzz

#endif  // ATTUNE_TESTS_FUZZ_TEXT_INPUT_H_
