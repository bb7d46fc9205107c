#include "client/commands/predict.h"

#include <atomic>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/status.h"
#include "tests/client/fake_attune.h"
#include "tests/testing/temp_directory.h"

namespace attune::client {
namespace {

using testing::HasSubstr;

class PredictTest : public testing::Test {
 protected:
  PredictTest() {
    // Labels each item "card_arrival", but for an empty text.
    fake_.scripts.predict = [this](const auto& request, auto& response) {
      requests_.push_back(request);
      for (const v1::PredictItem& item : request.items()) {
        v1::PredictResult& result = *response.add_results();
        if (item.fields().fields().begin()->second.string_value().empty()) {
          result.mutable_error()->set_message("text: is empty");
          continue;
        }
        result.set_prompt_version("prompts/p/versions/3");
        v1::LabelAnswer& label = *result.mutable_answer()->mutable_label();
        label.set_label("card_arrival");
        label.set_score(0.981);
        label.add_scores()->set_label("card_arrival");
        label.mutable_scores(0)->set_score(0.981);
        label.add_scores()->set_label("card_linking");
        label.mutable_scores(1)->set_score(0.012);
      }
      return absl::OkStatus();
    };
  }

  RunResult Run(std::vector<std::string> arguments, RunOptions options = {}) {
    arguments.insert(arguments.begin(), "predict");
    return RunClient(fake_.address(), std::move(arguments), options);
  }

  FakeAttune fake_;
  std::vector<v1::PredictRequest> requests_;
};

TEST_F(PredictTest, ShowsAnswersAsATable) {
  const RunResult run =
      Run({"p@prod", "--text", "Where is my card?", "--text", "卡在哪里"});

  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out,
            "INPUT              ANSWER        SCORE  VERSION\n"
            "Where is my card?  card_arrival  98.1%  p/versions/3\n"
            "卡在哪里           card_arrival  98.1%  p/versions/3\n");
  ASSERT_EQ(requests_.size(), 1u);
  EXPECT_EQ(requests_[0].target().prompt(), "prompts/p@prod");
  EXPECT_EQ(requests_[0].items_size(), 2);
  EXPECT_FALSE(requests_[0].items(0).has_decoding());
}

TEST_F(PredictTest, ShowsEntities) {
  fake_.scripts.predict = [](const auto& request, auto& response) {
    for (const v1::PredictItem& item : request.items()) {
      v1::TagAnswer& answer =
          *response.add_results()->mutable_answer()->mutable_tags();
      if (item.fields().fields().at("text").string_value() == "so") continue;
      for (const char* city : {"Oslo", "New York"}) {
        v1::Entity& entity = *answer.add_entities();
        entity.set_type("city");
        entity.set_text(city);
        entity.set_score(0.9);
      }
    }
    return absl::OkStatus();
  };

  const RunResult run = Run({"p", "--text", "from Oslo", "--text", "so"});

  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("Oslo [city 90.0%], New York [city 90.0%]"));
  EXPECT_THAT(run.out, HasSubstr("no entities"));
}

TEST_F(PredictTest, ShowsLabelsAndNumbers) {
  fake_.scripts.predict = [](const auto&, auto& response) {
    v1::LabelSetAnswer& set =
        *response.add_results()->mutable_answer()->mutable_label_set();
    for (const char* label : {"billing", "urgent"}) {
      set.add_labels()->set_label(label);
      set.mutable_labels(set.labels_size() - 1)->set_score(0.9);
    }
    response.add_results()->mutable_answer()->mutable_label_set();
    response.add_results()->mutable_answer()->mutable_number()->set_value(
        1234567.25);
    return absl::OkStatus();
  };

  const RunResult run = Run({"p", "--text", "a", "--text", "b", "--text", "c"});

  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("billing 90.0%, urgent 90.0%"));
  EXPECT_THAT(run.out, HasSubstr("no labels"));
  EXPECT_THAT(run.out, HasSubstr("1234567.25"));
}

TEST_F(PredictTest, ShowsThatNoLabelWasLikelyEnough) {
  fake_.scripts.predict = [](const auto&, auto& response) {
    v1::LabelAnswer& label =
        *response.add_results()->mutable_answer()->mutable_label();
    label.set_abstained(true);
    label.set_score(0.4);
    return absl::OkStatus();
  };

  const RunResult run = Run({"intent", "--text", "hm"});

  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("not sure  40.0%"));
}

TEST_F(PredictTest, ShowsTheLikeliestChoiceAndThePlacesOfOthers) {
  fake_.scripts.predict = [](const auto&, auto& response) {
    v1::ChoiceAnswer& choice =
        *response.add_results()->mutable_answer()->mutable_choice();
    choice.set_index(2);
    choice.set_text("it rained");
    choice.set_score(0.7);
    for (const double score : {0.05, 0.25, 0.7}) choice.add_scores(score);
    return absl::OkStatus();
  };

  const RunResult one = Run({"p", "--text", "a"});
  const RunResult two = Run({"p", "--text", "a", "--top", "2"});

  EXPECT_EQ(one.exit_code, 0) << one.err;
  EXPECT_THAT(one.out, HasSubstr("it rained  70.0%"));
  EXPECT_THAT(two.out, HasSubstr("it rained (2: 70.0%, 1: 25.0%)"));
}

TEST_F(PredictTest, ShowsTheLikeliestLabels) {
  EXPECT_THAT(Run({"p", "--text", "a", "--top", "5"}).out,
              HasSubstr("card_arrival 98.1%, card_linking 1.2%"));
}

