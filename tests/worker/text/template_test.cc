#include "worker/text/template.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Render(std::string_view source, std::string_view fields) {
  const auto compiled = Template::Compile(source);
  if (!compiled.ok()) return compiled.status().ToString();
  const auto text = (*compiled)->Render(fields);
  return text.ok() ? *text : text.status().ToString();
}

absl::StatusOr<std::string> TryRender(std::string_view source,
                                      std::string_view fields) {
  return (*Template::Compile(source))->Render(fields);
}

TEST(Template, FillsInFields) {
  EXPECT_EQ(Render("Review: {{ text }}\nIt was", R"({"text": "ä <b> \"q\""})"),
            "Review: ä <b> \"q\"\nIt was");
}

TEST(Template, HasConditionsLoopsAndPythonMethods) {
  EXPECT_EQ(Render("{% for w in words %}{% if w != 'b' %}{{ w.upper() }}"
                   "{% endif %}{% endfor %}|{{ s.strip() }}",
                   R"({"words": ["a", "b", "c"], "s": "  x  "})"),
            "AC|x");
}

TEST(Template, KnowsWhatFieldsItNeeds) {
  const auto compiled = Template::Compile(
      "{% set own = 1 %}{{ own }}{{ text }}{% for i in range(3) %}{{ i }}"
      "{{ other.part }}{% endfor %}");

  ASSERT_OK(compiled);
  EXPECT_THAT((*compiled)->undeclared_variables(),
              ElementsAre("other", "text"));
}

TEST(Template, NamesLineAndNameOfAnUnknownField) {
  EXPECT_THAT(TryRender("a\nb {{ txt }}", R"({"text": "x"})"),
              ReasonIs(Reason::kInvalidTemplate,
                       AllOf(HasSubstr("line 2"), HasSubstr("'txt'"))));
}

TEST(Template, NamesTheLineOfASyntaxError) {
  EXPECT_THAT(Template::Compile("ok\n{% if %}"),
              ReasonIs(Reason::kInvalidTemplate, HasSubstr("line 2")));
  EXPECT_THAT(Template::Compile("{{ a"),
              ReasonIs(Reason::kInvalidTemplate, HasSubstr("line 1")));
}

TEST(Template, AFieldMayBeOptionalWhenTheTemplateSaysSo) {
  EXPECT_EQ(Render("{{ title if title is defined else 'none' }}", "{}"),
            "none");
}

TEST(Template, StopsEndlessWork) {
  EXPECT_THAT(TryRender("{% for i in range(100000) %}{% for j in range(100000)"
                        " %}{% endfor %}{% endfor %}",
                        "{}"),
              ReasonIs(Reason::kInvalidTemplate, HasSubstr("too long")));
}

