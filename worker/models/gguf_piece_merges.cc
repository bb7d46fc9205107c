#include "worker/models/gguf_piece_merges.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <unordered_map>

#include "proto/cc/text.h"
#include "worker/models/mapped_file.h"

namespace attune::worker {
namespace {

// Sentencepiece's own limit is below; a longer one would take long to cut.
constexpr size_t kMaxPieceBytes = 256;

struct RankedMerge {
  double score;  // of the piece that is made
  size_t left_length;
  size_t right_length;  // in code points
  GgufPieceMerge merge;
};

bool IsCodePointStart(char byte) { return (byte & 0xC0) != 0x80; }

using PieceIds = std::unordered_map<std::string_view, size_t>;

// Adds every way to make `piece` out of two others.
void AddMergesOf(std::string_view piece, double score, const PieceIds& ids,
                 std::vector<RankedMerge>& merges) {
  const size_t length =
      std::count_if(piece.begin(), piece.end(), IsCodePointStart);
  size_t left_length = 1;
  for (size_t cut = 1; cut < piece.size(); ++cut) {
    if (!IsCodePointStart(piece[cut])) continue;
    const auto left = ids.find(piece.substr(0, cut));
    const auto right = ids.find(piece.substr(cut));
    if (left != ids.end() && right != ids.end()) {
      merges.push_back({score,
                        left_length,
                        length - left_length,
                        {left->second, right->second}});
    }
    ++left_length;
  }
}

}  // namespace

absl::StatusOr<std::vector<GgufPieceMerge>> MergesOfScores(
    const std::vector<std::string>& tokens, const std::vector<int64_t>& types,
    const std::vector<double>& scores, std::string_view origin) {
  PieceIds ids;
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (types[id] == kGgufTokenNormal || types[id] == kGgufTokenUserDefined) {
      ids.emplace(tokens[id], id);
    }
  }
  std::vector<RankedMerge> ranked;
  for (size_t id = 0; id < tokens.size(); ++id) {
    const bool is_long = tokens[id].size() > kMaxPieceBytes;
    if (types[id] == kGgufTokenNormal) {
      if (is_long) {
        return CorruptFile(
            origin, Concat("token ", id, ", ", QuoteBytes(tokens[id]),
                           ", is longer than ", kMaxPieceBytes, " bytes"));
      }
      AddMergesOf(tokens[id], scores[id], ids, ranked);
    } else if (types[id] == kGgufTokenUserDefined && !is_long) {
      // A longer one is found in the text as it stands.
      AddMergesOf(tokens[id], std::numeric_limits<double>::infinity(), ids,
                  ranked);
    }
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const RankedMerge& a, const RankedMerge& b) {
                     return std::tie(a.score, a.left_length, a.right_length) >
                            std::tie(b.score, b.left_length, b.right_length);
                   });
  std::vector<GgufPieceMerge> merges;
  merges.reserve(ranked.size());
  for (const RankedMerge& each : ranked) merges.push_back(each.merge);
  return merges;
}

}  // namespace attune::worker
