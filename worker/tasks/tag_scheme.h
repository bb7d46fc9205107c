#ifndef ATTUNE_WORKER_TASKS_TAG_SCHEME_H_
#define ATTUNE_WORKER_TASKS_TAG_SCHEME_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace attune::worker {

// The tag of a word outside of entities.
inline constexpr std::string_view kOutsideTag = "O";

// An entity: the words [begin, end) and their type.
struct TaggedSpan {
  std::string type;
  int begin = 0;
  int end = 0;

  bool operator==(const TaggedSpan&) const = default;
};

// The tags of a token classification: "O", and B-, I-, E- or S- before the type
// of the entity that a word begins, goes on with, ends, or is alone. Which tag
// may follow which is a matter of each type X and of the tags there are, so
// that no tag of an incomplete set is left without a place:
//
// - An entity begins with B-X or is S-X; I-X and E-X come after B-X or I-X.
//   Without B-X (IOB1, IOE2) it may begin with I-X or E-X too.
// - An entity ends with E-X or is S-X; after B-X and I-X comes I-X or E-X.
//   Without E-X (BIO) it may end after any of its tags.
//
// Immutable; threads may share it.
class TagScheme {
 public:
  // Whether `text` is "O", or a prefix and a type without white space.
  static bool IsTag(std::string_view text);

  // INVALID_ARGUMENT (kInvalidData) for fewer than two tags, for a text that is
  // no tag, for a tag given twice, and where "O" is missing.
  static absl::StatusOr<TagScheme> Create(absl::Span<const std::string> tags);

  // Index of "O".
  int outside() const { return outside_; }

  // The entities of a sequence of tags, in order. Takes any sequence, as
  // seqeval's get_entities does, which follows CoNLL's conlleval: I-X or E-X
  // where nothing of the type goes on begins an entity.
  std::vector<TaggedSpan> EntitiesOf(absl::Span<const int> tags) const;

  // The likeliest sequence among those that may be (Viterbi); of equally likely
  // ones the one with the lower tag at the first word that tells them apart.
  // log_probabilities: [words][tags].
  std::vector<int> Decode(
      absl::Span<const std::vector<double>> log_probabilities) const;

 private:
  struct Tag {
    char prefix = 'O';
    int type = -1;  // index; -1 for "O"
    bool begins = true;
    bool ends = true;
    std::vector<int> continuations;  // tags that go on with the entity
  };

  TagScheme() = default;
  // Needs prefixes and types of all tags.
  void FindPlaces();

  std::vector<std::string> types_;
  std::vector<Tag> tags_;
  int outside_ = 0;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_TAG_SCHEME_H_
