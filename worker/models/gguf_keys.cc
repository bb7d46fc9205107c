#include "worker/models/gguf_keys.h"

#include <charconv>
#include <cmath>
#include <type_traits>
#include <variant>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

// A value as a message shows it; of arrays only how long they are.
std::string ShowGgufValue(const Gguf::Value& value) {
  return std::visit(
      [](const auto& held) -> std::string {
        using T = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<T, bool>) {
          return held ? "true" : "false";
        } else if constexpr (std::is_same_v<T, std::string>) {
          return QuoteBytes(held);
        } else if constexpr (std::is_arithmetic_v<T>) {
          return Concat(held);
        } else {
          return Concat("an array of ", held.size());
        }
      },
      value);
}

}  // namespace

double ShortestDecimal(double stored) {
  char text[32];
  const auto printed =
      std::to_chars(text, text + sizeof(text), static_cast<float>(stored));
  double value = stored;
  std::from_chars(text, printed.ptr, value);
  return value;
}

std::string GgufKeys::Name(std::string_view key) const {
  return Concat(architecture_, ".", key);
}

bool GgufKeys::Has(std::string_view key) const {
  return gguf_.metadata().contains(Name(key));
}

absl::StatusOr<int64_t> GgufKeys::Size(std::string_view key) const {
  return gguf_.Get<int64_t>(Name(key));
}

absl::StatusOr<int64_t> GgufKeys::SizeOr(std::string_view key,
                                         int64_t otherwise) const {
  if (!Has(key)) return otherwise;
  return Size(key);
}

absl::StatusOr<double> GgufKeys::Number(std::string_view key) const {
  ATTUNE_ASSIGN_OR_RETURN(const double stored, gguf_.Get<double>(Name(key)));
  if (!std::isfinite(stored)) return Corrupt(key, "is no finite number");
  return ShortestDecimal(stored);
}

absl::StatusOr<double> GgufKeys::NumberOr(std::string_view key,
                                          double otherwise) const {
  if (!Has(key)) return otherwise;
  return Number(key);
}

absl::Status GgufKeys::RefuseUnless(std::string_view key,
                                    double neutral) const {
  const auto it = gguf_.metadata().find(Name(key));
  if (it == gguf_.metadata().end()) return absl::OkStatus();
  const bool is_neutral = std::visit(
      [&](const auto& held) {
        if constexpr (std::is_arithmetic_v<std::decay_t<decltype(held)>>) {
          return static_cast<double>(held) == neutral;
        } else {
          return false;
        }
      },
      it->second);
  return is_neutral ? absl::OkStatus() : Unsupported(key);
}

absl::Status GgufKeys::Unsupported(std::string_view key) const {
  const std::string name = Name(key);
  return absl::UnimplementedError(
      Concat(gguf_.origin(), ": metadata key ", QuoteBytes(name), " = ",
             ShowGgufValue(gguf_.metadata().at(name)), " is not supported"));
}

absl::Status GgufKeys::Corrupt(std::string_view key,
                               std::string_view what) const {
  return CorruptFile(gguf_.origin(),
                     Concat("metadata key ", QuoteBytes(Name(key)), " ", what));
}

}  // namespace attune::worker
