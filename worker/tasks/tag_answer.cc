#include "worker/tasks/tag_answer.h"

#include <cmath>
#include <string>
#include <vector>

namespace attune::worker {
namespace {

attune::v1::Entity MakeEntity(const TaggedSpan& span, const InputText& words,
                              const attune::v1::TagAnswer& answer) {
  attune::v1::Entity entity;
  entity.set_type(span.type);
  entity.set_first_token(span.begin);
  entity.set_end_token(span.end);
  const size_t begin = words.words[span.begin].begin;
  const size_t end = words.words[span.end - 1].end;
  entity.set_begin(CountCharacters(words.text, begin));
  entity.set_end(CountCharacters(words.text, end));
  entity.set_text(words.text.substr(begin, end - begin));
  double score = 0;
  for (int i = span.begin; i < span.end; ++i) score += answer.tokens(i).score();
  entity.set_score(score / (span.end - span.begin));
  return entity;
}

}  // namespace

attune::v1::TagAnswer MakeTagAnswer(const TaskProgram& program,
                                    const InputText& words,
                                    const TagScores& scores) {
  const std::vector<int> tags = DecodeTags(program.tags(), words.words, scores);
  attune::v1::TagAnswer answer;
  size_t next = 0;
  for (size_t i = 0; i < tags.size(); ++i) {
    attune::v1::TokenTag& token = *answer.add_tokens();
    token.set_token(std::string(words.TextOf(words.words[i])));
    token.set_tag(program.labels()[tags[i]]);
    if (words.words[i].token >= 0) {
      token.set_score(std::exp(scores[next++][tags[i]]));
    }
  }
  for (const TaggedSpan& span : program.tags().EntitiesOf(tags)) {
    *answer.add_entities() = MakeEntity(span, words, answer);
  }
  return answer;
}

}  // namespace attune::worker