TEST_F(PredictTest, AnItemWithoutAnAnswerIsExitCodeOne) {
  const RunResult run = Run({"p", "--text", "a", "--text", ""});

  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.out, HasSubstr("error: text: is empty\n"));
  EXPECT_THAT(run.out, HasSubstr("card_arrival"));
}

TEST_F(PredictTest, FieldsMakeOneItem) {
  Run({"p", "--field", "text_a=x", "--field", "text_b=y"});

  ASSERT_EQ(requests_.size(), 1u);
  ASSERT_EQ(requests_[0].items_size(), 1);
  EXPECT_EQ(requests_[0].items(0).fields().fields_size(), 2);
}

TEST_F(PredictTest, ManyRowsGoInRequestsOf256) {
  RunOptions options;
  for (int i = 0; i < 600; ++i) options.input += "{\"text\":\"row\"}\n";

  const RunResult run = Run({"p", "--input", "-", "-o", "json"}, options);

  EXPECT_EQ(run.exit_code, 0) << run.err;
  ASSERT_EQ(requests_.size(), 3u);
  EXPECT_EQ(requests_[0].items_size(), 256);
  EXPECT_EQ(requests_[2].items_size(), 88);
  EXPECT_THAT(run.out, HasSubstr("\"label\": \"card_arrival\""));
}

TEST_F(PredictTest, LongRowsGoInRequestsThatTheServerTakes) {
  const std::string text(200'000, 'x');
  RunOptions options;
  for (int i = 0; i < 40; ++i) options.input += "{\"text\":\"" + text + "\"}\n";

  const RunResult run = Run({"p", "--input", "-", "-o", "json"}, options);

  EXPECT_EQ(run.exit_code, 0) << run.err;
  int num_items = 0;
  for (const v1::PredictRequest& request : requests_) {
    EXPECT_LT(request.ByteSizeLong(), size_t{4} << 20);
    num_items += request.items_size();
  }
  EXPECT_EQ(num_items, 40);
  EXPECT_EQ(requests_.size(), 3u);
}

TEST_F(PredictTest, TakesTheScoresOfManyLabels) {
  fake_.scripts.predict = [](const auto&, auto& response) {
    v1::LabelAnswer& label =
        *response.add_results()->mutable_answer()->mutable_label();
    label.set_label(std::string(6 << 20, 'x'));
    return absl::OkStatus();
  };

  EXPECT_EQ(Run({"p", "--text", "a"}).exit_code, 0);
}

TEST_F(PredictTest, AsksTheBareBaseWithATask) {
  const TempDirectory directory;
  WriteBytes(directory / "task.yaml",
             "type: TASK_TYPE_TEXT_CLASSIFICATION\n"
             "template: '{{ text }}'\n"
             "labels: [{label: a}, {label: b}]\n");

  const RunResult run =
      Run({"--base", "m", "--task", directory / "task.yaml", "--text", "x"});

  EXPECT_EQ(run.exit_code, 0) << run.err;
  ASSERT_EQ(requests_.size(), 1u);
  const v1::BaseTarget& base = requests_[0].target().base();
  EXPECT_EQ(base.model(), "models/m");
  EXPECT_EQ(base.task().labels_size(), 2);
}

TEST_F(PredictTest, PassesDecodingOn) {
  Run({"p", "--text", "a", "--max-new-tokens", "5", "--temperature", "0.7",
       "--top-p", "0.9", "--stop", "x", "--beams", "4", "--length-penalty",
       "0"});

  ASSERT_EQ(requests_.size(), 1u);
  const v1::Decoding& decoding = requests_[0].items(0).decoding();
  EXPECT_EQ(decoding.max_new_tokens(), 5);
  EXPECT_EQ(decoding.temperature(), 0.7);
  EXPECT_EQ(decoding.top_p().value(), 0.9);
  EXPECT_EQ(decoding.stop(0), "x");
  EXPECT_EQ(decoding.num_beams(), 4);
  ASSERT_TRUE(decoding.has_length_penalty());
  EXPECT_EQ(decoding.length_penalty().value(), 0);
}

TEST_F(PredictTest, ShowsGeneratedText) {
  fake_.scripts.predict = [](const auto&, auto& response) {
    response.add_results()->mutable_answer()->mutable_text()->set_text(
        "two\n"
        "lines");
    return absl::OkStatus();
  };

  EXPECT_EQ(Run({"p", "--text", "a"}).out,
            "INPUT  ANSWER     SCORE  VERSION\n"
            "a      two lines         base\n");
}

TEST_F(PredictTest, RefusesAnAnswerOfTheWrongLength) {
  fake_.scripts.predict = [](const auto&, auto&) { return absl::OkStatus(); };

  const RunResult run = Run({"p", "--text", "a"});

  EXPECT_EQ(run.exit_code, 1);
  EXPECT_EQ(run.err, "error: the server answered 0 of 1 items\n");
}

TEST_F(PredictTest, NeedsExactlyOneKindOfInput) {
  EXPECT_EQ(Run({"p"}).exit_code, 2);
  EXPECT_EQ(Run({"p", "--text", "a", "--field", "b=c"}).exit_code, 2);
  EXPECT_TRUE(requests_.empty());
}

TEST_F(PredictTest, WithoutAWorkerIsExitCodeFour) {
  fake_.scripts.predict = [](const auto&, auto&) {
    return MakeError(Reason::kNoWorker, "no live worker has models/m");
  };

  const RunResult run = Run({"p", "--text", "a"});

  EXPECT_EQ(run.exit_code, 4);
  EXPECT_EQ(run.err,
            "error: no live worker has models/m\n"
            "hint: start a worker (deploy/local.sh start); see attune "
            "status\n");
}

}  // namespace
}  // namespace attune::client
