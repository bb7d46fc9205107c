#include "tests/client/well_formed.h"

#include <cctype>
#include <set>
#include <vector>

namespace attune::client {
namespace {

// Reads markup from its beginning; stops at the first error.
class MarkupReader {
 public:
  explicit MarkupReader(std::string_view markup) : markup_(markup) {}

  std::string Read() {
    Take("<!DOCTYPE html>\n");
    while (error_.empty() && at_ < markup_.size()) {
      if (Take("</")) {
        ReadEnd();
      } else if (Take("<")) {
        ReadBegin();
      } else {
        ReadText("<", /*quoted=*/false);
      }
    }
    if (error_.empty() && !open_.empty()) {
      Fail("never closed: " + open_.back());
    }
    return error_;
  }

 private:
  void Fail(const std::string& problem) {
    if (!error_.empty()) return;
    error_ = problem + " at: ..." + std::string(markup_.substr(at_, 60));
  }

  bool Take(std::string_view expected) {
    if (!markup_.substr(at_).starts_with(expected)) return false;
    at_ += expected.size();
    return true;
  }

  std::string ReadName() {
    const size_t begin = at_;
    while (at_ < markup_.size() &&
           (std::isalnum(static_cast<unsigned char>(markup_[at_])) ||
            markup_[at_] == '-')) {
      ++at_;
    }
    if (at_ == begin) Fail("no name");
    return std::string(markup_.substr(begin, at_ - begin));
  }

  void ReadText(std::string_view end, bool quoted) {
    while (at_ < markup_.size() && !markup_.substr(at_).starts_with(end)) {
      const char c = markup_[at_];
      if (c == '<' || (c == '>' && !quoted)) return Fail("not escaped");
      if (c != '&') {
        ++at_;
      } else if (!Take("&amp;") && !Take("&lt;") && !Take("&gt;") &&
                 !Take("&quot;")) {
        return Fail("no entity");
      }
    }
  }

  void ReadBegin() {
    const std::string name = ReadName();
    std::set<std::string> attributes;
    while (error_.empty() && Take(" ")) {
      if (!attributes.insert(ReadName()).second) Fail("attribute twice");
      if (!Take("=\"")) Fail("attribute without a value");
      ReadText("\"", /*quoted=*/true);
      if (!Take("\"")) Fail("no end of the attribute");
    }
    if (Take("/>")) return;
    if (!Take(">")) Fail("no end of the tag");
    open_.push_back(name);
  }

  void ReadEnd() {
    const std::string name = ReadName();
    if (!Take(">")) Fail("no end of the tag");
    if (open_.empty() || open_.back() != name) return Fail("closes " + name);
    open_.pop_back();
  }

  const std::string_view markup_;
  size_t at_ = 0;
  std::vector<std::string> open_;
  std::string error_;
};

}  // namespace

std::string WellFormedError(std::string_view markup) {
  return MarkupReader(markup).Read();
}

int CountOf(std::string_view text, std::string_view part) {
  int count = 0;
  for (size_t at = text.find(part); at != text.npos;
       at = text.find(part, at + part.size())) {
    ++count;
  }
  return count;
}

}  // namespace attune::client
