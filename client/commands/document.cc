#include "client/commands/document.h"

#include <exception>
#include <iterator>
#include <optional>
#include <sstream>
#include <unordered_set>
#include <utility>

#include "client/output/text_width.h"
#include "nlohmann/json.hpp"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "yaml-cpp/eventhandler.h"
#include "yaml-cpp/exceptions.h"
#include "yaml-cpp/mark.h"
#include "yaml-cpp/parser.h"

namespace attune::client {
namespace {

using Kind = DocumentNode::Kind;

// What stops a parse from inside; caught in this file.
struct Refused : std::exception {
  Refused(int line, std::string problem)
      : line(line), problem(std::move(problem)) {}
  int line;
  std::string problem;
};

// Grows a tree from the events of a parser, and holds it to the limits.
class TreeBuilder {
 public:
  void Scalar(Kind kind, std::string scalar, int line) {
    if (AwaitsKey()) {
      Key(std::move(scalar), line);
      return;
    }
    DocumentNode node;
    node.kind = kind;
    node.scalar = std::move(scalar);
    node.line = line;
    Place(std::move(node));
  }

  void Open(Kind kind, int line) {
    if (AwaitsKey()) throw Refused(line, "a key must be a plain word");
    if (open_.size() >= kMaxDocumentDepth) {
      throw Refused(line, Concat("more than ", kMaxDocumentDepth,
                                 " levels inside each other"));
    }
    DocumentNode node;
    node.kind = kind;
    node.line = line;
    open_.push_back(Level{std::move(node), std::nullopt, {}});
  }

  void Close() {
    DocumentNode node = std::move(open_.back().node);
    open_.pop_back();
    Place(std::move(node));
  }

  void Key(std::string key, int line) {
    if (!open_.back().keys.insert(key).second) {
      throw Refused(line, Concat("'", key, "' comes twice"));
    }
    open_.back().key = DocumentField{std::move(key), {}, line};
  }

  DocumentNode Take() { return std::move(root_); }

 private:
  struct Level {
    DocumentNode node;
    std::optional<DocumentField> key;  // waits for its value
    std::unordered_set<std::string> keys;
  };

  bool AwaitsKey() const {
    return !open_.empty() && open_.back().node.kind == Kind::kMap &&
           !open_.back().key;
  }

  void Place(DocumentNode node) {
    if (open_.empty()) {
      root_ = std::move(node);
    } else if (Level& level = open_.back(); level.key) {
      level.key->value = std::move(node);
      level.node.fields.push_back(std::move(*level.key));
      level.key.reset();
    } else {
      level.node.items.push_back(std::move(node));
    }
  }

  std::vector<Level> open_;
  DocumentNode root_;
};

class YamlEvents final : public YAML::EventHandler {
 public:
  explicit YamlEvents(TreeBuilder& tree) : tree_(tree) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Check(mark, "", anchor);
    tree_.Scalar(Kind::kNull, "", LineOf(mark));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refused(LineOf(mark), "aliases (*name) are not supported");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag,
                YAML::anchor_t anchor, const std::string& value) override {
    Check(mark, tag, anchor);
    // yaml-cpp marks plain scalars with "?" and quoted ones with "!".
    const Kind kind = tag == "!" ? Kind::kString : Kind::kPlain;
    tree_.Scalar(kind, value, LineOf(mark));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag,
                       YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Check(mark, tag, anchor);
    tree_.Open(Kind::kList, LineOf(mark));
  }
  void OnSequenceEnd() override { tree_.Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag,
                  YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    Check(mark, tag, anchor);
    tree_.Open(Kind::kMap, LineOf(mark));
  }
  void OnMapEnd() override { tree_.Close(); }

 private:
  static int LineOf(const YAML::Mark& mark) { return mark.line + 1; }

  static void Check(const YAML::Mark& mark, const std::string& tag,
                    YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) {
      throw Refused(LineOf(mark), "anchors (&name) are not supported");
    }
    if (!tag.empty() && tag != "?" && tag != "!") {
      throw Refused(LineOf(mark), "tags (!name) are not supported");
    }
  }

  TreeBuilder& tree_;
};