TEST(Template, StopsEndlessRecursion) {
  EXPECT_THAT(
      TryRender("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "{}"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("recursion")));
}

TEST(Template, StopsAtTheOutputLimit) {
  EXPECT_THAT(TryRender("{% for i in range(2000) %}{{ x }}{% endfor %}",
                        "{\"x\": \"" + std::string(1000, 'a') + "\"}"),
              ReasonIs(Reason::kInvalidTemplate,
                       HasSubstr("longer than 1048576 bytes")));
}

TEST(Template, RefusesSourcesBeyondTheLimit) {
  EXPECT_THAT(
      Template::Compile(std::string(Template::kMaxSourceBytes + 1, 'a')),
      ReasonIs(Reason::kInvalidTemplate, HasSubstr("longer than")));
}

TEST(Template, RefusesCountsThatNoMemoryHolds) {
  const std::pair<const char*, const char*> kWrong[] = {
      {"{{ [1] | batch(99999999999) }}", "99999999999 is above 10000"},
      {"{{ [1] | slice(99999999999) }}", "99999999999 is above 10000"},
      {"{{ 'a' | indent(99999999999) }}", "99999999999 is above 10000"},
      {"{{ 'a' | indent(width=99999999999) }}", "99999999999 is above 10000"},
      {"{{ '%99999999999d' | format(1) }}", "more than four digits"},
      {"{{ '%*d' | format(99999999999, 1) }}", "99999999999 is above 10000"},
      {"{{ '%(n)99999999999d' | format(n=1) }}", "more than four digits"},
      {"{{ '{:>99999999999}'.format(1) }}", "more than four digits"},
      {"{{ '{:{w}}'.format(1, w=99999999999) }}", "above 10000"},
      {"{{ ([1] * 99999999999) | list }}", "99999999999 items is longer"},
      {"{{ ([1] * 99999999999) | map('string') | list }}", "is longer than"},
      {"{{ ','.join([1] * 99999999999) }}", "is longer than 1000000"}};
  for (const auto& [source, what] : kWrong) {
    EXPECT_THAT(TryRender(source, "{}"),
                ReasonIs(Reason::kInvalidTemplate, HasSubstr(what)))
        << source;
  }
}

TEST(Template, FiltersWithinTheLimitsAreUnchanged) {
  EXPECT_EQ(
      Render("{{ [3, 1, 2] | sort | batch(2, 0) | list }}"
             "{{ 'a\nb' | indent(width=2) }}"
             "{{ [{'n': 1}, {'n': 2}] | map(attribute='n') | join('-') }}"
             "{{ '%3d|%s 12345' | format(70000, 'x') }}{{ '{:>3}'.format(7) }}"
             "{{ [1, 2, 3] | select('odd') | list }}"
             "{{ [3, 1] | sort(reverse=true) | max }}"
             "{{ missing | default('d') | upper }}{{ 'b' | string }}",
             "{}"),
      "[[1, 2], [3, 0]]a\n  b1-270000|x 12345  7[1, 3]3Db");
}

TEST(Template, SurvivesDeepNesting) {
  std::string source;
  for (int i = 0; i < 5000; ++i) source += "{% if true %}";
  const std::string parens = "{{ " + std::string(20'000, '(') + "1 }}";

  EXPECT_THAT(Template::Compile(source),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("")));
  EXPECT_THAT(Template::Compile(parens),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("")));
}

TEST(Template, SurvivesValuesThatAreNestedDeep) {
  std::string source = "{% set x = 1 %}";
  const std::string step =
      "{% set x = " + std::string(30, '[') + "x" + std::string(30, ']') + " %}";
  for (int i = 0; i < 3000; ++i) source += step;
  ASSERT_LE(source.size(), Template::kMaxSourceBytes);

  // 90,000 lists inside each other.
  EXPECT_EQ(Render(source + "{{ x }}", "{}").size(), 2 * 90'000u + 1);
  EXPECT_EQ(Render(source + "{{ x == x }}", "{}"), "True");
}

TEST(Template, HasNoNamespacesWhichCouldHoldThemselves) {
  EXPECT_THAT(
      TryRender("{% set n = namespace(a=1) %}{% set n.a = n %}{{ n }}", "{}"),
      ReasonIs(Reason::kInvalidTemplate, HasSubstr("namespace")));
}

TEST(Template, CannotReachFiles) {
  EXPECT_THAT(TryRender("{% include '/etc/passwd' %}", "{}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("template not found")));
}

TEST(Template, RefusesFieldsThatAreNestedWithoutEnd) {
  EXPECT_THAT(TryRender("{{ a }}", "{\"a\": " + std::string(1 << 20, '[')),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("recursion limit")));
}

TEST(Template, RefusesFieldsThatAreNoJsonObject) {
  EXPECT_THAT(TryRender("x", "[1]"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("not a JSON object")));
  EXPECT_THAT(TryRender("x", "{"), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr("not valid JSON")));
  EXPECT_THAT(
      TryRender("x", "{\"a\": \"\xff\"}"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not UTF-8")));
}

constexpr char kChat[] =
    "{%- for message in messages %}\n"
    "    {%- if message['role'] == 'tool' %}\n"
    "        {{- raise_exception('no tools: ' + message['content']) }}\n"
    "    {%- endif %}\n"
    "{{ bos_token }}[{{ message.role }}] {{ message['content'].strip() }}"
    "{{ eos_token }}\n"
    "{% endfor %}\n"
    "{% if tools %}{{ tools }}{% endif %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}";

TEST(RenderChat, GivesMessagesAndSpecialTokens) {
  const auto chat = Template::CompileChat(kChat);
  const std::vector<ChatMessage> messages = {{"user", " Hi \n"},
                                             {"assistant", "Hello"}};
  ASSERT_OK(chat);

  const auto text =
      RenderChat(**chat, messages, {.bos_token = "<s>", .eos_token = "</s>"});

  EXPECT_EQ(*text, "<s>[user] Hi</s>\n<s>[assistant] Hello</s>\n[assistant]");
}

TEST(RenderChat, HasNamespaces) {
  const auto chat = Template::CompileChat(
      "{% set n = namespace(count=0) %}{% for m in messages %}"
      "{% set n.count = n.count + 1 %}{% endfor %}{{ n.count }}");
  const std::vector<ChatMessage> messages = {{"user", "a"}, {"user", "b"}};

  EXPECT_EQ(*RenderChat(**chat, messages, {}), "2");
}

TEST(RenderChat, EndsWithoutAHeaderOnRequest) {
  const auto chat = Template::CompileChat(kChat);
  const std::vector<ChatMessage> messages = {{"user", "Hi"}};

  const auto text =
      RenderChat(**chat, messages, {.add_generation_prompt = false});

  EXPECT_EQ(*text, "[user] Hi\n");
}

TEST(RenderChat, ReportsWhatTheTemplateRaises) {
  const auto chat = Template::CompileChat(kChat);
  const std::vector<ChatMessage> messages = {{"tool", "now"}};

  EXPECT_THAT(
      RenderChat(**chat, messages, {}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no tools: now")));
}

TEST(RenderChat, RefusesMessagesThatAreNotUtf8) {
  const auto chat = Template::CompileChat(kChat);
  const std::vector<ChatMessage> messages = {{"user", "\xff"}};

  EXPECT_THAT(
      RenderChat(**chat, messages, {}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not UTF-8")));
}

TEST(RenderChat, StopsTemplatesThatLoopForEver) {
  const std::vector<ChatMessage> messages = {{"user", "Hi"}};
  for (const char* source :
       {"{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}"
        "{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for m in messages recursive %}{{ loop([m]) }}{% endfor %}"}) {
    const auto chat = Template::CompileChat(source);
    ASSERT_OK(chat);
    EXPECT_THAT(RenderChat(**chat, messages, {}),
                ReasonIs(Reason::kInvalidTemplate, HasSubstr("line 1")))
        << source;
  }
}

TEST(RenderChat, WritesJsonAsPythonDoes) {
  const auto chat = Template::CompileChat("{{ messages | tojson }}");
  const std::vector<ChatMessage> messages = {{"user", "<ü>"}};

  EXPECT_EQ(*RenderChat(**chat, messages, {}),
            R"([{"role": "user", "content": "<ü>"}])");
}

}  // namespace
}  // namespace attune::worker
