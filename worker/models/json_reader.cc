#include "worker/models/json_reader.h"

#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/mapped_file.h"

namespace attune::worker {
namespace {

using Json = nlohmann::json;

constexpr int kMaxFileDepth = 64;
constexpr size_t kMaxShown = 500;

// Reads the text once without building values and stops at the first thing that
// is wrong. (The library's callback parser would go on, and searches the whole
// parent at the end of every object.)
class Checker : public Json::json_sax_t {
 public:
  explicit Checker(int max_depth) : max_depth_(max_depth) {}

  // What is wrong.
  const std::string& error() const { return error_; }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override {
    keys_.emplace_back();
    return Open();
  }
  bool key(string_t& name) override {
    if (keys_.back().insert(name).second) return true;
    return Stop(Concat("key '", name, "' occurs twice"));
  }
  bool end_object() override {
    keys_.pop_back();
    return Close();
  }
  bool start_array(std::size_t) override { return Open(); }
  bool end_array() override { return Close(); }
  bool parse_error(std::size_t, const std::string&,
                   const nlohmann::detail::exception& error) override {
    return Stop(error.what());
  }

 private:
  bool Open() {
    if (++depth_ <= max_depth_) return true;
    return Stop(Concat("nested deeper than ", max_depth_));
  }
  bool Close() {
    --depth_;
    return true;
  }
  bool Stop(std::string_view message) {
    // The library cites the token it stopped at, which may be megabytes long.
    error_ = Concat(message.substr(0, kMaxShown),
                    message.size() > kMaxShown ? "..." : "");
    return false;
  }

  const int max_depth_;
  int depth_ = 0;
  std::vector<std::set<std::string>> keys_;  // of the open objects
  std::string error_;
};

}  // namespace

absl::StatusOr<Json> ParseJson(std::string_view text, int max_depth) {
  try {
    Checker checker(max_depth);
    if (!Json::sax_parse(text, &checker)) {
      return absl::InvalidArgumentError(Concat("JSON: ", checker.error()));
    }
    return Json::parse(text);
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(Concat("JSON: ", error.what()));
  }
}

absl::StatusOr<Json> ReadJsonFile(const std::string& path, size_t max_bytes) {
  ATTUNE_ASSIGN_OR_RETURN(std::string text, ReadSmallFile(path, max_bytes));
  absl::StatusOr<Json> value = ParseJson(text, kMaxFileDepth);
  if (!value.ok()) return CorruptFile(path, ToStd(value.status().message()));
  return value;
}

absl::StatusOr<Json> ReadOptionalObject(const std::string& path,
                                        size_t max_bytes) {
  absl::StatusOr<Json> value = ReadJsonFile(path, max_bytes);
  if (absl::IsNotFound(value.status())) return Json::object();
  if (value.ok() && !value->is_object()) {
    return CorruptFile(path, "not an object");
  }
  return value;
}

}  // namespace attune::worker