absl::StatusOr<DocumentNode> ParseYaml(std::string_view text,
                                       std::string_view file) {
  TreeBuilder tree;
  YamlEvents events(tree);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(events)) {
      return DocumentError(file, 0, "is empty");
    }
    TreeBuilder rest;
    YamlEvents rest_events(rest);
    if (parser.HandleNextDocument(rest_events)) {
      return DocumentError(file, 0, "has more than one YAML document");
    }
  } catch (const Refused& refused) {
    return DocumentError(file, refused.line, refused.problem);
  } catch (const YAML::Exception& e) {
    return DocumentError(file, e.mark.line + 1, e.msg);
  } catch (const std::exception& e) {
    return DocumentError(file, 0, e.what());
  }
  return tree.Take();
}

// Walks over the text and counts lines, which nlohmann's events do not tell.
class LineCounter {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  LineCounter(const char* at, int* line) : at_(at), line_(line) {}
  reference operator*() const { return *at_; }
  LineCounter& operator++() {
    *line_ += *at_ == '\n' ? 1 : 0;
    ++at_;
    return *this;
  }
  LineCounter operator++(int) {
    LineCounter before = *this;
    ++*this;
    return before;
  }
  bool operator==(const LineCounter& other) const { return at_ == other.at_; }
  bool operator!=(const LineCounter& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  int* line_;
};

class JsonEvents final : public nlohmann::json_sax<nlohmann::json> {
 public:
  JsonEvents(TreeBuilder& tree, const int& line) : tree_(tree), line_(line) {}

  bool null() override { return Scalar(Kind::kNull, ""); }
  bool boolean(bool value) override {
    return Scalar(Kind::kBool, value ? "true" : "false");
  }
  bool number_integer(number_integer_t value) override {
    return Scalar(Kind::kNumber, std::to_string(value));
  }
  bool number_unsigned(number_unsigned_t value) override {
    return Scalar(Kind::kNumber, std::to_string(value));
  }
  bool number_float(number_float_t, const string_t& text) override {
    return Scalar(Kind::kNumber, text);
  }
  bool string(string_t& value) override {
    return Scalar(Kind::kString, std::move(value));
  }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return Open(Kind::kMap); }
  bool key(string_t& value) override {
    tree_.Key(std::move(value), line_);
    return true;
  }
  bool end_object() override { return Close(); }
  bool start_array(std::size_t) override { return Open(Kind::kList); }
  bool end_array() override { return Close(); }
  bool parse_error(std::size_t, const std::string&,
                   const nlohmann::json::exception& e) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    const std::string_view text = e.what();
    const size_t start = text.find(": ");
    throw Refused(line_,
                  Concat("is not JSON: ",
                         text.substr(start == text.npos ? 0 : start + 2)));
  }

 private:
  bool Scalar(Kind kind, std::string text) {
    tree_.Scalar(kind, std::move(text), line_);
    return true;
  }
  bool Open(Kind kind) {
    tree_.Open(kind, line_);
    return true;
  }
  bool Close() {
    tree_.Close();
    return true;
  }

  TreeBuilder& tree_;
  const int& line_;
};

absl::StatusOr<DocumentNode> ParseJson(std::string_view text,
                                       std::string_view file) {
  TreeBuilder tree;
  int line = 1;
  JsonEvents events(tree, line);
  try {
    const char* begin = text.data();
    nlohmann::json::sax_parse(LineCounter(begin, &line),
                              LineCounter(begin + text.size(), &line), &events);
  } catch (const Refused& refused) {
    return DocumentError(file, refused.line, refused.problem);
  } catch (const std::exception& e) {
    return DocumentError(file, line, e.what());
  }
  return tree.Take();
}

}  // namespace

absl::StatusOr<DocumentNode> ParseDocument(std::string_view text,
                                           std::string_view file) {
  if (text.size() > kMaxDocumentBytes) {
    return DocumentError(
        file, 0,
        Concat("has ", text.size(), " bytes; at most ", kMaxDocumentBytes,
               ". Put rows into a dataset: attune datasets upload"));
  }
  if (!IsValidUtf8(text)) {
    return DocumentError(file, 0, "is not UTF-8 text");
  }
  const size_t first = text.find_first_not_of(" \t\r\n");
  const bool json = first != text.npos && text[first] == '{';
  return json ? ParseJson(text, file) : ParseYaml(text, file);
}

absl::Status DocumentError(std::string_view file, int line,
                           std::string_view problem) {
  if (line > 0) {
    return absl::InvalidArgumentError(Concat(file, ":", line, ": ", problem));
  }
  return absl::InvalidArgumentError(Concat(file, ": ", problem));
}

}  // namespace attune::client
