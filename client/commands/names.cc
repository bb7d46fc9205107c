#include "client/commands/names.h"

#include <algorithm>
#include <cstdint>
#include <random>

#include "absl/strings/str_format.h"
#include "proto/cc/resource_names.h"
#include "proto/cc/text.h"

namespace attune::client {

std::string FullName(std::string_view collection, std::string_view name) {
  if (name.starts_with(collection) &&
      name.substr(collection.size()).starts_with('/')) {
    return std::string(name);
  }
  return Concat(collection, "/", name);
}

std::string JobName(std::string_view name) {
  return FullName(kJobCollection, name);
}
std::string PromptName(std::string_view name) {
  return FullName(kPromptCollection, name);
}
std::string DatasetName(std::string_view name) {
  return FullName(kDatasetCollection, name);
}
std::string ModelName(std::string_view name) {
  return FullName(kModelCollection, name);
}

std::string ShortName(std::string_view name) {
  const size_t slash = name.find('/');
  return std::string(slash == name.npos ? name : name.substr(slash + 1));
}

std::string PromptOf(std::string_view reference) {
  const size_t versions = reference.find("/versions/");
  return std::string(
      reference.substr(0, std::min(versions, reference.find('@'))));
}

bool NamesVersion(std::string_view reference) {
  return PromptOf(reference).size() != reference.size();
}

std::string NewRequestId() {
  std::random_device random;
  const auto bits = [&random] {
    return static_cast<uint64_t>(random()) << 32 | random();
  };
  const uint64_t high = (bits() & ~uint64_t{0xF000}) | 0x4000;
  const uint64_t low = (bits() & ~(uint64_t{3} << 62)) | uint64_t{1} << 63;
  return absl::StrFormat("%08x-%04x-%04x-%04x-%012x", high >> 32,
                         high >> 16 & 0xFFFF, high & 0xFFFF, low >> 48,
                         low & 0xFFFFFFFFFFFF);
}

}  // namespace attune::client
